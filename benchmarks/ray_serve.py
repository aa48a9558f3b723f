"""Ray's default router against ours, before four embedded engines: python -m benchmarks.ray_serve --out FILE.

Two applications of Ray Serve on this machine, alike but for their router: four replicas each, with the shipped model,
four slots and the policy `shortest`. Every request brings the shipped forecast along in both, so the order inside a
replica is the same and only the choice of the replica differs. A closed loop measures what four replicas sustain; then
both serve the same questions at the same times (gamma arrivals), one after the other; which is first alternates.

At last a replica of ours is killed under load: how many requests were answered, told of a failure, begun twice or lost.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shlex
import signal
import sys
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from soonest.bench.printing import machine, versions
from soonest.cluster import joined
from soonest.core import Forecast, Prompt
from soonest.data import gamma
from soonest.engines import tiny
from soonest.engines.tiny.fresh import fresh
from soonest.predict import Predictor
from soonest.report import interval, paired_gain, write_json

REPLICAS, SLOTS, MEMORY, LIMIT = 4, 4, 8192, 512
BURSTINESS: Final = 0.5
ROUTERS: Final[dict[str, dict[str, str]]] = {
    "default": {},  # power of two choices by the number of requests
    "soonest": {"request_router_class": "soonest.engines.ray.Router"},
}
WAIT: Final = 120.0


class Worker:
    """A replica: one embedded engine, which notes in a file what it begins."""

    def __init__(self, begun: str) -> None:
        import torch  # noqa: PLC0415 - in a replica alone

        from soonest.engines.embedded import Engine, Settings, load  # noqa: PLC0415
        from soonest.policies import policy  # noqa: PLC0415

        torch.set_num_threads(1)
        self.begun = Path(begun)
        self.model = load(str(tiny.path()), device="cpu")
        self.engine = Engine(self.model, policy("shortest"), Settings(slots=SLOTS, memory=MEMORY))
        self.engine.start()

    async def __call__(self, body: dict[str, Any]) -> tuple[int, int]:
        """This process, and how many tokens the answer has."""
        from soonest.engines.embedded import Job, Sampling  # noqa: PLC0415

        with self.begun.open("a") as file:
            file.write(f"{body['id']}\n")
        ids = self.model.tokenizer.apply_chat_template(
            body["messages"], tokenize=True, return_dict=False, add_generation_prompt=True
        )
        hint = Forecast.hint(*body["vllm_xargs"]["soonest_forecast"])
        job = Job(body["id"], list(ids), LIMIT, Sampling(temperature=0.0), self.model.ends, hint)
        async with self.engine.submit(job) as tokens:
            return os.getpid(), sum([len(some) async for some in tokens])


@dataclass
class Asker:
    """Questions with their forecasts, and what became of them."""

    predictor: Predictor
    begun: Path
    asked: int = 0

    def bodies(self, count: int, seed: int) -> list[dict[str, Any]]:
        """As many questions that the forecasts were not fitted on."""
        questions, _ = fresh(count, seed, tiny.forecasts())
        made = self.predictor.predict([Prompt.of(text) for text in questions])
        self.asked += 1
        return [
            {
                "id": f"{self.asked}-{i}",
                "messages": [{"role": "user", "content": text}],
                "vllm_xargs": {"soonest_forecast": [f.low, min(max(f.expected, f.low), f.high), f.high]},
            }
            for i, (text, f) in enumerate(zip(questions, made, strict=True))
        ]

    async def open_loop(self, handle: Any, bodies: list[dict[str, Any]], times: np.ndarray[Any, Any]) -> list[Any]:
        """Each at its time; seconds from then to its end, or the error that it was told."""
        start = time.monotonic()

        async def one(body: dict[str, Any], due: float) -> float | Exception:
            await asyncio.sleep(max(0.0, start + due - time.monotonic()))
            try:
                await asyncio.wait_for(_answered(handle, body), WAIT)
            except Exception as error:  # noqa: BLE001 - whatever it is told
                return error
            return time.monotonic() - start - due

        return list(await asyncio.gather(*map(one, bodies, times.tolist())))

    async def sustained(self, handle: Any, count: int) -> float:
        """Requests a second with all slots busy."""
        waiting = iter(self.bodies(count, 1))
        start = time.monotonic()

        async def worker() -> None:
            for body in waiting:
                await _answered(handle, body)

        await asyncio.gather(*(worker() for _ in range(2 * REPLICAS * SLOTS)))
        return count / (time.monotonic() - start)


async def _answered(handle: Any, body: dict[str, Any]) -> tuple[int, int]:
    answer: tuple[int, int] = await handle.remote(body)
    return answer


def summed(jct: list[float]) -> dict[str, float]:
    """Mean, p99 and maximum, in seconds."""
    return {"mean": float(np.mean(jct)), "p99": float(np.percentile(jct, 99)), "max": float(np.max(jct))}


async def compared(
    handles: dict[str, Any], asker: Asker, rate: float, requests: int, repetitions: int
) -> dict[str, Any]:
    """Both routers on the same requests at the same times, repetition by repetition."""
    found: dict[str, list[dict[str, float]]] = {name: [] for name in handles}
    for repetition in range(repetitions):
        times = gamma(requests, rate, BURSTINESS, repetition)
        order = list(handles) if repetition % 2 == 0 else list(reversed(handles))
        for name in order:
            jct = await asker.open_loop(handles[name], asker.bodies(requests, 100 + repetition), times)
            failed = [error for error in jct if isinstance(error, Exception)]
            if failed:
                raise failed[0]
            found[name].append(summed(jct))
            print(repetition, name, {key: round(value, 3) for key, value in found[name][-1].items()}, flush=True)
    gains = {}
    for key in ("mean", "p99", "max"):
        gain = paired_gain([run[key] for run in found["soonest"]], [run[key] for run in found["default"]])
        gains[key] = {"gain_percent": gain.mean, "half_width": gain.half_width}
    means = {name: {key: interval([run[key] for run in runs]).mean for key in runs[0]} for name, runs in found.items()}
    return {"jct_s": means, "gain_of_soonest": gains, "runs": found}


async def killed(handle: Any, asker: Asker, rate: float, requests: int) -> dict[str, int]:
    """A replica killed in the middle of a run."""
    pid, _ = await _answered(handle, asker.bodies(1, 7)[0])
    bodies = asker.bodies(requests, 8)
    asker.begun.write_text("")
    run = asyncio.create_task(asker.open_loop(handle, bodies, gamma(requests, rate, BURSTINESS, 9)))
    await asyncio.sleep(0.4 * requests / rate)
    os.kill(pid, signal.SIGKILL)
    found = await run
    begun = asker.begun.read_text().split()
    told = [error for error in found if isinstance(error, Exception)]
    late = sum(isinstance(error, TimeoutError) for error in told)
    return {
        "requests": requests,
        "answered": requests - len(told),
        "told": len(told) - late,
        "lost": late,
        "begun_twice": len(begun) - len(set(begun)),
    }


def main() -> int:
    """Serve, compare, kill, and write down what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--load", type=float, default=0.8)
    parser.add_argument("--requests", type=int, default=150)
    parser.add_argument("--repetitions", type=int, default=8)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    from ray import serve  # noqa: PLC0415 - loads much

    with joined(cores=1) as _:
        begun = Path(os.environ.get("TMPDIR", "/tmp")) / f"soonest-begun-{os.getpid()}"  # noqa: S108 - a number a process
        serve.start(proxy_location="Disabled", logging_config={"log_level": "ERROR"})
        handles = {name: deployed(serve, name, begun) for name in ROUTERS}
        asker = Asker(Predictor.from_pretrained(tiny.forecasts()), begun)

        async def measured() -> dict[str, Any]:
            for handle in handles.values():  # each engine has worked before the clock runs
                await asker.sustained(handle, 60)
            rate = given.load * await asker.sustained(handles["default"], 200)
            print(f"{rate:.2f} requests/s", flush=True)
            found = await compared(handles, asker, rate, given.requests, given.repetitions)
            return {"rate": rate, **found, "killed": await killed(handles["soonest"], asker, rate, given.requests)}

        found = asyncio.run(measured())
        serve.shutdown()
        begun.unlink()
    document = {
        "command": shlex.join(["python", "-m", "benchmarks.ray_serve", *sys.argv[1:]]),
        "versions": versions(),
        "machine": machine(),
        "load_average": os.getloadavg(),
        "replicas": REPLICAS,
        "slots": SLOTS,
        "load": given.load,
        "requests": given.requests,
        "repetitions": given.repetitions,
        **found,
    }
    if given.out is not None:
        write_json(given.out, document)
    print({key: document[key] for key in ("jct_s", "gain_of_soonest", "killed")})
    return 0


def deployed(serve: Any, name: str, begun: Path) -> Any:
    """An application with this router, and a handle to it."""
    made = serve.deployment(
        Worker,
        num_replicas=REPLICAS,
        max_ongoing_requests=1000,
        request_router_config=ROUTERS[name],
        ray_actor_options={"num_cpus": 0},
    )
    return serve.run(made.bind(str(begun)), name=name, route_prefix=None)


if __name__ == "__main__":
    sys.exit(main())

"""Ray's default router against ours, before four embedded engines: python -m benchmarks.ray_serve --out FILE.

Two applications of Ray Serve on this machine, alike but for their router: four replicas each, with the shipped model,
`--slots` and the policy `shortest`. Every request brings the shipped forecast along in both, so the order inside a
replica is the same and only the choice of the replica differs. A closed loop measures what four replicas sustain; then
both serve the same questions at the same times (gamma arrivals), one after the other; which is first alternates.

The shipped model is so small that four replicas would take all of two cores, and so their speed, from each other. With
`--step-ms` each batch takes at least so long, as a larger model's would on a device of its own: replicas are apart.
Both cases are measured.

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
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np

from soonest.bench.printing import machine
from soonest.cluster import joined
from soonest.core import Forecast, Prompt
from soonest.data import gamma
from soonest.engines import tiny
from soonest.engines.tiny.fresh import fresh
from soonest.predict import Predictor
from soonest.report import interval, paired_gain, write_json
from soonest.report.study import origin

REPLICAS, MEMORY, LIMIT = 4, 8192, 512
BURSTINESS: Final = 0.5
ROUTERS: Final[dict[str, dict[str, str]]] = {
    "default": {},  # power of two choices by the number of requests
    "soonest": {"request_router_class": "soonest.engines.ray.Router"},
}
WAIT: Final = 120.0


class Worker:
    """A replica: one embedded engine, which notes in a file what it begins."""

    def __init__(self, begun: str, slots: int, step: float) -> None:
        import torch  # noqa: PLC0415 - in a replica alone

        from soonest.engines.embedded import Engine, Settings, load  # noqa: PLC0415
        from soonest.policies import policy  # noqa: PLC0415

        torch.set_num_threads(1)
        self.begun = Path(begun)
        self.model = load(str(tiny.path()), device="cpu")
        if step > 0:
            paced(self.model.network, step)
        self.engine = Engine(self.model, policy("shortest"), Settings(slots=slots, memory=MEMORY))
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


def paced(network: Any, step: float) -> None:
    """Let each batch take at least `step` seconds, most of them asleep."""
    ends = 0.0

    def begins(*_: object) -> None:
        nonlocal ends
        ends = time.monotonic() + step

    network.register_forward_pre_hook(begins)
    network.register_forward_hook(lambda *_: time.sleep(max(0.0, ends - time.monotonic())))


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

    async def sustained(self, handle: Any, count: int, slots: int) -> float:
        """Requests a second with all slots busy: those that ended before the last one began."""
        waiting, ended, start = iter(self.bodies(count, 1)), 0, time.monotonic()
        rate = 0.0

        async def worker() -> None:
            nonlocal ended, rate
            for body in waiting:
                await _answered(handle, body)
                ended += 1
            rate = rate or ended / (time.monotonic() - start)

        await asyncio.gather(*(worker() for _ in range(2 * REPLICAS * slots)))
        return rate


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
        order = list(handles) if repetition % 2 == 0 else list(reversed(handles))  # each is first as often
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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="write the JSON here")
    parser.add_argument("--slots", type=int, default=4, help="of each replica")
    parser.add_argument("--load", type=float, default=0.9, help="of what four replicas sustain, about")
    parser.add_argument("--requests", type=int, default=300)
    parser.add_argument("--repetitions", type=int, default=6)
    parser.add_argument(
        "--step-ms", type=float, nargs="*", default=[40.0, 0.0], help="a case each; 0: as fast as it can"
    )
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    busy = os.getloadavg()[0]
    cases, dead = [], {}
    from ray import serve  # noqa: PLC0415 - loads much

    with joined(cores=1) as _, TemporaryDirectory() as folder:
        asker = Asker(Predictor.from_pretrained(tiny.forecasts()), Path(folder) / "begun")
        for step in given.step_ms:
            serve.start(proxy_location="Disabled", logging_config={"log_level": "ERROR"})
            handles = {name: deployed(serve, name, asker.begun, given.slots, step / 1000) for name in ROUTERS}
            found, rate = asyncio.run(measured(handles, asker, given))
            cases.append({"step_ms": step, "rate": rate, **found})
            if step == given.step_ms[0]:
                dead = asyncio.run(killed(handles["soonest"], asker, rate, given.requests))
                print(dead, flush=True)
            serve.shutdown()
    document = {
        "command": shlex.join(["python", "-m", "benchmarks.ray_serve", *sys.argv[1:]]),
        "seed": 100,
        "versions": origin.versions(("soonest", "ray", "torch", "transformers", "numpy")),
        "machine": machine() | {"load_before": round(busy, 2)},
        "replicas": REPLICAS,
        "slots": given.slots,
        "load": given.load,
        "requests": given.requests,
        "repetitions": given.repetitions,
        "cases": cases,
        "killed": dead,
    }
    if given.out is not None:
        write_json(given.out, document)
    return 0


async def measured(handles: dict[str, Any], asker: Asker, given: argparse.Namespace) -> tuple[dict[str, Any], float]:
    """What the fleet sustains, and both routers at a share of it; with the rate, in requests a second."""
    for handle in handles.values():  # each engine has worked before the clock runs
        await asker.sustained(handle, 60, given.slots)
    rate = given.load * await asker.sustained(handles["default"], max(400, 20 * REPLICAS * given.slots), given.slots)
    print(f"{rate:.2f} requests/s", flush=True)
    return await compared(handles, asker, rate, given.requests, given.repetitions), rate


def deployed(serve: Any, name: str, begun: Path, slots: int, step: float) -> Any:
    """An application with this router, and a handle to it."""
    made = serve.deployment(
        Worker,
        num_replicas=REPLICAS,
        max_ongoing_requests=1000,
        request_router_config=ROUTERS[name],
        ray_actor_options={"num_cpus": 0},
    )
    return serve.run(made.bind(str(begun), slots, step), name=name, route_prefix=None)


if __name__ == "__main__":
    sys.exit(main())

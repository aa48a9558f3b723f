"""Ten requests under every policy: what the pictures of docs/policies are drawn from.

    python benchmarks/policy_pictures.py --out benchmarks/results/policy_pictures.json

One engine by the rules of the theory papers, which give every policy what it needs: memory for 300 tokens, four slots,
and who is evicted starts anew. An iteration takes 20 ms. Two of the forecasts are wrong. Targets for the first token
differ, which `deadline` alone looks at.
"""

from __future__ import annotations

import argparse
import platform
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

import soonest
from soonest.core import Forecast, Policy, Rules
from soonest.policies import BUILT_IN, policy
from soonest.report import write_json
from soonest.sim import Beliefs, Options, StepTime, Workload
from soonest.sim.host import Host
from soonest.sim.host.engine import Engine
from soonest.sim.workload import PICOSECONDS

if TYPE_CHECKING:
    from soonest.core import Entry
    from soonest.sim.host.batch import Member

COMMAND: Final = "python benchmarks/policy_pictures.py --out benchmarks/results/policy_pictures.json"
MEMORY, SLOTS, ITERATION, SEED = 300, 4, 0.02, 0


class Ask(NamedTuple):
    """A request and the truth: seconds, tokens, the forecast's interval and median, the target for the first token."""

    arrival: float
    prompt: int
    output: int
    low: int
    median: int
    high: int
    ttft_target: float = 10.0

    @property
    def forecast(self) -> Forecast:
        """Half of the answers are expected on each side of the median."""
        return Forecast((0.0, 0.5, 1.0), (self.low, self.median, self.high), self.low, self.high)


ASKS: Final = (
    Ask(0.0, 20, 100, 60, 100, 140),
    Ask(0.0, 20, 140, 20, 40, 240),
    Ask(0.0, 20, 60, 40, 60, 80),
    Ask(0.2, 20, 200, 160, 210, 260),
    Ask(0.3, 20, 75, 50, 70, 90),
    Ask(0.4, 20, 20, 10, 20, 30),
    Ask(0.6, 20, 70, 20, 35, 50),  # longer than forecast
    Ask(0.9, 20, 40, 90, 120, 150, ttft_target=1.0),  # shorter
    Ask(1.6, 20, 30, 20, 30, 160),
    Ask(2.4, 20, 45, 30, 45, 60, ttft_target=1.0),
)


class Watched(Engine):
    """An engine that notes when each attempt began and ended, in picoseconds."""

    begun: dict[int, list[int]]
    lost: dict[int, list[int]]

    def admit(self, entry: Entry, output: int, now: int, count: int) -> None:
        """Note the start."""
        self.begun.setdefault(entry.sequence, []).append(now)
        super().admit(entry, output, now, count)

    def evict(self, member: Member, now: int) -> None:
        """Note the end."""
        self.lost.setdefault(member.job, []).append(now)
        super().evict(member, now)


def workload() -> Workload:
    """The requests with their forecasts."""
    told = Beliefs(tuple(ask.forecast for ask in ASKS), np.arange(len(ASKS), dtype=np.int32))
    return Workload(
        np.array([ask.arrival for ask in ASKS]),
        np.array([ask.prompt for ask in ASKS]),
        np.array([ask.output for ask in ASKS]),
        told,
        ttft_target=np.array([ask.ttft_target for ask in ASKS]),
    )


def simulated(words: str) -> dict[str, Any]:
    """What becomes of each request under a policy, in seconds: its attempts as pairs, the last one the answer's."""
    chosen: Policy = policy(words)
    options = Options(Rules.paper(MEMORY, SLOTS), StepTime.linear(ITERATION), seed=SEED)
    options.check(chosen)
    host = Host(workload(), chosen, options)
    engine = Watched(options.rules, options.step_time, chosen, host.queue, host.tally, SEED, None)
    engine.begun, engine.lost = {}, {}
    host.engines = [engine]
    result = host.run()
    took = (result.finished - result.workload.arrival_ps) / PICOSECONDS
    rows = [
        {
            "arrival": ask.arrival,
            "admitted": _seconds(result.admitted[job]),
            "finished": _seconds(result.finished[job]),
            "evictions": int(result.evictions[job]),
            "tokens_lost": int(result.tokens_lost[job]),
            "attempts": [
                [_seconds(start), _seconds(end)]
                for start, end in zip(engine.begun[job], [*engine.lost.get(job, []), result.finished[job]], strict=True)
            ],
        }
        for job, ask in enumerate(ASKS)
    ]
    times = {"mean_jct": took.mean(), "p99_jct": np.percentile(took, 99), "max_jct": took.max()}
    return {**{key: round(float(time), 6) for key, time in times.items()}, "requests": rows}


def _seconds(time: int) -> float:
    return round(int(time) / PICOSECONDS, 6)


def main() -> None:
    """Simulate all, print a table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="write the JSON here")
    given = parser.parse_args()
    found = {name: simulated(name) for name in BUILT_IN}
    print(f"{'policy':>18}   mean    p99    max  evictions  tokens lost")
    for name, row in found.items():
        evictions, lost = (sum(r[key] for r in row["requests"]) for key in ("evictions", "tokens_lost"))
        times = "  ".join(f"{row[key]:5.2f}" for key in ("mean_jct", "p99_jct", "max_jct"))
        print(f"{name:>18}  {times}  {evictions:9d}  {lost:11d}")
    if given.out:
        versions = {"soonest": soonest.__version__, "python": platform.python_version(), "numpy": np.__version__}
        conditions = {"memory_tokens": MEMORY, "slots": SLOTS, "iteration_s": ITERATION, "restart": True}
        asked = [ask._asdict() for ask in ASKS]
        write_json(
            given.out,
            {"command": COMMAND, "seed": SEED, "versions": versions, **conditions, "asked": asked, "policies": found},
        )


if __name__ == "__main__":
    main()

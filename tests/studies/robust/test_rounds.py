"""The compiled rounds are the simulator's, request by request; ties drawn are a policy that hashes them."""

import math

import numpy as np
import pytest

from soonest.core import Rules, SimulationError
from soonest.policies import policy
from soonest.policies.a_min import AMin
from soonest.sim import Options, Workload, simulate
from soonest.sim.draws import draw
from soonest.sim.forecasts import beliefs, oracle
from soonest.sim.workload import PICOSECONDS
from soonest.studies.robust import lengths
from soonest.studies.robust.play import TIES
from soonest.studies.robust.rounds import finished, total_latency

SOURCES = ("oracle", "interval(1,20)", "interval(3,9)", "around(0.5)", "bins(4,20)")
POLICIES = (
    "a_max",
    "a_min(stored, smallest)",
    "a_min(live, smallest)",
    "a_min(stored, largest)",
    "a_ell",
    "two_point",
    "a_min_randomized",
    "least_area",
    "fcfs_reserve",
)


class Drawn(AMin):
    """A_min with a number in (0, 1] added to whole keys: of equals, the smallest number goes."""

    numbers = None
    seed = 0

    def keep(self, entry):
        return super().keep(entry) + draw(self.seed, entry.sequence, entry.attempts, TIES + entry.generated)


def instance(seed):
    generator = np.random.default_rng(seed)
    n, memory = int(generator.integers(1, 40)), int(generator.integers(12, 60))
    prompts = generator.integers(0, 6, n)
    outputs = np.minimum(generator.integers(1, 20, n), memory - prompts)
    work = Workload(np.zeros(n), prompts, outputs, beliefs(SOURCES[seed % len(SOURCES)], outputs))
    return work, Options(Rules.paper(memory), seed=seed)


def rounds_of(result):
    return (result.finished // int(PICOSECONDS)).tolist()


@pytest.mark.parametrize("words", POLICIES)
def test_every_request_ends_when_the_simulator_ends_it(words):
    for seed in range(25):
        work, options = instance(seed)
        expected = rounds_of(simulate(work, words, options, backend="python"))
        assert finished(work, policy(words), options, ties=False).tolist() == expected


@pytest.mark.parametrize("order", ["smallest", "largest"])
def test_ties_drawn_are_a_policy_that_hashes_them(order):
    differ = 0
    for seed in range(25):
        work, options = instance(seed)
        hashing = Drawn("stored", order)
        hashing.seed = seed
        plain = policy(f"a_min(stored, {order})")
        found = finished(work, plain, options, ties=True).tolist()
        assert found == rounds_of(simulate(work, hashing, options, backend="python"))
        differ += found != finished(work, plain, options, ties=False).tolist()
    assert differ  # or nothing was drawn


def test_what_is_unknown_here_is_simulated():
    work, _ = instance(3)
    memory = 60
    assert (
        total_latency(work, "shortest", memory, 0)
        == simulate(work, "shortest", Options(Rules.paper(memory))).total_latency
    )
    with pytest.raises(SimulationError, match="shortest"):
        total_latency(work, "shortest", memory, 0, ties=True)


def test_later_arrivals_are_refused():
    outputs = np.array([1, 2])
    with pytest.raises(SimulationError, match="arrive at 0"):
        total_latency(Workload(np.array([0.0, 1.0]), outputs, outputs, oracle(outputs)), "a_min", 9, 0)


def test_a_policy_that_is_stuck_never_ends(monkeypatch):
    monkeypatch.setattr(lengths, "PATIENCE", 2)
    outputs = np.array([6, 6, 6])
    work = Workload(np.zeros(3), np.zeros(3, dtype=int), outputs, beliefs("interval(1,6)", outputs))
    assert total_latency(work, "a_min(live, smallest)", 7, 0) == math.inf
    monkeypatch.undo()
    assert total_latency(work, "a_min(live, smallest)", 7, 0) < math.inf

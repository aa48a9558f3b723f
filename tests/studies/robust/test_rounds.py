"""The compiled rounds are the simulator's, request by request; ties drawn are a policy that hashes them."""

import math
from dataclasses import replace

import numpy as np
import pytest

from soonest.core import Need, Rules, SimulationError
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


CASES = [
    (words, restart)
    for words in POLICIES
    for restart in (True, False)
    if restart or Need.RESTART not in policy(words).needs
]


class Drawn(AMin):
    """A_min with a number in (0, 1] added to whole keys: of equals, the smallest number goes."""

    numbers = None
    seed = 0

    def keep(self, entry):
        return super().keep(entry) + draw(self.seed, entry.sequence, entry.attempts, TIES + entry.generated)


def instance(seed, *, restart=True):
    generator = np.random.default_rng(seed)
    n, memory = int(generator.integers(1, 40)), int(generator.integers(12, 60))
    prompts = generator.integers(0, 6, n)
    outputs = np.minimum(generator.integers(1, 20, n), memory - prompts)
    work = Workload(np.zeros(n), prompts, outputs, beliefs(SOURCES[seed % len(SOURCES)], outputs))
    return work, Options(replace(Rules.paper(memory), restart=restart), seed=seed)


def rounds_of(result):
    return (result.finished // int(PICOSECONDS)).tolist()


@pytest.mark.parametrize(("words", "restart"), CASES)
def test_every_request_ends_when_the_simulator_ends_it(words, restart):
    for seed in range(25):
        work, options = instance(seed, restart=restart)
        expected = rounds_of(simulate(work, words, options, backend="python"))
        assert finished(work, policy(words), options, ties=False).tolist() == expected


def test_an_eviction_that_keeps_its_tokens_is_not_one_that_loses_them():
    differ = 0
    for seed in range(25):
        lost, kept = (
            finished(work, policy("a_min"), options, ties=False).tolist()
            for work, options in (instance(seed, restart=restart) for restart in (True, False))
        )
        differ += lost != kept
    assert differ


@pytest.mark.parametrize("restart", [True, False])
@pytest.mark.parametrize("order", ["smallest", "largest"])
def test_ties_drawn_are_a_policy_that_hashes_them(order, restart):
    differ = 0
    for seed in range(25):
        work, options = instance(seed, restart=restart)
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


def test_ties_are_not_drawn_among_keys_with_fractions():
    outputs = np.array([2, 5])
    work = Workload(np.zeros(2), np.zeros(2, dtype=int), outputs, beliefs("interval(1,6)", outputs))
    with pytest.raises(SimulationError, match="least_area"):
        total_latency(work, "least_area", 9, 0, ties=True)


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

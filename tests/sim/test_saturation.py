"""What an engine sustains: long workloads as they are, short ones several times over."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from soonest.core import Rules, SimulationError
from soonest.data import repeat, sample
from soonest.sim import NEVER, PRESETS, Options, Workload, saturation, simulate
from soonest.sim.workload import PICOSECONDS

CALLS = sample()


def engine(slots=None, memory=None, **options):
    blocks = None if memory is None else memory // 16
    rules = Rules.vllm(blocks=blocks) if slots is None else Rules.vllm(slots, blocks=blocks)
    return Options(rules, PRESETS["h100-8b"], **options)


def first(n):
    return Workload.of(CALLS.head(n))


@pytest.mark.parametrize("n", [5, 40, 200])
def test_more_memory_does_not_lower_the_saturation_of_a_short_trace(n):
    """All of them fit at once from some memory on, and then the longest answer alone would decide."""
    measured = [saturation(first(n), engine(memory=m)) for m in (8000, 16_000, 30_000, 60_000, 120_000, None)]
    assert all(after > 0.98 * before for before, after in pairwise(measured))
    assert measured[-1] > 2 * measured[0]


@pytest.mark.parametrize("n", [7, 100, 499])
def test_a_short_trace_is_measured_several_times_over(n):
    many = Workload.of(repeat(CALLS.head(n), n * -(-500 // n)))
    assert saturation(first(n), engine(8)) == saturation(many, engine(8))


@pytest.mark.parametrize(("n", "options"), [(500, engine(8)), (640, engine(32)), (700, engine(16, engines=2))])
def test_a_long_trace_is_measured_as_it_is(n, options):
    result = simulate(first(n).at(np.zeros(n)), "fcfs", options)
    last = result.admitted.max()
    assert saturation(first(n), options) == (result.finished <= last).sum() / (last / PICOSECONDS)


def test_where_any_number_runs_at_once_the_trace_is_measured_as_it_is():
    options = Options(Rules.paper())
    result = simulate(first(50).at(np.zeros(50)), "fcfs", options)
    assert saturation(first(50), options) == 50 / (result.finished.max() / PICOSECONDS)


def test_no_lap_is_a_prefix_hit_because_of_another():
    own = replace(first(60), blocks=tuple((2 * i, 2 * i + 1) for i in range(60)), block_tokens=16)
    shared = replace(own, blocks=((0, 1),) * 60)
    plain, no_hits, hits = (
        saturation(work, engine(8, prefix_blocks=blocks))
        for work, blocks in ((own, 0), (own, 10_000), (shared, 10_000))
    )
    assert plain == no_hits < hits


def test_an_engine_on_which_nothing_ends_has_no_saturation():
    stuck = replace(Rules.paper(4), clear=1.0, max_evictions=3)
    calls = Workload.of(CALLS.head(2))
    four = replace(calls, prompt_tokens=np.zeros(2, dtype=np.int64), output_tokens=np.array([4, 4]))
    assert (simulate(four.at(np.zeros(2)), "fcfs", Options(stuck)).finished == NEVER).all()
    with pytest.raises(SimulationError, match="no request ends"):
        saturation(four, Options(stuck))

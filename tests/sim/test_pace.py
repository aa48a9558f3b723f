"""Pacing: a start costs its area."""

import numpy as np
import pytest

from soonest.core import Rules, RulesError
from soonest.sim import Options, Workload, beliefs, simulate
from soonest.sim.theory import area_bound

MEMORY = 100


def over_bound(length, *, pace, source="oracle"):
    output = np.full(1200, length)
    prompt = np.zeros(len(output), dtype=np.int64)
    work = Workload(prompt.astype(float), prompt, output, beliefs(source, output))
    result = simulate(work, "least_area", Options(Rules(blocks=MEMORY, pace=pace)), backend="python")
    return result.total_latency / area_bound(prompt, output, MEMORY)


def test_equal_lengths_in_lock_step_leave_memory_half_empty():
    assert over_bound(10, pace=False) > 1.7


def test_paced_starts_come_close_to_the_area_bound():
    assert over_bound(10, pace=True) < 1.2


def test_starts_are_as_many_as_their_areas_fill():
    output, zero = np.full(40, 4), np.zeros(40, dtype=np.int64)
    work = Workload(zero.astype(float), zero, output, beliefs("oracle", output))
    result = simulate(work, "a_min", Options(Rules(blocks=20, pace=True)), backend="python")
    starts = np.bincount((result.admitted / 1e12).astype(int))
    assert starts[:10].tolist() == [2] * 10  # 4 x 5 / 2 each, 20 an iteration
    assert result.peak_blocks == 20


def test_an_idle_engine_starts_anybody():
    output, zero = np.array([9]), np.zeros(1, dtype=np.int64)
    work = Workload(zero.astype(float), zero, output, beliefs("oracle", output))
    assert simulate(work, "a_min", Options(Rules(blocks=9, pace=True)), backend="python").finished[0] == 9e12


def test_pacing_needs_a_memory_limit():
    with pytest.raises(RulesError, match="set blocks"):
        Rules(slots=2, pace=True)

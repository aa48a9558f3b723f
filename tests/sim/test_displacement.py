"""Who takes whose place, in cases small enough to follow."""

import numpy as np
import pytest

from soonest.core import Forecast, Need, Numbers, Plain, PolicyError, Rules, SimulationError
from soonest.policies import policy
from soonest.sim import Beliefs, Options, StepTime, Workload, simulate

ALONE = Rules(slots=1, restart=False)


def run(words, rows, rules=ALONE, priority=(), **options):
    """Rows of arrival, prompt and output, with true forecasts; rounds of a second."""
    arrival, prompt, output = map(np.array, zip(*rows, strict=True))
    beliefs = Beliefs(tuple(map(Forecast.exact, output.tolist())), np.arange(len(rows), dtype=np.int32))
    work = Workload(arrival.astype(float), prompt, output, beliefs, priority=np.array(priority, dtype=np.int64))
    return simulate(work, words, Options(rules, StepTime.unit(), **options))


def ends(result):
    return (result.finished / 1e12).tolist()


def test_a_long_answer_gives_its_place_to_a_short_one_and_goes_on_where_it_was():
    result = run("trail(1)", [(0, 5, 10), (3, 5, 2)])
    assert ends(result) == [12, 5]
    assert result.evictions.tolist() == [1, 0]
    assert result.tokens_recomputed.tolist() == [5 + 2, 0]


def test_where_evictions_restart_it_begins_again():
    result = run("trail(1)", [(0, 5, 10), (3, 5, 2)], Rules(slots=1))
    assert ends(result) == [15, 5]
    assert result.tokens_lost.tolist() == [3, 0]


def test_equals_leave_each_other_alone():
    result = run("trail(1)", [(0, 5, 10), (3, 5, 7)])  # both have 7 to come
    assert ends(result) == [10, 17]
    assert not result.evictions.any()


def test_a_class_goes_before_a_rank():
    assert ends(run("trail(1)", [(0, 5, 3), (1, 5, 9)], priority=[1, 0])) == [12, 10]
    assert ends(run("trail(1)", [(0, 5, 9), (1, 5, 3)], priority=[0, 1])) == [9, 12]


@pytest.mark.parametrize(("bound", "displaced"), [(None, 1), (3.5, 1), (3.0, 0), (0.5, 0)])
def test_who_arrived_longer_ago_than_the_bound_keeps_its_place(bound, displaced):
    assert run("trail(1)", [(0, 5, 10), (3, 5, 2)], overdue_after=bound).evictions[0] == displaced


def test_a_quantum_s_end_costs_nothing_where_nobody_waits():
    result = run("mlfq(2)", [(0, 5, 50)])
    assert ends(result) == [50]
    assert result.evictions[0] == 0


def test_a_quantum_s_end_is_where_a_place_may_be_taken():
    result = run("mlfq(2, prompt=0)", [(0, 5, 9), (1, 5, 3)])
    assert ends(result) == [12, 5]  # the first goes down after two tokens, the second with one to come stays
    assert result.evictions.tolist() == [1, 0]


MEMORY = Rules(blocks=20, restart=False)
"""At 2 s each of two that run with a prompt of 4 holds 7 tokens."""


def test_as_many_go_as_make_room_the_worst_first():
    two = [(0, 4, 12), (0, 4, 11)]
    for prompt, gone in ((12, [True, False, False]), (13, [True, True, False])):
        result = run("trail(1)", [*two, (2, prompt, 1)], MEMORY)
        assert result.admitted[2] == 2e12
        assert (result.evictions > 0).tolist() == gone


def test_nobody_goes_if_that_makes_too_little_room():
    two = [(0, 4, 5), (0, 4, 12)]
    assert run("trail(0.3)", [*two, (2, 12, 1)], MEMORY).evictions.tolist() == [0, 1, 0]
    kept = run("trail(0.3)", [*two, (2, 13, 1)], MEMORY)  # the first has 2 of 5 and stays
    assert kept.evictions.tolist() == [0, 0, 0]
    assert kept.admitted[2] > 2e12


def test_after_an_overflow_nobody_takes_a_place_where_nobody_may_join():
    rules = {"blocks": 13, "restart": False}
    rows = [(0, 4, 8), (0, 4, 8), (2, 6, 1)]  # at 2 s the first two need 14 tokens, and then the third the first's
    free = run("trail(1)", rows, Rules(**rules))
    held = run("trail(1)", rows, Rules(**rules, admit_after_evict=False))
    assert (free.admitted[2], held.admitted[2]) == (2e12, 3e12)


def test_a_batch_that_ends_as_one_displaces_nobody():
    with pytest.raises(PolicyError, match="'mlfq' needs displace, quantum"):
        run("mlfq", [(0, 5, 3)], Rules.dynamic())


@pytest.mark.parametrize("facts", [{"needs": frozenset({Need.DISPLACE})}, {"ranks_unknown": True}])
def test_the_kernel_says_what_it_does_not_know(facts):
    kind = type("Code", (Plain,), {"name": "code", "rows": (Numbers(age=1),), **facts})
    work = Workload(
        np.zeros(1), np.ones(1, dtype=int), np.ones(1, dtype=int), Beliefs((Forecast.exact(1),), np.zeros(1, int))
    )
    with pytest.raises(SimulationError, match="displaces nobody"):
        simulate(work, kind(), backend="kernel")


@pytest.mark.parametrize("words", ["mlfq", "gittins", "trail"])
def test_a_policy_that_displaces_is_code(words):
    assert policy(words).numbers is None
    assert Need.DISPLACE in policy(words).needs

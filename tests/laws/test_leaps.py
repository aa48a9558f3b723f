"""The simulator in leaps gives what one iteration at a time gives, bit for bit."""

import os

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from tests import reference
from tests.backends import BACKENDS, usable
from tests.strategies import POLICIES, Case, cases, engine_rules, paper_rules, slot_rules, workloads

from soonest.core import Forecast, Need, Rules
from soonest.policies import BUILT_IN, policy
from soonest.sim import Beliefs, Options, StepTime, Workload, simulate

COLUMNS = (
    "admitted",
    "first_token",
    "finished",
    "evictions",
    "tokens_lost",
    "tokens_recomputed",
    "gap_counts",
    "peak_blocks",
    "iterations",
)
RULES = {"paper": paper_rules(), "engine": engine_rules(), "slots": slot_rules()}
AT_LENGTH = int(os.environ.get("SOONEST_EXAMPLES", "60"))
"""Examples of each policy under each kind of rules; `make test-slow` tries more."""
PROFILE = settings(
    deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def differences(result, expected):
    return {
        name: (getattr(result, name), getattr(expected, name))
        for name in COLUMNS
        if not np.array_equal(getattr(result, name), getattr(expected, name))
    }


def check_leaps(case, backend):
    assert differences(simulate(*case, backend=backend), reference.run(*case)) == {}


def backends_and_rules(test):
    return pytest.mark.parametrize("backend", BACKENDS)(pytest.mark.parametrize("rules", RULES)(test))


@backends_and_rules
def test_a_leap_is_as_many_iterations(rules, backend):
    @PROFILE
    @given(cases(rules=RULES[rules], engines=1))
    def check(case):
        if usable(backend, case):
            check_leaps(case, backend)

    check()


@pytest.mark.parametrize("rules", RULES)
def test_engines_that_share_a_queue_leap_together(rules):
    @PROFILE
    @given(cases(rules=RULES[rules], engines=3))
    def check(case):
        check_leaps(case, "python")

    check()


@pytest.mark.slow
@pytest.mark.parametrize("words", POLICIES)
@backends_and_rules
def test_a_leap_is_as_many_iterations_at_length(rules, backend, words):
    @settings(PROFILE, max_examples=AT_LENGTH)
    @given(cases(rules=RULES[rules], jobs=workloads(most=24), policies=("fcfs", words), engines=1))
    def check(case):
        if usable(backend, case):
            check_leaps(case, backend)

    check()


def test_every_built_in_policy_is_compared():
    assert {words.split("(")[0] for words in POLICIES} == set(BUILT_IN)


STATIC = tuple(w for w in POLICIES if "response_ratio" not in w and "trail" not in w)


@pytest.mark.parametrize("rules", RULES)
def test_static_ranks_may_be_read_at_every_iteration(rules):
    """Those that displace may be where slots bind: where memory does, room for the head can come without an event."""
    words = [w for w in STATIC if rules == "slots" or Need.DISPLACE not in policy(w).needs]

    @settings(PROFILE, max_examples=50)
    @given(cases(rules=RULES[rules], policies=words))
    def check(case):
        assert differences(reference.run(*case, reread=True), reference.run(*case)) == {}

    check()


def written(words, rules, rows, **options):
    """A case from rows of prompt, output and forecast; all arrive at 0."""
    prompts, outputs, forecasts = zip(*rows, strict=True)
    beliefs = Beliefs(forecasts, np.arange(len(rows), dtype=np.int32))
    workload = Workload(np.zeros(len(rows)), np.array(prompts), np.array(outputs), beliefs)
    return Case(workload, policy(words), Options(rules=rules, **options))


def exact(tokens):
    return Forecast.exact(tokens)


def between(low, high):
    return Forecast.interval(low, high)


WRITTEN = {
    "evicted and back at once, it stops when it would have": written(
        "fcfs", Rules(blocks=8, clear=1.0, restart=False), [(0, 6, exact(6)), (0, 6, exact(6))]
    ),
    "who has finished in a dynamic batch holds no more": written(
        "fcfs", Rules.dynamic(slots=2), [(0, 1, exact(1)), (0, 5, exact(5))]
    ),
    "an engine is offered the new head when another took the old one": written(
        "fcfs_reserve",
        Rules.paper(31),
        [
            (0, 3, between(1, 12)),
            (5, 3, between(3, 10)),
            (0, 3, between(4, 14)),
            (9, 1, between(1, 12)),
            (0, 1, exact(1)),
        ],
        engines=3,
    ),
    "who is evicted while starved is starved no more": written(
        "a_min",
        Rules(slots=4, token_budget=4, blocks=6, block_size=2),
        [(0, 3, between(3, 12)), (3, 2, between(1, 12)), (0, 2, between(3, 12)), (3, 1, between(2, 12))],
        step_time=StepTime(1, 1, startup=1),
    ),
    "what was granted to the evicted is there for others": written(
        "fcfs", Rules(slots=2, token_budget=2, blocks=4), [(0, 2, exact(2)), (1, 2, exact(2))]
    ),
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", WRITTEN)
def test_a_corner_case_is_as_written(name, backend):
    if usable(backend, WRITTEN[name]):
        check_leaps(WRITTEN[name], backend)

"""The simulator in leaps gives what one iteration at a time gives, bit for bit."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests import reference
from tests.backends import BACKENDS, usable
from tests.strategies import POLICIES, cases, engine_rules, paper_rules, slot_rules, workloads

from soonest.core import Forecast
from soonest.policies import BUILT_IN
from soonest.sim import simulate

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
    @settings(PROFILE, max_examples=2000)
    @given(cases(rules=RULES[rules], jobs=workloads(most=24), policies=("fcfs", words), engines=1))
    def check(case):
        if usable(backend, case):
            check_leaps(case, backend)

    check()


def test_every_built_in_policy_is_compared():
    assert {words.split("(")[0] for words in POLICIES} == set(BUILT_IN)


def known(tokens):
    return st.builds(Forecast.interval, st.integers(1, tokens), st.integers(tokens, 14))


STATIC = tuple(words for words in POLICIES if "response_ratio" not in words)


@pytest.mark.parametrize("rules", ["paper", "engine"])
def test_static_ranks_may_be_read_at_every_iteration(rules):
    @settings(PROFILE, max_examples=60)
    @given(cases(rules=RULES[rules], jobs=workloads(beliefs=known), policies=STATIC, engines=1))
    def check(case):
        assert differences(reference.run(*case, reread=True), reference.run(*case)) == {}

    check()

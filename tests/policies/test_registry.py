"""From words to a policy."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soonest.core import Policy, PolicyError
from soonest.policies import BUILT_IN, Aging, AMin, ResponseRatio, Shortest, known_policies, policy


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_name_is_its_class_and_its_file(name):
    made = policy(name)
    assert type(made) is BUILT_IN[name]
    assert made.name == name
    assert type(made).__module__ == f"soonest.policies.{name}"


def test_the_built_in_are_known():
    assert [*known_policies()][: len(BUILT_IN)] == [*BUILT_IN]


def test_words_nest():
    made = policy(" aging( response_ratio(a_min(live, order=smallest)), rate=5 ) ")
    assert isinstance(made, Aging)
    assert made.rate == 5
    assert isinstance(made.inner, ResponseRatio)
    assert isinstance(made.inner.inner, AMin)
    assert made.inner.inner.rows == AMin("live", "smallest").rows


def test_a_wrapper_wraps_shortest_unless_told_otherwise():
    assert isinstance(policy("aging(rate=0.5)").inner, Shortest)
    assert isinstance(policy("response_ratio").inner, Shortest)
    assert policy("aging(inner=fcfs)").inner.name == "fcfs"


def test_words_may_be_quoted_and_parentheses_empty():
    assert policy("a_min('live', order=\"smallest\")").rows == AMin("live", "smallest").rows
    assert policy("fcfs()").name == "fcfs"


@pytest.mark.parametrize(
    "words",
    ["", "  ", "fcfs(", "aging(shortest rate=5)", "1", "aging(shortest)[0]", "a + b", "\0", "x.y", "lambda: 1", ":A"],
)
def test_what_is_no_call_is_refused_with_an_example(words):
    with pytest.raises(PolicyError, match=r"aging\(shortest, rate=5\)"):
        policy(words)


@pytest.mark.parametrize("words", ["sjf", "sjf(3)", "'sjf'", "aging(sjf())"])
def test_an_unknown_name_is_answered_with_the_known(words):
    with pytest.raises(PolicyError) as raised:
        policy(words)
    assert all(name in str(raised.value) for name in BUILT_IN)
    assert "sjf" in str(raised.value)


@pytest.mark.parametrize(
    "words",
    [
        "fcfs(1)",
        "fcfs(rate=1)",
        "aging(shortest, speed=1)",
        "aging(shortest, rate=fast)",
        "aging(shortest, 1, 2)",
        "aging(shortest, rate=-1)",
        "aging(shortest, rate=1e999)",
        "aging(shortest, rate=" + "9" * 400 + ")",
        "aging(5)",
        "aging(sjf)",
        "aging(**shortest)",
        "aging(*shortest)",
        "aging(True)",
        "aging([1])",
        "aging(1 + 1)",
        "a_min(newest)",
        "a_min(order=newest)",
        "a_min(shortest)",
    ],
)
def test_arguments_that_a_policy_does_not_take_are_refused(words):
    with pytest.raises(PolicyError):
        policy(words)


@given(st.text("aging(shortest,rte=5) .:'\"-*[]{}\0\n", max_size=25))
def test_no_words_raise_anything_but_a_policy_error(words):
    with contextlib.suppress(PolicyError):
        assert isinstance(policy(words), Policy)

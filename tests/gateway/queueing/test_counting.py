"""Prompt tokens are estimated better the more answers were seen."""

from hypothesis import given
from hypothesis import strategies as st

from soonest.core import Prompt
from soonest.gateway.queueing.counting import PromptTokens


@given(st.floats(1.5, 12), st.integers(0, 2**32))
def test_the_ratio_is_learned(ratio, seed):
    counts = PromptTokens()
    for i in range(300):
        prompt = Prompt.of("x" * (100 + (seed + 7919 * i) % 2000))
        counts.learn(prompt, round(len(prompt.text) / ratio + 4))
    prompt = Prompt.of("x" * 1000)
    assert abs(counts.estimate(prompt) - (1000 / ratio + 4)) <= 0.1 * (1000 / ratio + 4)


@given(st.integers(0, 10), st.integers(-5, 10))
def test_odd_reports_break_nothing(length, tokens):
    counts = PromptTokens()
    prompt = Prompt.of("x" * length)
    counts.learn(prompt, tokens)
    assert counts.estimate(prompt) >= 1

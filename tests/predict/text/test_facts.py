"""Plain facts."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from soonest.core import Message, Prompt
from soonest.predict.text.facts import COLUMNS, SIGNS, facts
from soonest.predict.text.tokens import Tokens, ends

ASKED = 8 + len(SIGNS)
BEFORE = ASKED + 16
TURNS = st.lists(
    st.builds(
        Message,
        st.sampled_from(["user", "assistant", "system", "tool", ""]),
        st.text(max_size=40),
        st.none() | st.integers(0, 10**6),
    ),
    max_size=5,
)


def rows(*prompts):
    return np.array([facts(p, ends(p.text), Tokens.of(ends(p.text))) for p in prompts])


@given(st.builds(Prompt, TURNS.map(tuple), max_tokens=st.integers(1, 1 << 20)))
def test_facts_are_finite_numbers(prompt):
    found = rows(prompt)
    assert found.shape == (1, COLUMNS)
    assert np.isfinite(found).all()


@given(st.text())
def test_signs_and_wide_characters_and_capitals_are_counted(text):
    found = rows(Prompt.of(text))[0]
    lower = text.lower()
    signs = [math.log1p(lower.count(sign) + (sign == "\n")) for sign in sorted(SIGNS)]
    assert found[6 : 6 + len(SIGNS)].tolist() == signs
    assert found[5] == math.log1p(sum(ord(character) > 0x7F for character in lower))
    assert found[ASKED + 8 + 5] == sum(map(str.isupper, text[:200])) / (len(text[:200]) + 1)


def test_a_number_of_words_asked_for_is_told_apart_from_other_numbers():
    words, ways, none = rows(
        Prompt.of("Tell it in 100 words."), Prompt.of("Give me five good ways to do it"), Prompt.of("Tell me more.")
    )
    assert words[ASKED] == math.log1p(100)
    assert ways[ASKED + 5] == math.log1p(5)
    assert none[ASKED : ASKED + 6].tolist() == [0.0] * 6


def test_options_and_lines_are_counted():
    asked = rows(Prompt.of("Which?\nA. one\nB. two\n(c) three\nAnswer now."))[0]
    assert asked[ASKED + 8 + 6] == 3
    assert asked[8 + sorted(SIGNS).index("\n") - 2] == math.log1p(5)  # the end of the text is one


def test_the_last_answers_are_seen():
    turns = (Message("user", "x"), Message("assistant", "", 200), Message("user", "y"), Message("assistant", "", 50))
    before = rows(Prompt((*turns, Message("user", "go on"))))[0, BEFORE:]
    assert before[2] == math.log1p(2)
    assert before[5:7].tolist() == [math.log1p(50), math.log1p(200)]

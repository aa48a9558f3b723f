"""Plain facts."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from soonest.core import Message, Prompt
from soonest.predict.text.facts import COLUMNS, SIGNS, facts
from soonest.predict.text.tokens import ends, texts

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
    views = [ends(p.text) for p in prompts]
    return facts(prompts, views, texts(views))


@given(st.lists(st.builds(Prompt, TURNS.map(tuple), max_tokens=st.integers(1, 1 << 20)), min_size=1, max_size=4))
def test_facts_are_finite_numbers_the_same_alone_and_together(prompts):
    found = rows(*prompts)
    assert found.shape == (len(prompts), COLUMNS)
    assert np.isfinite(found).all()
    assert (found == np.concatenate([rows(p) for p in prompts])).all()


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

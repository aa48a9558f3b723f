"""Examples as columns, and how they are split."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from soonest.core import Message, Prompt, TraceError
from soonest.data.examples import Examples, group_of


def talks(names):
    """An example for each name of a conversation."""
    return Examples.from_rows((Prompt.of(f"row {i}", conversation=name), i + 1, False) for i, name in enumerate(names))


@given(st.lists(st.sampled_from("abcdefghij"), min_size=10, max_size=60), st.integers(0, 1000))
def test_a_split_keeps_every_row_once_and_no_conversation_twice(names, seed):
    examples = talks(names)
    try:
        parts = examples.split((3, 1, 1), seed)
    except TraceError:
        return
    assert sorted(np.concatenate([part.tokens for part in parts]).tolist()) == examples.tokens.tolist()
    homes = [{prompt.conversation for prompt in part.prompts} for part in parts]
    assert sum(map(len, homes)) == len(set(names))
    assert all((np.diff(part.tokens) > 0).all() for part in parts)  # in the order of rows


@given(st.lists(st.integers(0, 200), min_size=50, max_size=400), st.integers(0, 1000))
def test_a_part_misses_its_share_by_at_most_the_largest_conversation(numbers, seed):
    names = [f"talk {n}" for n in numbers]
    largest = max(names.count(name) for name in names)
    shares = (0.6, 0.4)
    try:
        parts = talks(names).split(shares, seed)
    except TraceError:
        assert largest > 0.4 * len(names)
        return
    for part, share in zip(parts, shares, strict=True):
        assert abs(len(part) - share * len(names)) <= largest


@given(st.permutations(range(30)))
def test_where_a_conversation_falls_does_not_depend_on_the_order_of_rows(order):
    examples = talks([f"talk {i % 11}" for i in range(30)])
    sets = [{p.conversation for p in e.split((1, 1), 7)[0].prompts} for e in (examples, examples.take(list(order)))]
    assert sets[0] == sets[1]


def test_another_seed_splits_otherwise():
    examples = talks([f"talk {i}" for i in range(100)])
    firsts = {tuple(examples.split((1, 1), seed)[0].tokens.tolist()) for seed in range(10)}
    assert len(firsts) == 10


@pytest.mark.parametrize("shares", [(), (0, 1), (-1, 2), (float("nan"), 1), (1, float("inf"))])
def test_shares_that_are_none_are_refused(shares):
    with pytest.raises(TraceError, match="shares must be positive"):
        talks("abc").split(shares)


def test_too_few_conversations_for_the_parts_are_refused():
    with pytest.raises(TraceError, match="3 answers of 1 conversations"):
        talks("aaa").split((1, 1))


def test_rows_are_taken_by_number_or_by_truth():
    examples = talks("abcd")
    assert examples.take([2, 0]).tokens.tolist() == [3, 1]
    assert examples.take(examples.tokens > 2).tokens.tolist() == [3, 4]
    assert len(examples.take([])) == 0
    assert Examples.joined([examples, examples.take([1])]).tokens.tolist() == [1, 2, 3, 4, 2]


def test_turns_of_one_dialogue_share_a_group_with_or_without_a_name():
    first = (Message("system", "rules"), Message("user", "hello"))
    later = (*first, Message("assistant", "hi"), Message("user", "more"))
    assert group_of(Prompt(first)) == group_of(Prompt(later)) == group_of(Prompt.of("hello"))
    assert group_of(Prompt.of("hello")) != group_of(Prompt.of("more"))
    assert group_of(Prompt.of("a", conversation="x")) == group_of(Prompt.of("b", conversation="x"))
    assert group_of(Prompt.of("x")) != group_of(Prompt.of("", conversation="x"))


@given(st.text(alphabet=st.characters(codec=None), max_size=20))
def test_any_text_has_a_group(text):
    assert 0 <= group_of(Prompt.of(text)) < 1 << 64


def test_columns_of_different_lengths_and_empty_answers_are_refused():
    with pytest.raises(TraceError, match="for each prompt"):
        Examples((Prompt.of("a"),), np.zeros(2, np.int64), np.zeros(1, np.bool_), np.zeros(1, np.uint64))
    with pytest.raises(TraceError, match="at least one token"):
        Examples.from_rows([(Prompt.of("a"), 0, False)])

"""Splits by conversation."""

from hypothesis import given
from hypothesis import strategies as st

from soonest.core import Prompt
from soonest.predict.split import split_by_conversation


@given(
    st.lists(st.tuples(st.sampled_from(["", "a", "b", "c", "d"]), st.sampled_from("xyz")), min_size=1, max_size=40),
    st.floats(0.05, 0.95),
    st.integers(0, 5),
)
def test_no_conversation_and_no_text_is_on_both_sides(rows, share, seed):
    prompts = [Prompt.of(text, conversation=name) for name, text in rows]
    learn, check = split_by_conversation(prompts, share, seed)
    assert sorted(learn + check) == list(range(len(rows)))
    groups = [{prompts[i].conversation or "text " + prompts[i].text for i in side} for side in (learn, check)]
    assert not groups[0] & groups[1]
    if len(groups[0] | groups[1]) > 1:
        assert learn
        assert check


@given(st.integers(0, 20))
def test_a_group_that_is_most_of_the_data_is_learned_from(seed):
    prompts = [Prompt.of("Hi") for _ in range(900)] + [Prompt.of(str(i)) for i in range(100)]
    learn, check = split_by_conversation(prompts, 0.2, seed)
    assert len(learn) >= 600
    assert check

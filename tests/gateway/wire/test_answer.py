"""What finished answers tell."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes import answers

from soonest.gateway.wire import Usage, read_answer

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["choices", "usage", "finish_reason", "prompt_tokens", "completion_tokens", "prompt_tokens_details"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@pytest.mark.parametrize("path", ["completions", "chat/completions"])
def test_an_answer_tells_its_counts_and_its_end(path):
    said = {"messages": [{"content": "tokens=7"}]} if path.startswith("chat") else {"prompt": "tokens=7"}
    answer = read_answer(answers.whole(answers.asked(path, json.dumps({**said, "max_tokens": 5, "n": 2}))))
    assert answer.usage == Usage(4 if path.startswith("chat") else 1, 10)
    assert answer.finish == "length"


def test_cached_tokens_are_told_where_the_engine_does():
    usage = {"prompt_tokens": 9, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 8}}
    assert read_answer(json.dumps({"usage": usage}).encode()).usage == Usage(9, 1, 8)


@given(JSON.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=20))
def test_no_answer_raises(raw):
    read_answer(raw)

"""Prompts from whatever a client sends."""

from hypothesis import given
from hypothesis import strategies as st

from soonest.core import Message, Prompt
from soonest.core.request import DEFAULT_MAX_TOKENS

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["role", "content", "text", "type", "messages", "prompt"]) | st.text(), inner, max_size=4
        )
    ),
    max_leaves=12,
)
KEYS = st.sampled_from(
    ["messages", "prompt", "model", "max_tokens", "max_completion_tokens", "min_tokens", "temperature", "other"]
)


@given(st.dictionaries(KEYS, JSON))
def test_no_body_raises(body):
    prompt = Prompt.from_body(body)
    assert isinstance(prompt.text, str)
    assert 1 <= prompt.max_tokens <= DEFAULT_MAX_TOKENS
    assert prompt.length >= 0


def test_a_chat_is_read_turn_by_turn():
    turns = [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What"},
                {"type": "image_url", "image_url": {}},
                {"type": "text", "text": "is this?"},
            ],
        },
    ]
    prompt = Prompt.from_body({"messages": turns, "model": "m", "max_tokens": 9, "temperature": 0}, tenant="t", id="1")
    assert prompt.messages == (Message("system", "Be brief."), Message("user", "What\nis this?"))
    assert (prompt.model, prompt.tenant, prompt.id, prompt.max_tokens, prompt.temperature) == ("m", "t", "1", 9, 0)
    assert prompt.text == "What\nis this?"
    assert prompt.earlier == prompt.messages[:1]


def test_the_newer_limit_goes_before_the_older():
    assert Prompt.from_body({"prompt": "x", "max_tokens": 5, "max_completion_tokens": 7}).max_tokens == 7


def test_counted_tokens_go_before_estimated_ones():
    assert Prompt.of("12345").length == 2
    assert Prompt.of("12345", prompt_tokens=40).length == 40
    assert Prompt((Message("user", "1234"), Message("assistant", "", 100), Message("user", ""))).length == 101


def test_the_text_stays_out_of_repr():
    assert "secret" not in repr(Prompt.of("secret"))
    assert "secret" not in repr(Message("user", "secret"))

"""Events: whole ones come out in the bytes they came in, however they are split."""

import json
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fakes import answers

from soonest.gateway.wire import Events, Usage, in_stream

USAGE = b'data: {"id":"x","choices":[],"usage":{"prompt_tokens":5,"total_tokens":8,"completion_tokens":3}}'
ENDS = [b"\n\n", b"\r\n\r\n", b"\r\r", b"\r\n\n", b"\n\r\n"]
ROLE = b'data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}'
LAST = b'data: {"choices":[{"index":0,"delta":{"content":""},"finish_reason":"length"}]}'
ODD = [
    b"",
    b": a comment",
    b"event: ping",
    b"data",
    b"data:",
    b"data: not json",
    b"data: [1]",
    b"data: null",
    b'data: {"choices":[{"delta":{"content":"\\"usage\\" [DONE] data: \\n\\n"}}]}',
    b'data: {"choices":\ndata: []}',
    b'data: {"usage":{"prompt_tokens":-1}}',
    b'data: {"choices":[{"delta":{"content":"usage"},"finish_reason":null}],"usage":null}',
    b"\xff\xfe",
    ROLE,
    LAST,
    b'data:{"choices":[{"text":" a","finish_reason": null}],"usage": null}',
    b"data: [DONE]",
    b'data: {"error":{"message":"no"}}',
]


def content(text, extra=b""):
    said = json.dumps(text).encode()
    return b'data: {"choices":[{"index":0,"delta":{"content":' + said + b'},"finish_reason":null}]' + extra + b"}"


def fed(events, stream, cuts):
    """All that comes out of a stream that is cut at these places."""
    places = [0, *sorted(cuts), len(stream)]
    return [events.feed(stream[a:b]) for a, b in pairwise(places)] + [events.end()]


def splits(stream):
    return st.lists(st.integers(0, len(stream)), max_size=12)


@settings(max_examples=150)
@given(st.data())
def test_what_comes_out_is_what_went_in_less_the_event_to_be_dropped(data):
    events = st.tuples(st.sampled_from([*ODD, USAGE]) | st.text(max_size=5).map(content), st.sampled_from(ENDS))
    drawn = data.draw(st.lists(events, max_size=12))
    tail = data.draw(st.sampled_from([b"", b"data: {", USAGE, b"\r", b"data: [DONE]\r\n"]))
    stream = b"".join(event + end for event, end in drawn) + tail
    drop = data.draw(st.booleans())
    kept = b"".join(event + end for event, end in drawn if not drop or event != USAGE) + tail
    out = b"".join(fed(Events(drop), stream, data.draw(splits(stream))))
    if b"\n\r" not in stream and b"\r\n\n" not in stream:
        assert out == kept
    assert no_line_ends(out) == no_line_ends(kept)


def no_line_ends(stream):
    return stream.replace(b"\r", b"").replace(b"\n", b"")


@settings(max_examples=200)
@given(st.data(), st.integers(1, 12), st.booleans(), st.booleans(), st.sampled_from([b"\n\n", b"\r\n\r\n"]))
def test_an_answer_tells_the_same_however_it_is_split(data, tokens, chat, drop, end):
    path, said = ("chat/completions", "messages") if chat else ("completions", "prompt")
    body = {said: [{"content": f"tokens={tokens}"}] if chat else f"tokens={tokens}", "n": 2}
    ask = answers.asked(path, json.dumps({**body, "stream_options": {"include_usage": True}}))
    stream = b"".join(answers.Events(ask).all()).replace(b"\n\n", end)
    events = Events(drop)
    parts = fed(events, stream, data.draw(splits(stream)))
    assert all(part.endswith(end) for part in parts if part)
    assert (events.done, events.finish, events.failed) == (True, "stop", False)
    assert events.usage == Usage(ask.prompt_tokens, 2 * tokens, None)
    assert events.chunks == 2 * tokens
    assert (b'"choices":[]' in b"".join(parts)) is not drop


@given(st.data())
def test_a_whole_event_is_given_out_at_once(data):
    stream = ROLE + b"\n\n" + content("a") + b"\n\n"
    cut = data.draw(st.integers(0, len(stream)))
    events = Events()
    first = events.feed(stream[:cut])
    assert first == stream[: stream.rindex(b"\n\n", 0, cut) + 2 if b"\n\n" in stream[:cut] else 0]
    assert first + events.feed(stream[cut:]) == stream
    assert events.end() == b""


@pytest.mark.parametrize("end", ENDS)
def test_lines_end_as_the_standard_allows(end):
    events = Events(drop_usage=True)
    out = events.feed(ROLE + end + content("a") + end + USAGE + end + b"data: [DONE]" + end + b":")
    assert out == ROLE + end + content("a") + end + b"data: [DONE]" + end
    assert (events.chunks, events.done, events.usage) == (1, True, Usage(5, 3, None))


def test_a_line_feed_that_may_come_is_waited_for():
    events = Events()
    assert events.feed(content("a") + b"\r\n\r") == b""
    assert events.feed(b"\n") == content("a") + b"\r\n\r\n"


def test_usage_on_every_event_is_read_and_nothing_dropped():
    events = Events()
    stream = b"".join(
        content(
            "a", b',"usage":{"prompt_tokens":7,"completion_tokens":%d,"prompt_tokens_details":{"cached_tokens":4}}' % i
        )
        + b"\n\n"
        for i in range(1, 4)
    )
    assert events.feed(stream) == stream
    assert events.usage == Usage(7, 3, 4)
    assert events.chunks == 3


def test_spaces_after_colons_are_read():
    events = Events(drop_usage=True)
    spaced = USAGE.replace(b'":', b'" : ')
    first = content("a") + b"\n\n"
    assert (
        events.feed(first) + events.feed(first + spaced + b"\n\n" + b"data: [DONE]\n\n")
        == first * 2 + b"data: [DONE]\n\n"
    )
    assert events.usage == Usage(5, 3)


def test_a_cut_choice_is_what_the_answer_ended_of():
    events = Events()
    events.feed(content("a") + b"\n\n" + LAST + b"\n\n")
    assert (events.finish, events.chunks) == ("length", 2)


def test_a_call_of_a_tool_is_content():
    events = Events()
    events.feed(ROLE + b"\n\n" + b'data: {"choices":[{"delta":{"tool_calls":[{"index":0}]}}]}\n\n')
    assert events.chunks == 1


@pytest.mark.parametrize("before", [b"", content("a") + b"\n\n"])
def test_an_error_event_is_seen_and_handed_on(before):
    events = Events()
    events.feed(before)
    event = in_stream("gone", 502)
    assert events.feed(event) == event
    assert events.failed


def test_words_of_an_answer_are_no_signs():
    events = Events(drop_usage=True)
    words = ["error", "[DONE]", "usage", "finish_reason", '"choices":[],"usage":{}', "data: [DONE]\n\n"]
    stream = b"".join(content(word) + b"\n\n" for word in words)
    assert events.feed(stream) == stream
    assert (events.chunks, events.done, events.failed, events.finish, events.usage) == (6, False, False, None, None)


def test_an_event_beyond_all_measure_goes_out_in_parts():
    events = Events()
    big = content("a" * (3 << 20)) + b"\n\n"
    parts = [events.feed(big[i : i + 65536]) for i in range(0, len(big), 65536)]
    assert b"".join(parts) + events.end() == big
    assert max(map(len, parts)) < 2 << 20


def test_the_end_hands_out_a_last_event_that_was_not_ended():
    events = Events()
    assert events.feed(b"data: [DONE]\n") == b""
    assert events.end() == b"data: [DONE]\n"
    assert events.done
    assert events.end() == b""

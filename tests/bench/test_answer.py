"""An answer is heard event by event, however its bytes are cut."""

import math
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from soonest.bench import Answer
from soonest.core import Outcome

STREAM = (
    b'data: {"choices":[{"delta":{"role":"assistant","content":""},"finish_reason":null}]}\n\n'
    b'data: {"choices":[{"delta":{"content":"one "},"finish_reason":null}]}\n\n'
    b": a comment\n\n"
    b'data: {"choices":[{"delta":{"content":"zw\xc3\xb6lf"},"finish_reason":"stop"}]}\n\n'
    b'data: {"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3}}\n\n'
    b"data: [DONE]\n\n"
)


def heard(*pieces):
    answer = Answer("a", 0.0, 0.0, 5)
    for number, piece in enumerate(pieces, start=1):
        answer.feed(piece, float(number))
    answer.end()
    return answer


@given(st.lists(st.integers(0, len(STREAM)), max_size=20), st.booleans())
def test_an_answer_is_the_same_however_its_bytes_are_cut(cuts, carriage):
    stream = STREAM.replace(b"\n", b"\r\n") if carriage else STREAM
    edges = [0, *sorted(cuts), len(stream)]
    answer = heard(*(stream[a:b] for a, b in pairwise(edges)))
    assert (answer.done, answer.prompt_tokens, answer.output_tokens, answer.finish) == (True, 7, 3, "stop")
    assert len(answer.times) == 2
    assert answer.times[0] <= answer.times[1] == answer.last


def test_a_role_alone_is_no_token():
    answer = heard(*STREAM.split(b"\n\n")[:1])
    assert answer.times == []


def test_the_first_token_is_that_with_text_and_the_end_that_of_the_last_choice():
    record = heard(*(event + b"\n\n" for event in STREAM.split(b"\n\n")[:-1])).record()
    assert (record.arrival, record.first_token, record.finished) == (0.0, 2.0, 4.0)
    assert math.isnan(record.admitted), "nobody said how long it queued"


def test_an_answer_without_a_reason_to_finish_broke_off():
    assert heard(STREAM[:170]).reason == "broke off"
    assert heard(b"").reason == "no answer"


def test_tokens_that_nobody_counts_are_events():
    answer = heard(STREAM.replace(b'"usage"', b'"other"'))
    assert (answer.counted, answer.output_tokens) == (None, 2)


def test_an_error_in_the_stream_and_an_unreadable_event_are_failures():
    for event, reason in (
        (
            b'data: {"error":{"message":"no","type":"InternalServerError"}}\n\n',
            "error in the stream: InternalServerError",
        ),
        (b"data: {{{\n\n", "unreadable event"),
        (b"data: [1]\n\n", "unreadable event"),
    ):
        answer = heard(STREAM[:170], event)
        assert (answer.reason, answer.outcome, answer.record().outcome) == (reason, Outcome.FAILED, Outcome.FAILED)


@given(st.binary(max_size=200))
def test_whatever_comes_is_an_answer_or_a_failure(data):
    answer = heard(data, b"data: " + data + b"\n\n")
    assert answer.record().outcome in {Outcome.FINISHED, Outcome.FAILED}


def test_queueing_lies_between_arrival_and_the_first_token():
    for said, admitted in ((500.0, 0.5), (9e9, 1.0), (-1.0, math.nan)):
        answer = Answer("a", 0.0, 0.0, queue_ms=said)
        answer.feed(STREAM, 1.0)
        assert answer.record().admitted == admitted or math.isnan(admitted)

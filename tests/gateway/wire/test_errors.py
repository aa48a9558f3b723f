"""Errors of ours, as clients read them."""

import json

import pytest

from soonest.gateway.wire import failure, in_stream
from soonest.gateway.wire.errors import KINDS


@pytest.mark.parametrize("status", KINDS)
def test_an_error_is_nested_and_names_its_status(status):
    made = failure(status, 'it "failed"', param="n")
    told = json.loads(made.body)["error"]
    assert told == {"message": 'it "failed"', "type": KINDS[status], "param": "n", "code": status}
    headers = dict(made.headers)
    assert made.status == status
    assert headers[b"content-length"] == str(len(made.body)).encode()
    assert headers[b"content-type"] == b"application/json"


@pytest.mark.parametrize(
    ("seconds", "whole", "ms"),
    [(0, b"1", b"1"), (0.2, b"1", b"200"), (1.0, b"1", b"1000"), (1.0004, b"2", b"1001"), (90, b"90", b"90000")],
)
def test_a_retry_is_told_in_whole_seconds_of_at_least_one(seconds, whole, ms):
    headers = dict(failure(429, "full", retry_after=seconds).headers)
    assert (headers[b"retry-after"], headers[b"retry-after-ms"]) == (whole, ms)


def test_who_names_no_key_is_told_what_kind_is_asked_for():
    assert dict(failure(401, "who?").headers)[b"www-authenticate"] == b"Bearer"


def test_an_error_in_a_stream_is_an_event():
    event = in_stream("the engine is gone", 502)
    assert event.startswith(b"data: {")
    assert event.endswith(b"}\n\n")
    assert json.loads(event[6:])["error"]["type"] == "BadGatewayError"


def test_a_message_that_cannot_be_encoded_is_told_all_the_same():
    assert b"odd ?" in failure(400, "odd \ud800").body

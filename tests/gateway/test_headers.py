"""Headers that are not ASCII go on as they came, or the client is told why not."""

import json

import pytest
from tests.fakes.engine import running as fake_engine
from tests.gateway.clients import CHAT, chat, error_of, until
from tests.gateway.raw import answer
from tests.gateway.running import running

BODY = json.dumps(chat(2)).encode()
PATHS = [CHAT, "/v1/echo"]


def asked(url, path, value):
    return answer(url, b"POST %b HTTP/1.1\r\nX-Odd: %b" % (path.encode(), value), BODY)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("value", [b"caf\xe9", b"\xff\xfe", b"a\x80", b"\xed\xa0\x80", b"ok \xc3\xa9 \xe9"])
def test_what_is_not_utf_8_is_a_400_that_names_the_header(path, value):
    with fake_engine() as fake, running(fake.url) as gateway:
        said = asked(gateway.url, path, value)
        assert said.startswith(b"HTTP/1.1 400 ")
        error = error_of(said.partition(b"\r\n\r\n")[2])
        assert error["type"] == "BadRequestError"
        assert "x-odd must be UTF-8" in error["message"]
        assert not fake.engine.requests[path]
        until(gateway.idle)
        assert gateway.call(lambda: next(iter(gateway.gateway.backends.values())).engine.breaker.failures) == 0


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("value", [b"caf\xc3\xa9", "漢字 \U0001f600".encode(), b"a\tb", b"\xc2\x80"])
def test_what_is_utf_8_goes_on_byte_for_byte(path, value):
    with fake_engine() as fake, running(fake.url) as gateway:
        assert asked(gateway.url, path, value).startswith(b"HTTP/1.1 200 ")
        (seen,) = [text for name, text in fake.seen()["last"]["headers"] if name.lower() == "x-odd"]
        assert seen.encode("latin-1") == value

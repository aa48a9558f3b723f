"""The live page over HTTP: there only where asked for, behind keys, without prompts, and bounded."""

import asyncio
import hashlib
import http.client
import json
import signal
import threading
import time
import urllib.error
import urllib.request
from contextlib import contextmanager, suppress
from itertools import pairwise

import aiohttp
import pytest
from tests.fakes.engine import running as fake_engine
from tests.gateway.clients import ask, asking, chat, until
from tests.gateway.process.served import serving
from tests.gateway.running import running

from soonest.gateway.access import Access, Key
from soonest.gateway.ui import stream
from soonest.gateway.ui.crowd import MOST_IN_LINE
from soonest.gateway.ui.picture import MOST_ROWS, MOST_TENANTS

MAY, MAY_NOT = "quetzal-key-0123456789", "walrus-key-0123456789"
LARGEST = 256 * 1024
"""Bytes of a picture, whatever clients call themselves."""


def keys():
    return Access(
        [
            Key("operator", hashlib.sha256(MAY.encode()).digest(), "operator", ui=True),
            Key("customer", hashlib.sha256(MAY_NOT.encode()).digest(), "customer"),
        ]
    )


def customers():
    """The same without the key that may look."""
    return Access([Key("customer", hashlib.sha256(MAY_NOT.encode()).digest(), "customer")])


def get(url, key=""):
    """Status, headers and body, whatever the status."""
    asked = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"} if key else {})  # noqa: S310 - ours
    try:
        with urllib.request.urlopen(asked, timeout=10) as answer:  # noqa: S310 - our own
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read()


class Viewer:
    """Somebody who looks at the stream."""

    def __init__(self, url, key=""):
        self._connection = http.client.HTTPConnection(url.partition("//")[2], timeout=10)
        self._connection.request("GET", "/ui/events", headers={"Authorization": f"Bearer {key}"} if key else {})
        self.answer = self._connection.getresponse()

    def event(self):
        """The next one: its kind and its bytes; nothing once the stream has ended."""
        lines = []
        while (line := self.answer.readline()) not in {b"\n", b""}:
            lines.append(line.rstrip(b"\n"))
        if not lines:
            return "", b""
        kind, data = lines
        assert data.startswith(b"data: ")
        return kind.removeprefix(b"event: ").decode(), data[6:]

    def picture(self):
        kind, data = self.event()
        assert kind == "picture"
        return json.loads(data)

    def close(self):
        self.answer.close()
        self._connection.close()


@contextmanager
def looking(url, key=""):
    viewer = Viewer(url, key)
    try:
        yield viewer
    finally:
        viewer.close()


@contextmanager
def crowd(url, *asked):
    """Requests, each a body with its headers, that wait or run as long as the block, or until their clients leave.

    It gives what makes them leave.
    """

    async def main():
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            await asyncio.gather(*(ask(session, url, body, **headers) for body, headers in asked))

    loop = asyncio.new_event_loop()
    task = loop.create_task(main())

    def run():
        with suppress(asyncio.CancelledError):
            loop.run_until_complete(task)

    def leave():
        loop.call_soon_threadsafe(task.cancel)
        thread.join(20)
        assert not thread.is_alive()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield leave
    finally:
        leave()
        loop.close()


def test_it_is_not_there_unless_asked_for():
    with fake_engine() as fake, running(fake.url) as gateway:
        assert gateway.gateway.live is None
        get(f"{gateway.url}/ui")
        assert fake.seen()["paths"]["/ui"] == 1, "passed on, as any path"


def test_the_page_and_its_parts_are_served_under_a_strict_policy():
    with fake_engine() as fake, running(fake.url, ui=True) as gateway:
        status, headers, page = get(f"{gateway.url}/ui")
        assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
        policy = dict(part.strip().partition(" ")[::2] for part in headers["content-security-policy"].split(";"))
        assert policy == {
            "default-src": "'none'",
            **dict.fromkeys(("script-src", "style-src", "img-src", "connect-src"), "'self'"),
            **dict.fromkeys(("base-uri", "form-action", "frame-ancestors"), "'none'"),
        }
        assert headers["x-content-type-options"] == "nosniff"
        for name, kind in {"main.js": "text/javascript", "ui.css": "text/css", "icon.svg": "image/svg+xml"}.items():
            status, headers, _ = get(f"{gateway.url}/ui/{name}")
            assert (status, headers["content-type"].partition(";")[0]) == (200, kind)
            assert "script-src 'self'" in headers["content-security-policy"]
        assert b"://" not in page, "nothing comes from elsewhere"
        for path in ("/ui/none.js", "/ui/..%2f..%2flive.py", "/ui/index.html"):
            assert get(gateway.url + path)[0] == 404
        assert "/ui/main.js" not in fake.seen()["paths"]


def test_what_it_shows_needs_a_key_that_may_look():
    with fake_engine() as fake, running(fake.url, ui=True, parts={"access": keys()}) as gateway:
        assert b'data-keys="yes"' in get(f"{gateway.url}/ui/")[2], "the page itself holds nothing"
        for path in ("/ui/events", "/ui/requests/x"):
            for key, status in {"": 401, "wrong": 401, MAY_NOT: 403}.items():
                found, headers, body = get(gateway.url + path, key)
                assert found == status
                assert json.loads(body)["error"]["code"] == status
                assert headers["cache-control"] == "no-store"
        asking(chat(1), url=gateway.url, Authorization=f"Bearer {MAY}")
        with looking(gateway.url, MAY) as viewer:
            _, seen = viewer.event()
        assert [row["tenant"] for row in json.loads(seen)["requests"]] == ["operator"]
        assert MAY.encode() not in seen
        assert get(f"{gateway.url}/ui/requests/x", MAY)[0] == 404


def test_without_keys_anybody_may_look():
    with fake_engine() as fake, running(fake.url, ui=True) as gateway:
        assert b'data-keys="no"' in get(f"{gateway.url}/ui")[2]
        with looking(gateway.url) as viewer:
            assert viewer.answer.headers["content-type"] == "text/event-stream; charset=utf-8"
            assert viewer.answer.headers["cache-control"] == "no-store"
            first, second = viewer.picture(), viewer.picture()
            assert second["at"] - first["at"] > 0.5


def test_no_prompt_and_no_answer_is_ever_in_it():
    prompt = "xylophone-of-zanzibar"
    body = {**chat(3000, stream=True, user=prompt), "metadata": {"a": prompt}}
    body["messages"].insert(0, {"role": "system", "content": prompt})
    with fake_engine(step_ms=20, slots=1) as fake, running(fake.url, ui=True, in_flight=1) as gateway:
        asking({**body, "max_tokens": 5}, url=gateway.url)
        with crowd(gateway.url, (body, {}), (body, {})):
            until(lambda: len(gateway.gateway.dispatcher.queue) == 1)
            with looking(gateway.url) as viewer:
                _, seen = viewer.event()
            rows = json.loads(seen)["requests"]
            assert {row["state"] for row in rows} == {"waiting", "running", "finished"}
            seen += b"".join(get(f"{gateway.url}/ui/requests/{row['key']}")[2] for row in rows)
        assert prompt.encode() not in seen
        assert b"finish_reason" in seen


@pytest.mark.parametrize(
    ("odd", "shown"),
    [
        ({"model": "half \ud800 a pair"}, "half ? a pair"),
        ({"model": "m" * 1000}, "m" * 128),
        ({"model": "ein Größeres 😀"}, "ein Größeres 😀"),
        ({"priority": 10**30, "seed": 10**40}, "fake"),
    ],
)
def test_a_request_is_told_whatever_stands_in_its_body(odd, shown):
    with fake_engine(step_ms=20) as fake, running(fake.url, ui=True) as gateway:
        asking({**chat(1, model="fake"), **odd}, url=gateway.url)
        with crowd(gateway.url, ({**chat(30000, stream=True, model="fake"), **odd}, {})):
            until(lambda: gateway.gateway.dispatcher.places[0].in_flight == 1)
            with looking(gateway.url) as viewer:
                rows = {row["state"]: row for row in viewer.picture()["requests"]}
            assert {"running"} <= set(rows) <= {"running", "finished", "failed"}
            for row in rows.values():
                status, _, said = get(f"{gateway.url}/ui/requests/{row['key']}")
                assert (status, json.loads(said)["model"]) == (200, shown)


def test_a_picture_is_bounded_whatever_clients_call_themselves():
    worst = "\\" * 124
    named = [
        {"X-Request-Id": f"{worst}{i:04d}", "x-gateway-inference-fairness-id": f"{worst}{i:04d}"} for i in range(300)
    ]
    with fake_engine(step_ms=50, slots=64) as fake, running(fake.url, ui=True, in_flight=MOST_ROWS) as gateway:
        for headers in named[:2]:
            asking(*[chat(1)] * (MOST_ROWS // 2), url=gateway.url, **headers)
        with crowd(gateway.url, *((chat(1000), headers) for headers in named)):
            until(lambda: len(gateway.gateway.dispatcher.queue) == len(named) - MOST_ROWS)
            with looking(gateway.url) as viewer:
                _, data = viewer.event()
        picture = json.loads(data)
        assert len(picture["tenants"]["rows"]) == MOST_TENANTS
        assert picture["tenants"]["more"] > 0
        states = [row["state"] for row in picture["requests"]]
        assert [states.count(state) for state in ("waiting", "running", "finished")] == [
            MOST_IN_LINE,
            MOST_ROWS,
            MOST_ROWS,
        ]
        assert 30_000 < len(data) < LARGEST


def test_all_viewers_see_the_same_picture_and_nothing_is_drawn_for_nobody(monkeypatch):
    drawn = []
    real = stream.picture
    monkeypatch.setattr(stream, "picture", lambda *facts: drawn.append(1) or real(*facts))
    with fake_engine() as fake, running(fake.url, ui=True) as gateway:
        asking(chat(1), url=gateway.url)
        assert not drawn
        live = gateway.gateway.live
        with looking(gateway.url) as one:
            one.picture()
            with looking(gateway.url) as other:
                seen, known = {one.event()}, set()
                until(lambda: known.add(other.event()) or known & seen or seen.add(one.event()))
                assert live.stream.viewers == 2
        until(lambda: live.stream.viewers == 0)
        until(lambda: live.stream._task is None)
        before = len(drawn)
        time.sleep(1.5)
        assert len(drawn) == before


def test_a_key_that_is_taken_away_sees_nothing_more():
    with (
        fake_engine() as fake,
        running(fake.url, ui=True, parts={"access": keys()}) as gateway,
        looking(gateway.url, MAY) as viewer,
    ):
        viewer.picture()
        gateway.gateway.access = customers()
        until(lambda: viewer.event() == ("", b""))


def test_a_picture_that_is_dear_is_made_less_often(monkeypatch):
    def dear(*_):
        end = time.thread_time() + 0.02
        while time.thread_time() < end:
            pass
        return {"at": time.monotonic()}

    monkeypatch.setattr(stream, "picture", dear)
    monkeypatch.setattr(stream, "EVERY", 0.01)
    monkeypatch.setattr(stream, "SHARE", 20)
    with fake_engine() as fake, running(fake.url, ui=True) as gateway, looking(gateway.url) as viewer:
        times = [viewer.picture()["at"] for _ in range(4)]
    assert all(later - earlier > 20 * 0.02 for earlier, later in pairwise(times))


def test_one_that_fails_is_logged_and_the_stream_ends(monkeypatch, caplog):
    monkeypatch.setattr(stream, "picture", lambda *_: 1 / 0)
    with fake_engine() as fake, running(fake.url, ui=True) as gateway:
        with looking(gateway.url) as viewer:
            assert [viewer.event(), viewer.event()] == [("fault", b"{}"), ("", b"")]
        assert "the live page cannot be drawn" in caplog.text
        monkeypatch.undo()
        with looking(gateway.url) as viewer:
            assert viewer.picture()["engines"][0]["up"], "the next one that looks may have better luck"


def test_asked_for_its_head_alone_a_stream_ends():
    with fake_engine() as fake, running(fake.url, ui=True) as gateway:
        asked = urllib.request.Request(f"{gateway.url}/ui/events", method="HEAD")  # noqa: S310 - our own
        with urllib.request.urlopen(asked, timeout=10) as answer:  # noqa: S310 - our own
            assert answer.headers["content-type"].startswith("text/event-stream")


@pytest.mark.slow
@pytest.mark.parametrize("flag", [True, False])
def test_a_flag_or_its_variable_turns_it_on_and_the_log_says_where(monkeypatch, flag):
    if not flag:
        monkeypatch.setenv("SOONEST_SERVE_UI", "1")
    words = ("--journal", "none", *(["--ui"] if flag else []))
    with fake_engine() as fake, serving("--engine", fake.url, *words) as gateway:
        until(lambda: f"the live page is at {gateway.url}/ui" in gateway.log())
        with looking(gateway.url) as viewer:
            assert viewer.picture()["policy"] == "response_ratio(shortest)"
            gateway.process.send_signal(signal.SIGTERM)
            until(lambda: viewer.event()[0] == "goodbye")
        assert gateway.process.wait(10) == 0


def test_only_so_many_may_look():
    with fake_engine() as fake, running(fake.url, ui=True) as gateway:
        gateway.gateway.live.stream.viewers = stream.MOST_VIEWERS
        status, headers, _ = get(f"{gateway.url}/ui/events")
        assert (status, headers["retry-after"]) == (503, "5")


def test_a_gateway_that_ends_says_goodbye_and_waits_for_no_viewer():
    with fake_engine() as fake:
        with running(fake.url, ui=True) as gateway:
            viewer = Viewer(gateway.url)
            viewer.picture()
        said = viewer.event()
        while said[0] not in {"goodbye", ""}:  # pictures that were on their way
            said = viewer.event()
        assert said == ("goodbye", b"{}")
        assert viewer.event() == ("", b"")
        viewer.close()

"""A whole gateway that is killed or asked to end, under load: what was promised is kept."""

import http.client
import json
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

import pytest
from tests.fakes.engine import running as fake_engine
from tests.gateway.clients import CHAT, asking, chat, events, until
from tests.gateway.process.served import serving

from soonest.data.journal import read_journal

pytestmark = pytest.mark.slow
PROMISED, MARGIN = 0.05, 2.0  # seconds; the margin is for a machine that is busy with other things
CLIENTS = 6
LONG = 1500
"""Tokens of an answer that is under way while other things happen: seconds."""
LOAD = """
import json, os, sys, threading, time, urllib.request

def say(name):
    os.write(1, f"{name} {time.time():.6f}\\n".encode())

def go(k):
    for n in range(10**6):
        name, turn = sys.argv[2] + f"{k}-{n}", dict(role="user", content=f"tokens={n % 9 + 1}")
        body = json.dumps(dict(model="m", stream=n % 2 == 0, messages=[turn])).encode()
        asked = urllib.request.Request(sys.argv[1], body, {"X-Request-Id": name})
        try:
            with urllib.request.urlopen(asked, timeout=30) as answer:
                whole = answer.read()
        except Exception:
            return
        if (b"data: [DONE]" in whole) if n % 2 == 0 else json.loads(whole)["choices"]:
            say(name)

threads = [threading.Thread(target=go, args=(k,)) for k in range(int(sys.argv[3]))]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


def killed(gateway, life, seconds=4.0):
    """Ask and ask until it is killed; the names of the answers that came, and when, and when it was killed."""
    command = [sys.executable, "-c", LOAD, gateway.url + CHAT, f"{life}-", str(CLIENTS)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as clients:
        first = clients.stdout.readline()
        time.sleep(seconds)
        moment = time.time()
        gateway.kill()
        told = [first, *clients.communicate(timeout=40)[0].splitlines()]
    return {name: float(at) for name, at in map(str.split, told)}, moment


@pytest.mark.parametrize("strict", [True, False], ids=["strict", "windowed"])
def test_after_a_kill_the_journal_lacks_no_more_than_was_promised(tmp_path, strict):
    path = tmp_path / "j.db"
    flags = ("--journal", str(path), "--in-flight", "4", *(["--strict-journal"] if strict else []))
    heard, due = {}, set()
    with fake_engine(step_ms=1) as fake:
        for life in range(3):
            with serving("--engine", fake.url, *flags) as gateway:
                told, moment = killed(gateway, life)
            heard |= told
            due |= {name for name, at in told.items() if strict or at < moment - PROMISED - MARGIN}
        with sqlite3.connect(path) as base:
            assert base.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        base.close()
        rows = {row.id: row for row in read_journal(path)}
        assert len(due) > 20
        assert due <= {name for name, row in rows.items() if row.done}
        assert all(rows[name].output_tokens == int(name.rpartition("-")[2]) % 9 + 1 for name in due)
        assert {row.run for row in rows.values()} == {1, 2, 3}
        with serving("--engine", fake.url, *flags) as gateway:
            assert asking(chat(2), url=gateway.url, **{"X-Request-Id": "after"})[0][0] == 200
        assert {row.id: row for row in read_journal(path)}["after"].done


def test_asked_to_end_it_lets_those_end_who_run_or_wait_and_takes_no_more(tmp_path):
    path = tmp_path / "j.db"
    with fake_engine(step_ms=5, slots=2) as fake:
        flags = ("--journal", str(path), "--in-flight", "2", "--policy", "fcfs")
        with serving("--engine", fake.url, *flags) as gateway:
            found = []
            bodies = [chat(LONG, stream=True)] * 2 + [chat(3)] * 4
            asked = threading.Thread(target=lambda: found.extend(asking(*bodies, url=gateway.url)))
            asked.start()
            until(lambda: gateway.sum("soonest_num_requests_waiting") == 4)
            kept = http.client.HTTPConnection(gateway.url.partition("//")[2], timeout=10)
            kept.connect()
            gateway.process.send_signal(signal.SIGTERM)
            until(lambda: "stopping" in gateway.log())
            kept.request("POST", CHAT, json.dumps(chat(1)))
            refused = kept.getresponse()
            assert refused.status == 503
            assert int(refused.headers["retry-after"]) >= 1
            refused.read()
            kept.close()
            with pytest.raises(urllib.error.HTTPError, match="503") as unready:
                urllib.request.urlopen(f"{gateway.url}/ready", timeout=10)  # noqa: S310 - our own
            unready.value.close()
            with pytest.raises(urllib.error.HTTPError, match="503") as unready:
                urllib.request.urlopen(f"{gateway.url}/ready/gateway", timeout=10)  # noqa: S310 - our own
            unready.value.close()
            asked.join(30)
            assert gateway.process.wait(10) == 0
        assert [status for status, _, _ in found] == [200] * 6
        for _, _, body in found[:2]:
            told = events(body)
            assert told[-1] == "[DONE]"
            assert sum(bool(event["choices"][0]["delta"].get("content")) for event in told[:-1]) == LONG
    assert sum(row.done for row in read_journal(path)) == 6


def test_asked_to_read_its_keys_again_it_does_and_lets_those_end_who_run(tmp_path):
    keys = tmp_path / "keys.toml"
    keys.write_text('[[key]]\nname = "a"\nkey = "old"\n', encoding="utf-8")
    flags = ("--journal", "none", "--keys", str(keys))
    with fake_engine(step_ms=5) as fake, serving("--engine", fake.url, *flags) as gateway:
        found = []
        asked = threading.Thread(
            target=lambda: found.extend(asking(chat(LONG), url=gateway.url, Authorization="Bearer old"))
        )
        asked.start()
        until(lambda: gateway.sum("soonest_num_requests_running") == 1)
        keys.write_text('[[key]]\nname = "a"\nkey = "new"\n', encoding="utf-8")
        gateway.process.send_signal(signal.SIGHUP)
        until(lambda: "read the key file again" in gateway.log())
        for key, status in (("new", 200), ("old", 401)):
            assert asking(chat(1), url=gateway.url, Authorization=f"Bearer {key}")[0][0] == status
        asked.join(30)
        assert [status for status, _, _ in found] == [200]


def test_asked_twice_it_ends_at_once():
    with fake_engine() as fake, serving("--engine", fake.url, "--journal", "none") as gateway:
        hanging = threading.Thread(target=asking, args=(chat(1, "hang"),), kwargs={"url": gateway.url})
        hanging.start()
        until(lambda: gateway.sum("soonest_num_requests_running") == 1)
        gateway.process.send_signal(signal.SIGTERM)
        until(lambda: "stopping" in gateway.log())
        gateway.process.send_signal(signal.SIGINT)
        assert gateway.process.wait(10) == 0
        hanging.join(10)


def test_with_time_up_it_ends_those_who_still_run():
    flags = ("--journal", "none", "--drain-timeout", "0.5")
    with fake_engine(step_ms=5) as fake, serving("--engine", fake.url, *flags) as gateway:
        found = []
        asked = threading.Thread(target=lambda: found.extend(asking(chat(10_000, stream=True), url=gateway.url)))
        asked.start()
        until(lambda: gateway.sum("soonest_num_requests_running") == 1)
        gateway.process.send_signal(signal.SIGTERM)
        assert gateway.process.wait(10) == 0
        asked.join(10)
        until(lambda: fake.seen()["cancelled"] == 1)

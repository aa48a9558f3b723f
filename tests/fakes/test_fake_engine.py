"""The fake behaves as the engines that it stands for."""

import json
import subprocess
import sys
import threading
import time
import urllib.request

import pytest
from tests.fakes.engine import running
from tests.gateway.clients import until


def ask(url, text, **more):
    body = json.dumps({"prompt": text, **more}).encode()
    with urllib.request.urlopen(f"{url}/v1/completions", body, timeout=10) as answer:  # noqa: S310 - our own
        return json.loads(answer.read())


def order_of(fake, priorities):
    """Who ends when, of requests that wait behind a long one."""
    ended = []

    def one(priority):
        ask(fake.url, "tokens=20", priority=priority)
        ended.append(priority)

    threads = [threading.Thread(target=ask, args=(fake.url, "tokens=1000"))]
    threads += [threading.Thread(target=one, args=(priority,)) for priority in priorities]
    for there, thread in enumerate(threads, start=1):
        thread.start()
        until(lambda there=there: (seen := fake.seen())["waiting"] + seen["running"] == there)
    for thread in threads:
        thread.join()
    return ended


@pytest.mark.parametrize(("priority", "order"), [(True, [-1, 2, 5]), (False, [5, -1, 2])])
def test_it_serves_by_arrival_or_by_priority(priority, order):
    with running(slots=1, step_ms=5, priority=priority) as fake:
        assert order_of(fake, [5, -1, 2]) == order
        assert fake.seen()["most_running"] == 1


def test_a_step_makes_a_token_for_all_that_run():
    with running(slots=4, step_ms=5) as fake:
        started = time.monotonic()
        threads = [threading.Thread(target=ask, args=(fake.url, "tokens=100")) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert time.monotonic() - started >= 0.5
        assert fake.seen()["most_running"] == 4


def test_answers_depend_on_their_prompts_alone():
    with running() as fake:
        one, same, other = (ask(fake.url, text) for text in ("hello", "hello", "hello you"))
    assert one["choices"] == same["choices"] != other["choices"]
    assert one["usage"]["completion_tokens"] == len(one["choices"][0]["text"].split())


def test_as_a_process_it_says_where_it_is():
    command = [sys.executable, "-m", "tests.fakes.engine", "--slots", "2", "--fault", "status:429,retry:3"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        url = json.loads(process.stdout.readline())["url"]
        with pytest.raises(urllib.error.HTTPError, match="429") as told:
            ask(url, "x")
        assert told.value.headers["retry-after"] == "3"
        told.value.close()
        with urllib.request.urlopen(f"{url}/seen", timeout=10) as seen:  # noqa: S310 - our own
            assert json.loads(seen.read())["requests"] == 1
    finally:
        process.terminate()
        assert process.wait(10) == 0
        process.stdout.close()

"""After kill -9, what may be lost is exactly what was promised: the last 50 ms, or in strict mode nothing."""

import math
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from itertools import pairwise
from zlib import crc32

import psycopg
import pytest

from soonest.data.journal import read_journal

PROMISED, MARGIN = 0.05, 0.1  # seconds; more is due to a machine or a database that kept the writer waiting
PULSE, ASKED, WRITTEN = -1, -2, -3  # what the writer says beside the numbers of answers
KILLS = 10
WRITER = """
import asyncio, os, sys, threading, time
from zlib import crc32
from soonest.data.journal import Row
from soonest.gateway.journal import journal

def say(i):
    os.write(1, b"%d %.6f\\n" % (i, time.monotonic()))

def row(i, **facts):
    text = str(i) * 500
    return Row(f"{os.getpid()}-{i}", time.time() - 1, prompt_tokens=i, prompt=f"{crc32(text.encode())} {text}", **facts)

def pulse():
    while True:
        say(-1)
        time.sleep(0.01)

async def go(path, strict):
    threading.Thread(target=pulse, daemon=True).start()
    kept = journal(path, strict=strict)
    write = kept._store.write

    def timed(rows, notes):
        say(-2)
        write(rows, notes)
        say(-3)

    kept._store.write = timed
    count = iter(range(10**9))

    async def one():
        while True:
            i = next(count)
            kept.accepted(row(i, admitted=time.time()))
            await asyncio.sleep(0.002)
            done = kept.finished(row(i, finished=time.time(), output_tokens=5, outcome="finished"))
            if done is None or await done:
                say(i)

    await asyncio.gather(*(one() for _ in range(8)))

asyncio.run(go(sys.argv[1], sys.argv[2] == "strict"))
"""


def killed(url, mode, seconds, then=lambda: None):
    """Run a writer and kill it: its process id, what it said was finished and when, and what must be there by when."""
    writer = subprocess.Popen([sys.executable, "-c", WRITER, url, mode], stdout=subprocess.PIPE)
    said = []
    first = threading.Event()

    def hear():
        for line in writer.stdout:
            if line.endswith(b"\n"):
                number, moment = line.split()
                said.append((int(number), float(moment)))
                if said[-1][0] >= 0:
                    first.set()

    ear = threading.Thread(target=hear)
    ear.start()
    if not first.wait(30):
        writer.kill()
        writer.wait()
        pytest.fail("the writer finished nothing in 30 s")
    time.sleep(seconds)
    then()
    moment = time.monotonic()
    os.kill(writer.pid, signal.SIGKILL)
    writer.wait()
    ear.join()
    writer.stdout.close()
    beats = [at for number, at in said if number == PULSE] + [moment]
    stall = max(after - before for before, after in pairwise(beats))
    due = moment if mode == "strict" else moment - PROMISED - MARGIN - stall - database(said, moment)
    return writer.pid, [(number, at) for number, at in said if number >= 0], due


def database(said, moment):
    """Seconds that the database took for the last rows that it has, and had taken until then for those after them."""
    asked, took = math.inf, 0.0
    for number, at in said:
        if number == ASKED:
            asked = min(asked, at)
        elif number == WRITTEN:
            took, asked = at - asked, math.inf
    return took + moment - min(asked, moment)


def check(url, pid, expected):
    """All that must be there is there, and no row is torn."""
    rows = {row.prompt_tokens: row for row in read_journal(url) if row.id.startswith(f"{pid}-")}
    for row in rows.values():
        checksum, text = row.prompt.split(" ")
        assert crc32(text.encode()) == int(checksum)
        assert row.done == (row.outcome == "finished") == (row.output_tokens == 5)
    missing = [i for i in expected if i not in rows or not rows[i].done]
    assert missing == []
    return rows


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["windowed", "strict"])
def test_a_killed_writer_loses_no_more_than_was_promised(tmp_path, mode):
    path = str(tmp_path / "j.db")
    chance = random.Random(1)  # noqa: S311 - when to kill
    total = 0
    for _ in range(KILLS):
        pid, said, due = killed(path, mode, chance.uniform(0.0, 0.5))
        expected = [i for i, at in said if at < due]
        check(path, pid, expected)
        total += len(expected)
        with sqlite3.connect(path) as base:
            assert base.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        base.close()
    assert total > 100


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["windowed", "strict"])
def test_so_it_is_on_a_server(server, mode):
    for seconds in (2.0, 8.0, 30.0):  # longer where the machine or the server has long pauses
        server.empty()
        pid, said, due = killed(server.url, mode, seconds)
        expected = [i for i, at in said if at < due]
        check(server.url, pid, expected)
        if expected:
            break
    assert expected


@pytest.mark.slow
def test_what_a_server_is_kept_waiting_for_is_counted_and_all_before_it_is_there(server):
    server.empty()
    with psycopg.connect(server.url) as other:

        def hold():
            other.execute("LOCK TABLE requests IN ACCESS EXCLUSIVE MODE")
            time.sleep(1.0)

        pid, said, due = killed(server.url, "windowed", 2.0, hold)
        other.rollback()
    expected = [i for i, at in said if at < due]
    assert expected
    assert check(server.url, pid, expected).keys() < {i for i, _ in said}, "some were not there yet"


@pytest.mark.slow
def test_a_request_that_was_running_is_seen_to_have_no_answer(tmp_path):
    path = str(tmp_path / "j.db")
    pid, said, due = killed(path, "windowed", 0.3)
    rows = check(path, pid, [])
    unfinished = [row for row in rows.values() if not row.done]
    assert 0 < len(unfinished) <= 8 + sum(at >= due for _, at in said)

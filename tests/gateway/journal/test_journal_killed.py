"""After kill -9, what may be lost is exactly what was promised: the last 50 ms, or in strict mode nothing."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from zlib import crc32

import pytest

from soonest.data.journal import read_journal

PROMISED, MARGIN = 0.05, 0.1  # seconds; the margin is for a machine that has other things to do
KILLS = 10
WRITER = """
import asyncio, os, sys, time
from zlib import crc32
from soonest.data.journal import Row
from soonest.gateway.journal import journal

def say(i):
    os.write(1, b"%d %.6f\\n" % (i, time.monotonic()))

def row(i, **facts):
    text = str(i) * 500
    return Row(f"{os.getpid()}-{i}", time.time() - 1, prompt_tokens=i, prompt=f"{crc32(text.encode())} {text}", **facts)

async def go(path, strict):
    kept = journal(path, strict=strict)
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


def killed(url, mode, seconds):
    """Run a writer and kill it: its process id, what it said was finished and when, and when it was killed."""
    writer = subprocess.Popen([sys.executable, "-c", WRITER, url, mode], stdout=subprocess.PIPE)
    said = []
    first = threading.Event()

    def hear():
        for line in writer.stdout:
            if line.endswith(b"\n"):
                number, moment = line.split()
                said.append((int(number), float(moment)))
                first.set()

    ear = threading.Thread(target=hear)
    ear.start()
    assert first.wait(30)
    time.sleep(seconds)
    moment = time.monotonic()
    os.kill(writer.pid, signal.SIGKILL)
    writer.wait()
    ear.join()
    writer.stdout.close()
    return writer.pid, said, moment


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
        pid, said, moment = killed(path, mode, chance.uniform(0.0, 0.4))
        before = moment if mode == "strict" else moment - PROMISED - MARGIN
        expected = [i for i, at in said if mode == "strict" or at < before]
        check(path, pid, expected)
        total += len(expected)
        with sqlite3.connect(path) as base:
            assert base.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        base.close()
    assert total > 100


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["windowed", "strict"])
def test_so_it_is_on_a_server(server, mode):
    server.empty()
    pid, said, moment = killed(server.url, mode, 0.5)
    expected = [i for i, at in said if mode == "strict" or at < moment - PROMISED - MARGIN]
    assert expected
    check(server.url, pid, expected)


@pytest.mark.slow
def test_a_request_that_was_running_is_seen_to_have_no_answer(tmp_path):
    path = str(tmp_path / "j.db")
    pid, said, _ = killed(path, "windowed", 0.3)
    rows = check(path, pid, [])
    unfinished = [row for row in rows.values() if not row.done]
    assert 0 < len(unfinished) <= 8 + sum(at > max(at for _, at in said) - PROMISED - MARGIN for _, at in said)

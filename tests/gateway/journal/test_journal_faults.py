"""When the database fails, serving goes on, what is lost is counted, and the journal works again with the database."""

import asyncio
import logging
import shutil
import sqlite3
import subprocess
import sys
import threading
import time

import pytest

from soonest.data.journal import read_journal, read_notes
from soonest.gateway.journal import journal, sqlite


async def until(true, seconds=15.0):
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never was"
        await asyncio.sleep(0.005)


def test_a_locked_database_is_waited_for_and_what_overflows_is_counted(tmp_path, answered, monkeypatch, caplog):
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.05)
    path = tmp_path / "j.db"

    async def go():
        kept = journal(str(path), most=50)
        kept.finished(answered(0))
        await until(lambda: kept.committed == 1)
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        for i in range(1, 201):
            kept.finished(answered(i))
            await asyncio.sleep(0.001)
        await until(lambda: not kept.healthy)
        assert kept.queued <= 50
        lost = kept.lost
        assert lost >= 150
        other.execute("ROLLBACK")
        other.close()
        await until(lambda: kept.healthy and not kept.queued)
        kept.finished(answered(999))
        await kept.close()
        return kept, lost

    with caplog.at_level(logging.WARNING, "soonest.gateway"):
        kept, lost = asyncio.run(go())
    assert kept.lost == lost
    assert kept.committed == 202 - lost == len(read_journal(path))
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2
    assert "database is locked" in said[0]
    assert f"works again; {lost} rows were lost" in said[1]


def test_a_deleted_database_is_made_anew(tmp_path, answered):
    path = tmp_path / "j.db"

    async def go():
        kept = journal(str(path))
        kept.note("policy", "fcfs")
        kept.finished(answered(0))
        await until(lambda: kept.committed == 1)
        for file in tmp_path.iterdir():
            file.unlink()
        kept.finished(answered(1))
        await until(lambda: kept.committed == 2 and kept.healthy)
        await kept.close()
        return kept.lost

    assert asyncio.run(go()) == 0
    assert [row.id for row in read_journal(path)] == ["r1"]
    assert read_notes(path) == {"policy": "fcfs"}


def test_a_folder_that_went_and_came_back(tmp_path, answered):
    folder = tmp_path / "there"
    folder.mkdir()

    async def go():
        kept = journal(str(folder / "j.db"), most=10)
        shutil.rmtree(folder)
        for i in range(30):
            kept.finished(answered(i))
        await until(lambda: not kept.healthy)
        folder.mkdir()
        await until(lambda: kept.healthy)
        await kept.close()
        return kept

    kept = asyncio.run(go())
    assert kept.lost >= 10
    assert kept.lost + kept.committed == 30
    assert len(read_journal(folder / "j.db")) == kept.committed


def test_strict_withholds_no_answer_while_the_database_fails(tmp_path, answered, monkeypatch):
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.05)
    path = tmp_path / "j.db"

    async def go():
        kept = journal(str(path), strict=True, most=5)
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        said = [await asyncio.wait_for(kept.finished(answered(i)), 5) for i in range(20)]
        other.execute("ROLLBACK")
        other.close()
        await until(lambda: kept.healthy and not kept.queued)
        said.append(await kept.finished(answered(99)))
        await kept.close()
        return kept, said

    kept, said = asyncio.run(go())
    assert said == [False] * 20 + [True]
    assert kept.lost + kept.committed == 21
    assert kept.lost >= 10


def test_what_is_not_committed_at_the_end_is_lost_and_counted(tmp_path, answered, monkeypatch):
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.05)
    path = tmp_path / "j.db"

    async def go():
        kept = journal(str(path))
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        kept.finished(answered(0))
        start = time.monotonic()
        await kept.close(0.3)
        other.execute("ROLLBACK")
        other.close()
        kept.finished(answered(1))
        return kept.lost, time.monotonic() - start

    lost, took = asyncio.run(go())
    assert lost == 2
    assert took < 3


FULL = """
import asyncio, resource, sys, time
from soonest.data.journal import Row, read_journal
from soonest.gateway.journal import journal

async def until(true):
    end = time.monotonic() + 15
    while not true():
        assert time.monotonic() < end
        await asyncio.sleep(0.005)

async def go(path):
    kept = journal(path, most=200)
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, hard))
    n = 0
    while kept.lost < 100:
        kept.finished(Row(f"r{n}", float(n), finished=n + 1.0, output_tokens=5, outcome="finished", prompt="x" * 900))
        n += 1
        await asyncio.sleep(0.001)
    assert not kept.healthy and kept.queued <= 200, kept.queued
    reason = kept.failure
    lost = kept.lost
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    await until(lambda: kept.healthy and not kept.queued)
    kept.finished(Row(f"r{n}", float(n), finished=n + 1.0, output_tokens=5, outcome="finished"))
    await kept.close()
    assert kept.lost == lost
    assert kept.committed + kept.lost == n + 1
    rows = read_journal(path)
    assert len(rows) == kept.committed, (len(rows), kept.committed)
    print(reason)

asyncio.run(go(sys.argv[1]))
"""


def test_a_full_disk_loses_what_does_not_fit_and_no_more(tmp_path):
    """A file may not grow beyond 400 kB, until it may."""
    command = [sys.executable, "-W", "error", "-c", FULL, str(tmp_path / "j.db")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "disk" in done.stdout
    with sqlite3.connect(tmp_path / "j.db") as base:
        assert base.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    base.close()


@pytest.mark.slow
def test_a_server_that_is_stopped_and_started_again(server, answered):
    server.empty()

    async def go():
        kept = journal(server.url, most=50)
        kept.note("policy", "fcfs")
        kept.finished(answered(0))
        await until(lambda: kept.committed == 1)
        await asyncio.to_thread(server.stop)
        for i in range(1, 101):
            kept.finished(answered(i))
        await until(lambda: not kept.healthy)
        lost = kept.lost
        assert lost >= 50
        assert kept.queued <= 50
        await asyncio.to_thread(server.start)
        await until(lambda: kept.healthy and kept.queued == 0)
        kept.finished(answered(101))
        await kept.close()
        return kept, lost

    kept, lost = asyncio.run(go())
    assert kept.lost == lost
    assert kept.lost + kept.committed == 102
    rows = read_journal(server.url)
    assert len(rows) == kept.committed
    assert {row.run for row in rows} == {1}
    assert read_notes(server.url) == {"policy": "fcfs"}


def test_what_no_driver_should_raise_ends_no_thread(tmp_path, answered, monkeypatch):
    write, fails = sqlite.SQLiteStore.write, [RuntimeError("a driver's bug")]

    def failing(store, rows, notes):
        if fails:
            raise fails.pop()
        write(store, rows, notes)

    monkeypatch.setattr(sqlite.SQLiteStore, "write", failing)

    async def go():
        kept = journal(str(tmp_path / "j.db"), strict=True)
        first = await asyncio.wait_for(kept.finished(answered(0)), 5)
        await until(lambda: kept.healthy)
        second = await asyncio.wait_for(kept.finished(answered(1)), 5)
        await kept.close()
        return first, second, kept.committed, kept.lost

    assert asyncio.run(go()) == (False, True, 2, 0)


def test_a_database_that_fails_is_asked_no_more_often_because_rows_come(tmp_path, answered, monkeypatch):
    opened, write = sqlite.SQLiteStore.open, sqlite.SQLiteStore.write
    tries = []

    def failing(*_):
        tries.append(time.monotonic())
        raise sqlite3.OperationalError("unable to open database file")

    async def go():
        kept = journal(str(tmp_path / "j.db"))
        monkeypatch.setattr(sqlite.SQLiteStore, "open", failing)
        monkeypatch.setattr(sqlite.SQLiteStore, "write", failing)
        start = time.monotonic()
        for i in range(300):
            kept.finished(answered(i))
            await asyncio.sleep(0.002)
        took = time.monotonic() - start
        assert not kept.healthy
        monkeypatch.setattr(sqlite.SQLiteStore, "open", opened)
        monkeypatch.setattr(sqlite.SQLiteStore, "write", write)
        made = len(tries)
        await until(lambda: kept.healthy and not kept.queued)
        await kept.close()
        return kept, made, took

    kept, made, took = asyncio.run(go())
    assert 1 < made <= 7 + took  # after 50, 100, 200, 400 and 800 ms, then once a second
    assert (kept.committed, kept.lost) == (300, 0)


def test_strict_keeps_nobody_waiting_for_the_next_try(tmp_path, answered, monkeypatch):
    hangs, told = threading.Event(), threading.Event()

    def failing(*_):
        hangs.set()
        assert told.wait(30)
        raise sqlite3.OperationalError("database is locked")

    monkeypatch.setattr(sqlite.SQLiteStore, "write", failing)
    for name in ("FIRST_RETRY", "LAST_RETRY", "STUCK"):
        monkeypatch.setattr(sys.modules["soonest.gateway.journal.journal"], name, 60.0)

    async def go():
        kept = journal(str(tmp_path / "j.db"), strict=True)
        promises = [kept.finished(answered(0))]
        await asyncio.to_thread(hangs.wait, 30)
        promises += [kept.finished(answered(i)) for i in (1, 2)]  # while nobody knows yet that it fails
        assert not any(promise.done() for promise in promises)
        told.set()
        said = await asyncio.wait_for(asyncio.gather(*promises), 20)
        await kept.close(0)
        return said, kept.lost

    assert asyncio.run(go()) == ([False] * 3, 3)


def test_a_commit_that_hangs_withholds_no_answer_for_long(tmp_path, answered, monkeypatch):
    write, told = sqlite.SQLiteStore.write, threading.Event()

    def hanging(*args):
        assert told.wait(30)
        write(*args)

    monkeypatch.setattr(sqlite.SQLiteStore, "write", hanging)
    monkeypatch.setattr(sys.modules["soonest.gateway.journal.journal"], "STUCK", 0.2)

    async def go():
        kept = journal(str(tmp_path / "j.db"), strict=True)
        said = await kept.finished(answered(0))
        told.set()
        await kept.close()
        return said, kept.committed

    said, committed = asyncio.run(go())
    assert not said
    assert committed == 1

"""What is handed to a journal is in the database within 50 ms, whichever database it is."""

import asyncio
import os
import sqlite3
import stat
import sys
import threading
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from soonest.core import JournalError
from soonest.data.journal import UNFINISHED, Row, read_journal, read_notes
from soonest.data.journal.row import stored
from soonest.gateway.journal import journal
from soonest.gateway.journal.sqlite import MOST, SQLiteStore
from soonest.gateway.journal.store import Run


async def until(true, seconds=10.0):
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never was"
        await asyncio.sleep(0.005)


def test_a_finished_row_is_there_within_the_window(url, answered):
    async def go():
        kept = journal(url)
        kept.note("policy", "shortest")
        kept.note("in_flight", 8)
        kept.note("in_flight", 16)
        kept.accepted(answered(0)._replace(outcome=UNFINISHED, finished=float("nan")))
        kept.accepted(Row("open", 0.5, admitted=1.0))
        assert kept.finished(answered(0)) is None
        assert kept.finished(answered(1)) is None
        await until(lambda: kept.committed == 2)
        rows = read_journal(url)
        await kept.close()
        return kept, rows

    kept, rows = asyncio.run(go())
    assert {row.id: row.outcome for row in rows} == {"r0": "finished", "open": UNFINISHED, "r1": "finished"}
    shown = ("arrival", "admitted", "first_token", "finished", "prompt_tokens", "output_tokens", "policy")
    assert all(getattr(rows[0], name) == getattr(answered(0), name) for name in shown)
    assert read_notes(url) == {"policy": "shortest", "in_flight": "16"}
    assert (kept.lost, kept.healthy, kept.queued) == (0, False, 0)


def test_the_window_is_below_fifty_milliseconds(tmp_path, answered):
    async def go():
        kept = journal(str(tmp_path / "j.db"))
        took = []
        for i in range(20):
            start = time.monotonic()
            kept.finished(answered(i))
            await until(lambda n=i + 1: kept.committed == n)
            took.append(time.monotonic() - start)
        await kept.close()
        return sorted(took)

    assert asyncio.run(go())[0] < 0.05  # the machine may have other things to do in between


def test_each_run_is_told_apart(url, answered):
    async def go(i):
        kept = journal(url)
        kept.note("i", i)
        kept.accepted(Row("open", 10.0 * i))
        kept.finished(answered(i))
        await kept.close()

    for i in (1, 2):
        asyncio.run(go(i))
    rows = read_journal(url)
    assert [(row.run, row.id) for row in rows] == [(1, "r1"), (2, "r2"), (1, "open"), (2, "open")]
    assert [read_notes(url, run)["i"] for run in (1, 2)] == ["1", "2"]


def test_rows_can_be_chosen_by_time_and_number(url, answered):
    async def go():
        kept = journal(url)
        for i in range(100):
            kept.finished(answered(i, prompt='"hi"'))
        await kept.close()

    asyncio.run(go())
    assert [row.id for row in read_journal(url, since=10, until=12)] == ["r10", "r11"]
    assert [row.id for row in read_journal(url, last=2)] == ["r98", "r99"]
    assert {row.prompt for row in read_journal(url, last=2)} == {'"hi"'}
    assert {row.prompt for row in read_journal(url, last=2, prompts=False)} == {None}


def test_strict_futures_say_that_rows_are_committed(url, answered):
    async def go():
        kept = journal(url, strict=True)

        async def one(i):
            kept.accepted(Row(f"r{i}", float(i)))
            assert await kept.finished(answered(i))
            return i in {int(row.id[1:]) for row in read_journal(url) if row.done}

        there = await asyncio.gather(*map(one, range(20)))
        gone = kept.finished(answered(99))
        gone.cancel()  # a client that left waits for nothing
        await kept.close()
        return there, kept.committed

    there, committed = asyncio.run(go())
    assert all(there)
    assert committed == 21


def test_a_request_s_id_may_come_twice(url, answered):
    async def go():
        kept = journal(url)
        kept.accepted(Row("same", 1.0))
        kept.accepted(Row("same", 2.0))
        kept.finished(answered(1, id="same"))
        kept.finished(answered(2, id="same"))
        await kept.close()

    asyncio.run(go())
    assert [row.finished for row in read_journal(url) if row.done] == [2.0, 3.0]


@pytest.mark.parametrize("n", [1, 3, MOST - 1, MOST, MOST + 1, 3 * MOST])
def test_groups_of_any_size_are_written_whole(tmp_path, answered, n):
    store = SQLiteStore(tmp_path / "j.db", Run())
    store.open({})
    store.write({i: stored(answered(i)) for i in range(n)}, {"n": str(n)})
    store.close()
    assert [row.id for row in read_journal(tmp_path / "j.db")] == [f"r{i}" for i in range(n)]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(st.text(), st.text(), st.integers(), st.floats(allow_nan=True), st.text()), min_size=1, max_size=20
    )
)
def test_odd_rows_are_stored_and_hurt_nobody(url, answered, odd):
    """Text, numbers and times of any kind: a row is there for each, and what fits is as it was."""

    async def go():
        kept = journal(url)
        for i, (tenant, model, tokens, low, prompt) in enumerate(odd):
            kept.finished(answered(i, tenant=tenant, model=model, prompt_tokens=tokens, low=low, prompt=prompt))
        await kept.close()
        return kept

    kept = asyncio.run(go())
    assert (kept.lost, kept.committed) == (0, len(odd))
    found = read_journal(url)
    rows = [row for row in found if row.run == max(row.run for row in found)]
    for row, (tenant, _, tokens, _, _) in zip(rows, odd, strict=True):
        if tenant.isascii() and "\0" not in tenant:
            assert row.tenant == tenant
        if abs(tokens) < 1 << 63:
            assert row.prompt_tokens == tokens


def test_a_row_that_is_none_is_lost_alone(url, answered):
    async def go():
        kept = journal(url)
        kept.finished(answered(0))
        kept.finished(answered(1, prompt_tokens="many"))
        kept.finished(answered(2))
        await until(lambda: kept.committed == 2)
        found = kept.lost, kept.healthy
        await kept.close()
        return found

    assert asyncio.run(go()) == (1, True)
    assert [row.id for row in read_journal(url)] == ["r0", "r2"]


def test_reading_is_never_in_the_way_of_writing(tmp_path, answered):
    path = str(tmp_path / "j.db")
    counts = []

    async def go():
        kept = journal(path)
        stop = threading.Event()

        def read():
            while not stop.is_set():
                counts.append(len(read_journal(path)))

        reader = threading.Thread(target=read)
        reader.start()
        n, end = 0, time.monotonic() + 30
        while (len(set(counts)) < 3 and time.monotonic() < end) or n < 3000:
            kept.finished(answered(n))
            n += 1
            if n % 50 == 0:
                await asyncio.sleep(0.005)
        await until(lambda: kept.committed == n)
        stop.set()
        reader.join()
        await kept.close()
        return kept.lost

    assert asyncio.run(go()) == 0
    assert counts == sorted(counts)
    assert len(set(counts)) > 2


def test_a_journal_is_its_owner_s_alone(tmp_path, answered):
    async def go():
        kept = journal(str(tmp_path / "j.db"))
        kept.finished(answered(0))
        await until(lambda: kept.committed == 1)
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
        await kept.close()
        return modes

    before = os.umask(0)
    try:
        assert set(asyncio.run(go()).values()) == {0o600}
    finally:
        os.umask(before)


def test_a_place_that_cannot_be_is_refused_at_the_start(tmp_path):
    with pytest.raises(JournalError, match="cannot be opened"):
        journal(str(tmp_path / "no" / "j.db"))
    (tmp_path / "text.db").write_text("hello " * 1000)
    with pytest.raises(JournalError, match="not a database"):
        journal(str(tmp_path / "text.db"))
    with pytest.raises(JournalError, match="cannot be opened"):
        journal("postgresql://soonest@127.0.0.1:1/postgres")


def test_a_journal_of_a_newer_version_is_left_alone(tmp_path):
    with sqlite3.connect(tmp_path / "new.db") as base:
        base.execute("CREATE TABLE meta (key TEXT PRIMARY KEY, value)")
        base.execute("INSERT INTO meta VALUES ('version', '99')")
    base.close()
    with pytest.raises(JournalError, match="newer soonest"):
        journal(str(tmp_path / "new.db"))


def test_a_server_without_its_extra_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "sqlalchemy", None)
    monkeypatch.delitem(sys.modules, "soonest.gateway.journal.postgres", raising=False)
    with pytest.raises(JournalError, match=r"soonest\[postgres\]"):
        journal("postgresql://me@host/base")

"""A journal that fails under a gateway that serves: answers go on, and what is lost is counted and told."""

import shutil
import sqlite3
import time

import pytest
from tests.fakes.engine import running as fake_engine
from tests.gateway.clients import asking, chat, until
from tests.gateway.process.served import serving
from tests.gateway.running import running

from soonest.data.journal import read_journal
from soonest.gateway.journal import journal, sqlite

MOST = 20  # rows that wait for a database


def page(gateway):
    """The journal's three metrics: rows lost, rows that wait, and whether all is well."""
    text = gateway.call(lambda: gateway.gateway.metrics.render("")[0])
    lines = (text if isinstance(text, str) else text.decode()).splitlines()
    found = dict(line.split() for line in lines if line.startswith("soonest_journal_"))
    return [float(found[f"soonest_journal_{name}"]) for name in ("rows_lost_total", "rows_queued", "healthy")]


def answered(gateway, count):
    return [status for status, _, _ in asking(*[chat(2), chat(2, stream=True)] * (count // 2), url=gateway.url)]


def lock(path):
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    def unlock():
        other.execute("ROLLBACK")
        other.close()

    return unlock


def move(path):
    away = path.parent.with_name("away")
    path.parent.rename(away)

    def back():
        shutil.rmtree(path.parent, ignore_errors=True)
        away.rename(path.parent)

    return back


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("fail", [lock, move])
def test_answers_go_on_and_lost_rows_are_counted(tmp_path, monkeypatch, fail, strict):
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.05)
    path = tmp_path / "there" / "j.db"
    path.parent.mkdir()
    parts = {"journal": journal(str(path), strict=strict, most=MOST)}
    with fake_engine() as fake, running(fake.url, parts=parts) as gateway:
        assert answered(gateway, 4) == [200] * 4
        until(lambda: page(gateway) == [0, 0, 1])
        mend = fail(path)
        started = time.monotonic()
        statuses = []
        while page(gateway)[0] < 20:
            statuses += answered(gateway, 20)
            assert time.monotonic() - started < 20
        assert set(statuses) == {200}
        until(lambda: page(gateway)[2] == 0)
        assert page(gateway)[1] <= MOST
        started = time.monotonic()
        assert answered(gateway, 2) == [200] * 2
        assert time.monotonic() - started < 3, "an answer was withheld"
        mend()
        until(lambda: page(gateway)[1:] == [0, 1])
        lost = page(gateway)[0]
        assert answered(gateway, 2) == [200] * 2
        until(gateway.idle)
    assert sum(row.done for row in read_journal(path)) == 4 + len(statuses) + 4 - lost


FULL = """
import resource, runpy, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (250_000, -1))
sys.argv = ["soonest", "serve", *sys.argv[1:]]
runpy.run_module("soonest", run_name="__main__")
"""


@pytest.mark.slow
@pytest.mark.parametrize("strict", [(), ("--strict-journal",)], ids=["windowed", "strict"])
def test_a_full_disk_stops_no_answer(tmp_path, strict):
    """No file may grow beyond 250 kB; the gateway's own way to a full disk."""
    path = tmp_path / "j.db"
    flags = ("--journal", str(path), "--journal-prompts", "--log-share", "0", *strict)
    with fake_engine() as fake, serving("--engine", fake.url, *flags, through=FULL) as gateway:
        end = time.monotonic() + 40
        asked = 0
        while asked < 200 or gateway.sum("soonest_journal_rows_queued") < 60:  # twice what file and log hold
            answers = asking(*[chat(2, user="x" * 4000)] * 20, url=gateway.url)
            assert {status for status, _, _ in answers} == {200}
            asked += 20
            assert time.monotonic() < end
        assert gateway.sum("soonest_journal_healthy") == 0
        assert "serving goes on" in gateway.log()
    assert 0 < sum(row.done for row in read_journal(path)) < asked

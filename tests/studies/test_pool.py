"""Work shared by processes: none of them outlives whoever needs it, and nobody waits for what is not needed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from soonest.studies.pool import pooled

LONG = """
import os, sys, time
from pathlib import Path
from soonest.studies.reproduction import Settings, spread

def sleep(folder):
    Path(folder, str(os.getpid())).touch()
    time.sleep(60)

if __name__ == "__main__":
    spread(sleep, [sys.argv[1]] * 6, Settings(workers=2), lambda *_: None, "sleeping")
"""


def work_or_sleep(task):
    if task == 0:
        return os.getpid()
    time.sleep(60)
    return None


def fail_or_sleep(task):
    if task == 0:
        raise ValueError(task)
    time.sleep(60)


def lives(pid):
    """Whether a process runs; one that ended and that nobody asks for does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(") ")[2][0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def within(seconds, condition):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGKILL"])
def test_whatever_ends_a_study_ends_its_processes_at_once(name, tmp_path):
    (tmp_path / "long.py").write_text(LONG, encoding="utf-8")
    noted = tmp_path / "noted"
    noted.mkdir()
    workers = []
    with subprocess.Popen([sys.executable, tmp_path / "long.py", noted], stderr=subprocess.PIPE) as study:
        try:
            assert within(60, lambda: len(list(noted.iterdir())) == 2 or study.poll() is not None)
            workers = [int(path.name) for path in noted.iterdir()]
            assert [lives(pid) for pid in workers] == [True, True]
            study.send_signal(getattr(signal, name))
            study.communicate(timeout=15)
            assert within(15, lambda: not any(map(lives, workers)))
        finally:
            study.kill()
            for pid in filter(lives, workers):
                os.kill(pid, signal.SIGKILL)


def test_who_stops_asking_waits_for_nobody():
    began = time.monotonic()
    results = pooled(work_or_sleep, [0, 1, 2, 3], 2)
    first = next(results)
    results.close()
    assert time.monotonic() - began < 30
    assert within(15, lambda: not lives(first))


def test_a_failure_is_told_at_once():
    began = time.monotonic()
    with pytest.raises(ValueError, match="0"):
        list(pooled(fail_or_sleep, [0, 1, 2, 3], 2))
    assert time.monotonic() - began < 30

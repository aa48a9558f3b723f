"""Work on a local Ray cluster: the same results, in order, whatever becomes of the workers; and nothing left behind."""

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import pytest

from soonest.cluster import joined
from soonest.core import Rules, SoonestError
from soonest.data import sample
from soonest.sim import PRESETS, Options
from soonest.studies import Comparison, Scenario, arms
from soonest.studies.reproduction import Settings, spread

pytestmark = pytest.mark.slow
OPTIONS = Options(Rules.vllm(4, 512, 4000, 16), PRESETS["h100-8b"])
WAIT = 180


@pytest.fixture(scope="module")
def cluster():
    """One of two workers."""
    with joined(cores=2) as found:
        yield found


def comparison(seen):
    """200 simulations: two policies, two loads, fifty repetitions; `seen` collects the runs with their records."""
    scenario = Scenario(sample().head(40), OPTIONS, arrivals="poisson", repetitions=50)
    compared = arms(["fcfs,shortest@noise(0.5)"], "oracle")
    return Comparison(scenario, compared, (0.7, 1.2), watch=lambda run, records: seen.append((run, records)))


@pytest.fixture(scope="module")
def expected():
    """What they are without Ray."""
    seen = []
    comparison(seen).run()
    assert len(seen) == 200
    return seen


def check_same(seen, expected):
    """Bit for bit: every figure, and every time of every request."""
    assert [repr(run) for run, _ in seen] == [repr(run) for run, _ in expected]  # which shows each number whole
    for (_, found), (_, known) in zip(seen, expected, strict=True):
        for name in ("arrival", "admitted", "first_token", "finished", "output_tokens", "evictions"):
            assert getattr(found, name).tobytes() == getattr(known, name).tobytes()


def workers():
    """Ray's workers that have a task now, by the name that Ray gives their processes."""
    return [child for child in psutil.Process().children(recursive=True) if _said(child.name).startswith("ray::_run")]


def _said(ask):
    """What a process says, or nothing once it has ended."""
    try:
        return ask()
    except psutil.NoSuchProcess:
        return ""


def test_two_hundred_simulations_on_two_workers_are_those_without_ray(cluster, expected):
    assert cluster.cores == 2
    seen = []
    comparison(seen).run(cluster)
    check_same(seen, expected)


def test_a_worker_killed_in_the_middle_changes_nothing(cluster, expected):
    seen, killed = [], []

    def kill(run, records):
        seen.append((run, records))
        if len(seen) < 180 and not killed:
            killed.extend(child.pid for child in workers()[:1])
            for pid in killed:
                os.kill(pid, signal.SIGKILL)

    made = comparison([])
    made.watch = kill
    made.run(cluster)
    assert len(killed) == 1
    check_same(seen, expected)


def test_studies_share_their_work_over_a_cluster_in_order_and_tell_of_it(cluster):
    heard = []
    settings = Settings(cluster=cluster)
    assert spread(abs, list(range(-99, 1)), settings, lambda *said: heard.append(said), "counting") == [
        *range(99, -1, -1)
    ]
    assert heard == [("counting", done, 100) for done in range(101)]


def test_an_error_in_the_work_is_the_caller_s_and_the_cluster_goes_on(cluster):
    with pytest.raises(SoonestError, match="scale is a share"):
        list(cluster.map(partial(Settings, 0), [0.5, 2.0]))
    assert list(cluster.map(abs, [-1])) == [1]


def test_workers_have_the_threads_of_this_process(cluster):
    """With another number of threads, sums of long arrays differ in their last bits."""
    numbers = np.random.default_rng(0).random(100_001)
    assert list(cluster.map(np.dot, [])) == []
    assert list(cluster.map(partial(np.dot, numbers), [numbers])) == [np.dot(numbers, numbers)]


def test_what_arrives_may_be_written_to(cluster):
    (found,) = cluster.map(np.sort, [np.arange(100_000)[::-1]])
    found[0] = 7
    assert found[:3].tolist() == [7, 1, 2]


def test_a_second_cluster_in_one_process_is_refused(cluster):
    assert cluster.cores
    with pytest.raises(SoonestError, match="part of a Ray cluster already"), joined():
        pass


def _listening(process):
    with suppress(psutil.NoSuchProcess):  # it has ended, or just not been waited for
        return [c.laddr.ip for c in process.net_connections() if c.status == psutil.CONN_LISTEN]
    return []


def test_ctrl_c_leaves_no_process_and_no_file_and_only_this_machine_could_listen(tmp_path):
    words = ["sim", "-n", "200", "-r", "2000", "-p", "fcfs,shortest", "--csv", tmp_path / "runs.csv", "--ray"]
    command = subprocess.Popen(
        [sys.executable, "-m", "soonest", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        children = _started(command)
        listening = [address for child in children for address in _listening(child)]
        told = " ".join(word for child in children for word in _said(child.cmdline))
        folder = Path(re.search(r"\S*/soonest-ray-\w+", told)[0].rpartition("=")[2])
        assert folder.is_dir()
        command.send_signal(signal.SIGINT)
        command.communicate(timeout=WAIT)
    finally:
        command.kill()
        command.communicate()
    assert command.returncode == 130
    assert len(listening) >= 5
    assert {ip.removeprefix("::ffff:") for ip in listening} == {"127.0.0.1"}
    _, alive = psutil.wait_procs(children, timeout=WAIT)
    assert alive == []
    assert not folder.exists()
    assert not (tmp_path / "runs.csv").exists()


def _started(command):
    """The processes beneath a command, once one of Ray's workers has a task."""
    until = time.monotonic() + WAIT
    while time.monotonic() < until:
        children = psutil.Process(command.pid).children(recursive=True)
        with suppress(psutil.NoSuchProcess):
            if any(child.name().startswith("ray::_run") for child in children):
                return children
        time.sleep(0.2)
    return pytest.fail("no worker began")

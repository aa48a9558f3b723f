"""A pytest plugin: vLLM's own tests with another scheduler in place of theirs, `--in-place async` or `ours`."""

from pathlib import Path

import pytest


def pytest_addoption(parser):
    parser.addoption("--in-place", choices=["theirs", "async", "ours"], default="theirs")
    parser.addoption("--outcomes", help="file for one line a test: outcome, id")


def pytest_configure(config):
    config.addinivalue_line("markers", "cpu_test: vLLM's own mark")
    from vllm.v1.core.sched import async_scheduler, scheduler

    kind = config.getoption("--in-place")
    if kind == "async":
        scheduler.Scheduler = async_scheduler.AsyncScheduler
    elif kind == "ours":
        from soonest.engines.vllm import Scheduler

        scheduler.Scheduler = async_scheduler.AsyncScheduler = Scheduler
    config.stash[OUTCOMES] = {}


OUTCOMES = pytest.StashKey()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    result = (yield).get_result()
    found = item.config.stash[OUTCOMES]
    if call.when == "call" or result.outcome != "passed":
        reason = "" if call.excinfo is None else str(call.excinfo.getrepr(style="value")).strip().replace("\n", " | ")
        if found.get(item.nodeid, ("passed",))[0] == "passed":
            found[item.nodeid] = (result.outcome, reason[-300:])


def pytest_sessionfinish(session):
    path = session.config.getoption("--outcomes")
    if path:
        rows = session.config.stash[OUTCOMES].items()
        Path(path).write_text("".join(f"{outcome}\t{name}\t{reason}\n" for name, (outcome, reason) in rows))

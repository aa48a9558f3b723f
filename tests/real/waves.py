"""Requests that queue behind long answers, and the order in which they end."""

import time
from concurrent.futures import ThreadPoolExecutor

TRIES = 5


def goes_first(kind, found, times=2):
    """Whether all of a kind end before the others of a wave, by their names; `found()` is the order in which one ended.

    Who ends first is seen from outside, where a pause of the machine can hide it, so a second wave may show it. An
    engine that goes by arrival never does.
    """
    orders = []
    for _ in range(times):
        orders.append(found())
        many = sum(name.startswith(kind) for name in orders[-1])
        if all(name.startswith(kind) for name in orders[-1][:many]):
            return True
    raise AssertionError(f"{kind} did not go first: {orders}")


def order(busy, wave, *, running, waiting):
    """Names of `wave` in the order in which they ended.

    `busy` are calls that take every place first, `wave` calls by their names, which arrive in this order;
    `running()` and `waiting()` count requests. All of the wave was seen waiting at once, or it is tried again.
    """
    for _ in range(TRIES):
        found = queued(busy, wave, running, waiting)
        if found:
            return found
    raise AssertionError("the long answers always ended before the wave was there")


def queued(busy, wave, running, waiting):
    """The order, or `None` where an answer that should have been long ended first."""
    ended = {}

    def timed(name):
        wave[name]()
        ended[name] = time.monotonic()

    with ThreadPoolExecutor(len(busy) + len(wave)) as pool:
        first = [pool.submit(call) for call in busy]
        came = reached(running, len(busy), first)
        calls = []
        for name in wave:
            calls.append(pool.submit(timed, name))
            came = came and reached(waiting, len(calls), first)
        for call in [*first, *calls]:
            call.result()
    return sorted(ended, key=ended.get) if came else None


def reached(count, wanted, first, seconds=60):
    """Whether it was seen so high before one of the first ended."""
    end = time.monotonic() + seconds
    while (seen := count()) != wanted and not any(call.done() for call in first):
        assert time.monotonic() < end, f"{seen} of {wanted} came"
        time.sleep(0.02)
    return seen == wanted

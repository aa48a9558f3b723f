"""What an operation on the gateway's queue costs while very many wait, in microseconds of processor time."""

from __future__ import annotations

import random
import statistics
import time
from typing import Final

from soonest.core import Forecast, Request
from soonest.gateway.queueing import Dispatcher, Place
from soonest.policies import policy

SPACING: Final = 1e-3
"""Seconds between two arrivals."""
BATCH: Final = 200


def queueing(waiting: int, operations: int, seed: int) -> list[dict[str, object]]:
    """A row for each policy and each number of different expectations."""
    rows = []
    for name, different in (
        ("fcfs", waiting),
        ("shortest", waiting),
        ("response_ratio(shortest)", 300),
        ("response_ratio(shortest)", 3000),
        ("response_ratio(shortest)", waiting),
    ):
        took = row(name, different, waiting, operations, seed)
        rows.append({"policy": name, "expectations": different, "waiting": waiting, **took})
    return rows


def row(name: str, different: int, waiting: int, operations: int, seed: int) -> dict[str, float]:
    """One policy: let so many wait, then take, let in and cancel some at that length of the queue.

    A push is counted with its placing, which the dispatcher does at the next admission; a pop is an admission of one.
    """
    rng = random.Random(seed)  # noqa: S311 - lengths, no secrets
    forecasts = [expecting(rng.lognormvariate(5, 1)) for _ in range(different)]
    requests = [
        Request(str(i), i * SPACING, 100, forecast=forecasts[rng.randrange(different)])
        for i in range(waiting + operations)
    ]
    place = Place("engine", limit=1)
    dispatcher = Dispatcher(policy(name), [place], most_waiting=1 << 40)
    tickets = [dispatcher.enter(request) for request in requests[:waiting]]
    now = waiting * SPACING
    (taken,) = dispatcher.admit(now)
    pops, pushes = [], []
    for begin in range(waiting, waiting + operations, BATCH):
        batch = requests[begin : begin + BATCH]
        now = batch[-1].arrival
        began = time.thread_time()
        tickets += map(dispatcher.enter, batch)
        dispatcher.queue.reorder(now)
        pushes.append(time.thread_time() - began)
        spent = 0.0
        for i in range(BATCH):
            dispatcher.finished(taken, 100, now)
            began = time.thread_time()
            (taken,) = dispatcher.admit(now + i * SPACING)
            spent += time.thread_time() - began
        pops.append(spent)
    rng.shuffle(tickets)
    gone = [ticket for ticket in tickets if ticket.place is None and ticket.entry.admitted == 0][:operations]
    cancels = []
    for begin in range(0, len(gone), BATCH):
        began = time.thread_time()
        for ticket in gone[begin : begin + BATCH]:
            dispatcher.dropped(ticket)
        cancels.append(time.thread_time() - began)
    return {"push_us": median_us(pushes), "pop_us": median_us(pops), "cancel_us": median_us(cancels)}


def expecting(tokens: float) -> Forecast:
    """A forecast around this mean."""
    return Forecast.hint(tokens / 2, tokens, 2 * tokens)


def median_us(batches: list[float]) -> float:
    """Microseconds an operation, by the median of batches."""
    return round(1e6 * statistics.median(batches) / BATCH, 2)

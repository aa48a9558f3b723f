"""Load over real connections: what leaves when, and what is counted."""

import asyncio
import socket
import time
from itertools import count

import numpy as np
import pytest

from soonest.bench import Alone, Endpoint, Load, sustained
from soonest.core import OUTCOMES, Outcome
from soonest.data import poisson
from soonest.report import summarise


def opened(url, calls, at, most=None, **facts):
    async def run():
        async with Load(Endpoint(url, "fake", **facts)) as load:
            return await load.open_loop(calls, np.asarray(at, dtype=np.float64), most=most)

    return asyncio.run(run())


def closed(url, calls, concurrency, **facts):
    async def run():
        async with Load(Endpoint(url, "fake")) as load:
            return await load.closed_loop(calls, concurrency, **facts)

    return asyncio.run(run())


@pytest.mark.parametrize("api", ["chat", "completions"])
def test_times_are_ordered_and_counts_are_the_engine_s(fake, asking, api):
    engine = fake(slots=4, step_ms=1)
    lengths = [1, 2, 3, 5, 8, 13, 21, 34] * 5
    ran = opened(engine.url, asking(*lengths), poisson(len(lengths), 200, 0), api=api)
    records, seen = ran.records, engine.seen()
    assert records.done.all()
    assert records.output_tokens.tolist() == lengths
    assert (records.arrival <= records.first_token).all()
    assert (records.first_token <= records.finished).all()
    assert (seen["requests"], seen["finished"], seen["cancelled"]) == (40, 40, 0)
    assert [len(answer.times) for answer in ran.answers] == lengths, "an event a token"
    assert (np.diff(records.arrival) >= 0).all()


def test_a_slow_engine_delays_no_departure(fake, asking):
    engine = fake(slots=1, step_ms=10)
    at = np.arange(40) * 0.01
    ran = opened(engine.url, asking(*[10] * 40), at)
    assert ran.records.done.all()
    assert np.abs(ran.records.arrival - 0.05 - at).max() < 1
    assert ran.records.finished.max() > 3, "the engine needs 4 s for what arrives in 0.4 s"
    assert ran.summary()["max_concurrent_requests"] > 20
    assert ran.open


def test_a_limit_on_concurrency_holds_and_is_said(fake, asking):
    engine = fake(slots=8, step_ms=2)
    ran = opened(engine.url, asking(*[5] * 30), np.zeros(30), most=3)
    assert engine.seen()["most_running"] <= 3
    assert ran.records.done.all()
    assert not ran.open
    assert ran.lateness.max() < 1, "waiting for a place is not the generator's lateness"


def test_a_limit_that_holds_nobody_back_hides_no_lateness(fake, asking):
    engine = fake(slots=8, step_ms=1)
    calls = asking(*[5] * 10)

    async def run():
        async with Load(Endpoint(engine.url, "fake")) as load:
            asyncio.get_running_loop().call_later(0.06, time.sleep, 0.3)
            return await load.open_loop(calls, np.arange(10) * 0.02, most=100)

    assert asyncio.run(run()).lateness.max() > 0.15


@pytest.mark.parametrize(
    ("fault", "reason", "outcome"),
    [
        ("status:503", "HTTP 503", Outcome.REJECTED),
        ("status:429", "HTTP 429", Outcome.REJECTED),
        ("status:400", "HTTP 400", Outcome.FAILED),
        ("refuse", "disconnected", Outcome.FAILED),
        ("die:3", "broke off", Outcome.FAILED),
        ("hang:3", "timeout", Outcome.FAILED),
        ("hang", "timeout", Outcome.FAILED),
        ("error:3", "error in the stream: InternalServerError", Outcome.FAILED),
        ("garbage:3", "broke off", Outcome.FAILED),
    ],
)
def test_what_fails_is_counted_with_its_reason_and_stops_nothing(fake, asking, fault, reason, outcome):
    engine = fake(slots=4, step_ms=1)
    calls = [*asking(4, 4), *asking(4, 4, 4, more=f"fault={fault}"), *asking(4)]
    ran = opened(engine.url, calls, np.arange(6) * 0.01, timeout=1.5)
    assert ran.reasons == {reason: 3}
    assert [OUTCOMES[o] for o in ran.records.outcome] == [Outcome.FINISHED] * 2 + [outcome] * 3 + [Outcome.FINISHED]
    summary = ran.summary()
    assert (summary["completed"], summary["failed"]) == (3, 3)


def test_a_port_where_nobody_listens_is_a_reason(asking):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        ran = opened(url, asking(3, 3), [0, 0])
    assert sum(ran.reasons.values()) == 2
    assert all(reason.startswith("no connection") for reason in ran.reasons)
    assert ran.summary()["mean_e2el_ms"] is None


def test_an_answer_in_one_piece_and_split_and_zipped_ones_are_understood(fake, asking):
    engine = fake(slots=4)
    calls = [*asking(6), *asking(6, more="fault=split:7"), *asking(6, more="fault=gzip"), *asking(6, more="fault=crlf")]
    assert opened(engine.url, calls, np.zeros(4)).records.output_tokens.tolist() == [6] * 4
    whole = opened(engine.url, asking(6), [0.0], extra={"stream": False})
    assert whole.records.output_tokens.tolist() == [6]
    assert whole.records.done.all()


def test_an_interrupted_run_keeps_what_there_is(fake, asking):
    engine = fake(slots=2, step_ms=5)

    async def run():
        async with Load(Endpoint(engine.url, "fake")) as load:
            task = asyncio.create_task(load.open_loop(asking(*[20] * 50), np.arange(50) * 0.02))
            await asyncio.sleep(0.5)
            task.cancel()
            return await task

    ran = asyncio.run(run())
    assert ran.interrupted
    assert 5 < len(ran.answers) < 50
    assert set(ran.reasons) == {"interrupted"}
    assert ran.records.done.any()


def test_a_closed_loop_keeps_so_many_under_way_and_finds_what_is_sustained(fake, asking):
    engine = fake(slots=4, step_ms=5)
    ran = closed(engine.url, asking(*[5, 10, 15] * 40), 8)
    assert engine.seen()["most_running"] == 4
    assert ran.records.done.all()
    assert 10 < sustained(ran) < 1.2 * 80, "four slots, ten tokens of 5 ms each; a busy machine is slower"
    alone = Alone.of(closed(engine.url, asking(10, 20), 1))
    assert 0.004 < alone.token < 0.05


def test_a_closed_loop_stops_sending_in_time(fake, asking):
    engine = fake(slots=2, step_ms=5)
    ran = closed(engine.url, asking(*[10] * 500), 4, seconds=0.3)
    assert 4 <= len(ran.answers) < 100
    assert ran.records.done.all()


def test_measures_are_those_of_the_report_on_the_same_records(fake, asking):
    engine = fake(slots=2, step_ms=1)
    ran = opened(engine.url, asking(*range(1, 30)), poisson(29, 100, 0))
    alone, slos = Alone(0.01, 0.002), {"e2el": 100.0}
    summary = ran.summary(alone=alone, slos=slos)
    same = summarise(ran.records, gaps=ran.gaps, service=alone.service(ran.records), slos=slos)
    unseen = {"evictions", "preempted_percent", "tokens_lost", "tokens_recomputed"}
    assert {key: summary[key] for key in same if key not in unseen} == {
        key: value for key, value in same.items() if key not in unseen
    }
    assert all(summary[key] is None for key in unseen)
    gaps = [gap for gaps in ran.details()["itls"] for gap in gaps]
    assert summary["mean_itl_ms"] == pytest.approx(1e3 * np.mean(gaps), rel=0.02)
    assert summary["mean_slowdown"] == pytest.approx(
        np.mean((ran.records.finished - ran.records.arrival) / alone.service(ran.records))
    )


def test_detail_lists_have_an_item_a_call(fake, asking):
    engine = fake(slots=2, step_ms=1)
    calls = [*asking(3, 4), *asking(3, more="fault=status:500")]
    details = opened(engine.url, calls, np.zeros(3)).details()
    assert {len(column) for column in details.values()} == {3}
    assert details["output_lens"][:2] == [3, 4]
    assert [len(gaps) for gaps in details["itls"]] == [2, 3, 0]
    assert details["errors"] == ["", "", "HTTP 500"]


def test_lateness_of_the_generator_is_measured_and_marked(fake, asking):
    engine = fake(slots=100)

    async def run():
        ticks = count()

        def watch(answer):
            if answer is None and next(ticks) == 5:
                import time

                time.sleep(0.2)  # the generator is kept from its work

        async with Load(Endpoint(engine.url, "fake"), watch) as load:
            return await load.open_loop(asking(*[3] * 20), np.arange(20) * 0.005)

    ran = asyncio.run(run())
    summary = ran.summary()
    assert summary["max_lateness_ms"] > 100
    assert summary["late"] == 1
    assert not ran.is_late(share=1e6)

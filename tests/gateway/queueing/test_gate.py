"""The two ways to order: the gate keeps an engine exactly full, and priority tells the engine who goes first."""

import asyncio
import json
import threading
import time

import aiohttp
import pytest
from tests.fakes.engine import running as fake_engine
from tests.gateway.clients import ask, asking, chat, until
from tests.gateway.running import running

from soonest.core import PolicyError
from soonest.gateway.settings import SettingsError


def hinted(tokens, *, said=None, **more):
    """A request whose forecast says `said` tokens, the truth unless given."""
    said = tokens if said is None else said
    return chat(tokens, vllm_xargs={"soonest_forecast": [said, said, said]}, **more)


def closed_loop(url, clients, seconds, look, every=0.02):
    """Ask and ask with so many clients; what `look()` gave, every so often, in the second half of that time."""

    async def client(session, end, number):
        while time.monotonic() < end:
            number = (7 * number + 3) % 101
            assert (await ask(session, url, chat(10 + number % 20, stream=True)))[0] == 200

    async def main():
        found, end = [], time.monotonic() + seconds
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            asked = [asyncio.create_task(client(session, end, n)) for n in range(clients)]
            while time.monotonic() < end:
                await asyncio.sleep(every)
                if end - time.monotonic() < seconds / 2:
                    found.append(look())
            await asyncio.gather(*asked)
        return found

    return asyncio.run(main())


@pytest.mark.slow
@pytest.mark.parametrize("slots", [3, 12])
def test_the_limit_that_is_learned_keeps_the_engine_full_and_its_own_queue_empty(slots):
    with fake_engine(slots=slots, step_ms=20) as fake, running(fake.url, in_flight=None) as gateway:
        seen = closed_loop(gateway.url, 40, 8, lambda: (len(fake.engine.waiting), len(fake.engine.running)))
        waiting, busy = zip(*seen, strict=True)
        assert sum(waiting) / len(waiting) <= 2
        assert sum(busy) / len(busy) >= 0.7 * slots
        assert slots <= gateway.call(lambda: next(iter(gateway.gateway.backends.values())).place.limit) <= slots + 4
        until(gateway.idle)


def peak(place, policy):
    """Blocks at the fullest moment to come, if all who run go on to what the policy reserves: step by step."""
    rules, most = place.rules, 0
    running = [
        (t.entry.request.prompt_tokens, t.entry.generated, max(policy.reserve(t.entry) - t.entry.generated, 1))
        for t in place.running.values()
    ]
    for step in range(1, 1 + max((left for *_, left in running), default=0)):
        held = (rules.held(prompt, done + step - 1) for prompt, done, left in running if left >= step)
        most = max(most, sum(map(rules.blocks_for, held)))
    return most


def watched(gateway):
    """Peaks after every admission, and how many ran then."""
    dispatcher, peaks = gateway.gateway.dispatcher, []
    (place,) = dispatcher.places
    admit = dispatcher.admit

    def watching(now):
        started = admit(now)
        if started:
            peaks.append((peak(place, dispatcher.policy), len(place.running)))
        return started

    gateway.call(lambda: setattr(dispatcher, "admit", watching))
    return peaks


@pytest.mark.parametrize("stream", [True, False])
def test_what_is_reserved_fits_the_engine_s_cache(stream):
    blocks, size = 24, 4
    options = {"slots": 64, "step_ms": 4, "blocks": blocks, "block_size": size}
    with (
        fake_engine(**options) as fake,
        running(fake.url, in_flight=64, policy="a_max") as gateway,
    ):
        peaks, most = watched(gateway), []
        until(lambda: gateway.gateway.dispatcher.places[0].rules is not None)
        step = fake.engine._step

        def stepping():
            step()
            most.append(sum(job.ask.prompt_tokens + job.spoken for job in fake.engine.running.values()))

        fake.engine._step = stepping
        answers = asking(*[hinted(5 + n % 36, stream=stream) for n in range(60)], url=gateway.url)
        assert {status for status, _, _ in answers} == {200}
        assert all(found <= blocks for found, _ in peaks)
        assert max(running for _, running in peaks) >= 3, "the cache was shared"
        assert max(running for _, running in peaks) < 20, "the cache was what held them back"
        assert max(most) <= blocks * size
        until(gateway.idle)


def test_an_idle_engine_takes_what_does_not_fit_its_cache():
    with fake_engine(blocks=4, block_size=4) as fake, running(fake.url, policy="a_max") as gateway:
        until(lambda: gateway.gateway.dispatcher.places[0].rules is not None)
        bodies = [hinted(5, said=n) for n in (1000, 5000, 3)]
        assert [status for status, _, _ in asking(*bodies, url=gateway.url)] == [200] * 3
        until(gateway.idle)


def test_a_policy_that_reserves_nothing_is_not_held_back_by_the_cache():
    with (
        fake_engine(slots=64, step_ms=4, blocks=4, block_size=4) as fake,
        running(fake.url, in_flight=64, policy="shortest") as gateway,
    ):
        asking(*[hinted(500)] * 30, url=gateway.url)
        assert fake.seen()["most_running"] > 20


@pytest.mark.parametrize(("policy", "order"), [("shortest", [10, 20, 30]), ("longest", [30, 20, 10])])
def test_in_priority_mode_the_engine_goes_by_our_rank(policy, order):
    settings = {"mode": "priority", "in_flight": None, "policy": policy}
    with fake_engine(slots=1, step_ms=10, priority=True) as fake, running(fake.url, **settings) as gateway:
        assert ended(fake, gateway, [20, 30, 10], [{}] * 3) == order
        assert gateway.idle()


def test_in_priority_mode_a_class_goes_before_any_rank_and_nobody_raises_their_own():
    settings = {"mode": "priority", "in_flight": None, "policy": "shortest"}
    with fake_engine(slots=1, step_ms=10, priority=True) as fake, running(fake.url, **settings) as gateway:
        asked = [{"priority": 2}, {"priority": 1}, {}, {"priority": -9}]
        assert ended(fake, gateway, [5, 10, 30, 20], asked) == [20, 30, 10, 5]


def ended(fake, gateway, tokens, more):
    """In which order these end that wait inside the engine, behind a long one."""
    order, threads = [], []

    def one(tokens, fields):
        assert asking(hinted(tokens, **fields), url=gateway.url)[0][0] == 200
        order.append(tokens)

    def begin(number, *args):
        threads.append(threading.Thread(target=one, args=args))
        threads[-1].start()
        until(lambda: (seen := fake.seen())["running"] + seen["waiting"] == number)

    begin(1, 1000, {})
    for number, (length, fields) in enumerate(zip(tokens, more, strict=True), start=2):
        begin(number, length, fields)
    for thread in threads:
        thread.join(30)
    return order[1:]


@pytest.mark.parametrize(
    ("settings", "error", "says"),
    [
        ({"mode": "priority", "policy": "response_ratio(shortest)"}, PolicyError, "response_ratio.*reorders"),
        ({"policy": "a_ell"}, PolicyError, "a_ell.*quantum.*gateway cannot give"),
        ({"policy": "mlfq"}, PolicyError, "mlfq.*displace.*gateway cannot give"),
        ({"policy": "a_min_randomized"}, PolicyError, "a_min_randomized.*needs.*gateway cannot give"),
        ({"mode": "priority", "in_flight": 3}, SettingsError, "no --in-flight"),
    ],
)
def test_what_cannot_be_is_refused_by_name(settings, error, says):
    settings = {"in_flight": None, **settings}
    with pytest.raises(error, match=says), running("http://127.0.0.1:9", **settings):
        pass


def test_the_rank_stands_in_the_engine_s_own_field():
    settings = {"mode": "priority", "in_flight": None, "policy": "shortest"}
    with fake_engine(slots=1, step_ms=2) as fake, running(fake.url, **settings) as gateway:
        asking(hinted(7), url=gateway.url)
        sent = json.dumps({**hinted(7), "priority": 7000}).encode()
        assert fake.seen()["last"]["length"] == len(sent) - 2  # ours is written without spaces

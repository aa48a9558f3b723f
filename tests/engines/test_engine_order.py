import asyncio

import pytest
from tests.engines.asking import answer, greedy, prompt, runs

from soonest.core import Forecast
from soonest.engines.embedded import Job


def exact(tokens):
    return Forecast.exact(tokens)


def test_short_forecasts_end_before_earlier_long_ones(engine, model):
    made = engine(slots=1)
    lengths = [30, 24, 18, 12, 6, 3]

    async def run():
        ids = prompt(model, "tell me")
        first = asyncio.create_task(answer(made, "first", ids, 400, forecast=exact(400)))
        await runs(made)
        rest = [answer(made, str(n), ids, n, forecast=exact(n)) for n in lengths]
        ends = [end for _, end in await asyncio.gather(first, *rest)]
        return ends[1:]

    ends = asyncio.run(run())
    assert ends == sorted(ends, reverse=True)


def test_without_forecasts_order_is_that_of_arrival(engine, model):
    made = engine(slots=1)

    async def run():
        ids = prompt(model, "tell me")
        jobs = [answer(made, str(i), ids, n) for i, n in enumerate((30, 20, 10, 5))]
        return [end for _, end in await asyncio.gather(*jobs)]

    ends = asyncio.run(run())
    assert ends == sorted(ends)


def test_a_lower_priority_field_goes_first(engine, model):
    made = engine(slots=1)

    async def run():
        ids = prompt(model, "tell me")
        first = asyncio.create_task(answer(made, "first", ids, 400))
        await runs(made)
        jobs = [answer(made, str(p), ids, 10, priority=p, forecast=exact(10 - p)) for p in (2, 1, 0)]
        return [end for _, end in (await asyncio.gather(first, *jobs))[1:]]

    ends = asyncio.run(run())
    assert ends == sorted(ends, reverse=True)


PRESSED = {"slots": 4, "memory": 96, "block_size": 8}
"""Twelve blocks: not enough for four answers of 40 tokens."""


def pressed(made, model):
    async def run():
        ids = [prompt(model, f"story {'of it ' * i}") for i in range(6)]
        jobs = [answer(made, str(i), one, 40, forecast=Forecast.interval(30, 40)) for i, one in enumerate(ids)]
        return ids, [said for said, _ in await asyncio.gather(*jobs)]

    return asyncio.run(run())


@pytest.mark.parametrize("words", ["shortest", "a_min", "a_min(live, smallest)"])
def test_what_the_evicted_say_is_what_they_would_have_said(engine, model, words):
    made = engine(words, **PRESSED)
    prompts, answers = pressed(made, model)
    assert made.room.evictions > 0
    assert answers == [greedy(model, ids, 40) for ids in prompts]
    assert made.usage == 0


def test_with_right_upper_bounds_nobody_is_evicted(engine, model):
    made = engine("a_max", **PRESSED)
    prompts, answers = pressed(made, model)
    assert made.room.evictions == 0
    assert answers == [greedy(model, ids, 40) for ids in prompts]


@pytest.mark.parametrize(("order", "victim"), [("smallest", "low"), ("largest", "high")])
def test_the_policy_chooses_whom_memory_costs_its_place(engine, model, order, victim):
    made = engine(f"a_min(stored, {order})", slots=2, memory=64, block_size=8)
    evicted, seen = made.room.evicted, []
    made.room.evicted = lambda name: (seen.append(name), evicted(name))
    ids = prompt(model, "tell me")

    async def run():
        low = answer(made, "low", ids, 40, forecast=Forecast.interval(2, 50))
        high = answer(made, "high", ids, 40, forecast=Forecast.interval(9, 50))
        return await asyncio.gather(low, high)

    (low, _), (high, _) = asyncio.run(run())
    assert seen[0] == victim
    assert low == high == greedy(model, ids, 40)


def test_a_stored_prefix_is_not_computed_again(engine, model):
    made = engine(prefix_caching=True)
    ids = prompt(model, "one two three four five six seven eight nine ten " * 6)
    cached = []

    async def run(name):
        async with made.submit(Job(name, ids, 5)) as news:
            said = []
            async for some in news:
                cached.append(made.cached(name))
                said += some
        return said

    first, second = asyncio.run(run("a")), asyncio.run(run("b"))
    assert first == second == greedy(model, ids, 5)
    assert cached[0] == 0
    assert cached[-1] >= len(ids) - 17


def test_stored_prefixes_give_way_to_those_who_wait(engine, model):
    made = engine(prefix_caching=True, slots=2, memory=128, block_size=8)

    async def run():
        for i in range(12):
            ids = prompt(model, f"{i} story " + "one two three " * (4 + i))
            said, _ = await answer(made, str(i), ids, 20)
            assert said == greedy(model, ids, 20)

    asyncio.run(run())


def test_a_prompt_needs_no_more_memory_than_for_its_part_of_a_step(engine, model):
    """Of four tokens a step three answers take one each, and are gone before the prompt needs its second block."""
    made = engine("fcfs", slots=4, memory=80, block_size=16, token_budget=4)
    ids = prompt(model, "one two three four five six seven eight nine ten " * 4)
    wanted = ((ids[:13], 14), (ids[:1], 14), (ids[:1], 14), (ids[:20], 1))

    async def run():
        return await asyncio.gather(*(answer(made, str(i), *one) for i, one in enumerate(wanted)))

    assert [said for said, _ in asyncio.run(run())] == [greedy(model, *one) for one in wanted]
    assert made.room.evictions == 0

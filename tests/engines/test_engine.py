import asyncio
import threading
import time

import pytest
from tests.engines.asking import answer, greedy, idle, prompt

from soonest.core import Forecast, PolicyError
from soonest.engines.embedded import Engine, EngineError, Job, Sampling, Settings, TooLongError, load
from soonest.engines.embedded.scheduler import QueueScheduler, Victims
from soonest.policies import policy

WARM = Sampling(temperature=1.0, seed=7)


def exact(tokens):
    return Forecast.exact(tokens)


def test_the_library_uses_our_scheduler_sampler_and_order_of_eviction(engine):
    processor = engine()._manager.batch_processor
    assert isinstance(processor.scheduler, QueueScheduler)
    assert isinstance(processor.offloading_manager, Victims)
    assert processor.scheduler.victims is processor.offloading_manager


def test_answers_are_those_of_generate(engine, model):
    made = engine(slots=3)
    prompts = [prompt(model, f"one two three {'four ' * i}") for i in range(6)]

    async def run():
        return await asyncio.gather(*(answer(made, str(i), ids, 25) for i, ids in enumerate(prompts)))

    answers = [said for said, _ in asyncio.run(run())]
    assert answers == [greedy(model, ids, 25) for ids in prompts]


def test_a_prompt_longer_than_a_step_is_computed_in_several(engine, model):
    made = engine(token_budget=16)
    ids = prompt(model, "one two three four five six seven eight nine ten " * 8)
    assert len(ids) > 4 * 16

    async def run():
        return await asyncio.gather(answer(made, "long", ids, 10), answer(made, "short", ids[:5], 10))

    (long, _), (short, _) = asyncio.run(run())
    assert long == greedy(model, ids, 10)
    assert short == greedy(model, ids[:5], 10)


def test_an_answer_that_is_left_frees_its_place_at_once(engine, model):
    made = engine(slots=1)

    async def run():
        ids = prompt(model, "tell me")
        async with made.submit(Job("long", ids, 400)) as news:
            async for _ in news:
                break
        began = made.steps
        await answer(made, "next", ids, 1)
        await idle(made)
        return made.steps - began

    assert asyncio.run(run()) < 300
    assert made.usage == 0


def test_one_that_waits_can_be_left_too(engine, model):
    made = engine(slots=1)

    async def run():
        ids = prompt(model, "tell me")
        running = asyncio.create_task(answer(made, "runs", ids, 60))
        await asyncio.sleep(0.02)
        waiting = asyncio.create_task(answer(made, "waits", ids, 60))
        await asyncio.sleep(0.02)
        waiting.cancel()
        await asyncio.wait({waiting})
        said, _ = await running
        await idle(made)
        return said

    assert len(asyncio.run(run())) == 60


def test_one_left_before_the_engine_saw_it_never_runs(engine, model):
    made = engine(slots=1)

    async def run():
        for i in range(50):
            async with made.submit(Job(str(i), prompt(model, "tell me"), 400)):
                pass
        await idle(made)

    asyncio.run(run())
    assert not made._endings


def test_a_complete_answer_teaches_the_mean_though_it_was_cut(engine, model):
    made = engine(slots=1)

    async def run():
        async with made.submit(Job("a", prompt(model, "tell me"), 400)) as news:
            count = 0
            async for some in news:
                count += len(some)
                if count >= 5:
                    made.enough("a", 5)
                    break
        await idle(made)

    asyncio.run(run())
    assert made.room.queue.mean_tokens == 5


def test_a_token_that_ends_an_answer_ends_it(engine, model):
    made = engine()
    ids = prompt(model, "tell me")
    expected = greedy(model, ids, 20)
    end = expected[10]
    said, _ = asyncio.run(answer(made, "a", ids, 20, ends=(end,)))
    assert said == expected[: expected.index(end) + 1]


def test_what_can_never_run_is_refused(engine, model):
    made = engine(slots=1, memory=64, block_size=8)

    async def run():
        async with made.submit(Job("a", prompt(model, "tell me"), 64)):
            pass

    with pytest.raises(TooLongError, match="at most 64 tokens"):
        asyncio.run(run())


def test_an_engine_that_died_says_so_to_everyone(engine, model):
    made = engine()

    def broken(*_):
        raise RuntimeError("out of memory")

    async def run():
        ids = prompt(model, "tell me")
        async with made.submit(Job("a", ids, 400)) as news:
            await anext(news)
            made._scheduler.schedule_batch = broken
            with pytest.raises(EngineError, match="out of memory"):
                [_ async for _ in news]
        await asyncio.to_thread(made._manager._generation_thread.join)
        with pytest.raises(EngineError, match="died"):
            async with made.submit(Job("b", ids, 4)):
                pass

    asyncio.run(run())


def test_policies_that_need_more_than_eviction_are_refused(model):
    with pytest.raises(PolicyError, match=r"a_ell.*quantum"):
        Engine(model, policy("a_ell"))


def test_an_idle_engine_uses_no_processor(engine, model):
    made = engine()
    asyncio.run(answer(made, "a", prompt(model, "tell me"), 5))
    spells = []
    for _ in range(5):  # the process has other threads, too
        began = time.process_time()
        time.sleep(0.2)
        spells.append(time.process_time() - began)
    assert min(spells) < 0.004


@pytest.mark.slow
def test_two_thousand_requests_with_cancellations_leave_nothing_behind(engine, model):
    import random

    made = engine("response_ratio(shortest)", slots=8, memory=512)
    ids = prompt(model, "tell me")
    draw = random.Random(1)  # noqa: S311 - a test
    limit = None

    async def one(i):
        if draw.random() < 0.3:
            task = asyncio.create_task(answer(made, f"c{i}", ids, 300, forecast=exact(draw.randint(1, 300))))
            await asyncio.sleep(draw.random() * 0.05)
            task.cancel()
            await asyncio.wait({task})
        else:
            said, _ = await answer(made, f"r{i}", ids, draw.randint(1, 6), forecast=exact(draw.randint(1, 9)))
            assert said

    async def some(i):
        async with limit:
            await one(i)

    async def run():
        nonlocal limit
        limit = asyncio.Semaphore(32)
        await asyncio.gather(*(some(i) for i in range(2000)))
        await idle(made)

    asyncio.run(run())
    scheduler = made._scheduler
    assert made.usage == 0
    assert not made._tickets
    assert not made._endings
    assert not made._sampler.draws
    assert not scheduler.active_requests
    assert not scheduler.waiting_requests
    assert not any(a.block_table for a in scheduler.cache.cache_allocators.values())
    assert threading.active_count() < 20


@pytest.mark.gpu
def test_a_gpu_says_what_the_processor_says(model_folder, model):
    on_gpu = Engine(load(str(model_folder), device="cuda"), policy("shortest"), Settings(slots=4))
    on_gpu.start()
    try:
        ids = prompt(model, "tell me a story")
        said, _ = asyncio.run(answer(on_gpu, "a", ids, 20))
        drawn, _ = asyncio.run(answer(on_gpu, "b", ids, 20, sampling=WARM))
    finally:
        on_gpu.stop()
    assert said == greedy(model, ids, 20)
    assert len(drawn) == 20

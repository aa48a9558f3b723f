import asyncio
import threading
import time

import pytest
import torch

from soonest.core import Forecast, PolicyError
from soonest.engines.embedded import Engine, EngineError, Job, Sampling, Settings, TooLongError, load
from soonest.engines.embedded.scheduler import QueueScheduler, Victims
from soonest.policies import policy

WARM = Sampling(temperature=1.0, seed=7)


@pytest.fixture(scope="module")
def model(model_folder):
    torch.set_num_threads(1)
    return load(str(model_folder), device="cpu")


@pytest.fixture
def engine(model):
    """`engine(policy, **settings)`: a started engine, stopped at the end."""
    made = []

    def make(words="shortest", **settings):
        made.append(Engine(model, policy(words), Settings(**{"slots": 4, **settings})))
        made[-1].start()
        return made[-1]

    yield make
    for one in made:
        one.stop()


def prompt(model, words):
    return list(model.tokenizer(words).input_ids)


def greedy(model, ids, tokens):
    """What the library's own generate says."""
    with torch.no_grad():
        out = model.network.generate(torch.tensor([ids]), max_new_tokens=tokens, do_sample=False, eos_token_id=None)
    return out[0, len(ids) :].tolist()


async def answer(engine, name, ids, tokens, **more):
    """All tokens of a job, and when it ended."""
    said = []
    async with engine.submit(Job(name, ids, tokens, **more)) as news:
        async for some in news:
            said += some
    return said, time.monotonic()


async def idle(engine, *, within=10.0):
    """Wait until nothing waits or runs."""
    until = time.monotonic() + within
    while engine.waiting or engine.running:
        assert time.monotonic() < until, f"{engine.waiting} wait and {engine.running} run"
        await asyncio.sleep(0.01)


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


def test_short_forecasts_end_before_earlier_long_ones(engine, model):
    made = engine(slots=1)
    lengths = [30, 24, 18, 12, 6, 3]

    async def run():
        ids = prompt(model, "tell me")
        first = asyncio.create_task(answer(made, "first", ids, 40, forecast=exact(40)))
        await asyncio.sleep(0.02)
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
        first = asyncio.create_task(answer(made, "first", ids, 40))
        await asyncio.sleep(0.02)
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


def test_an_answer_that_is_left_frees_its_place_at_once(engine, model):
    made = engine(slots=1)

    async def run():
        ids = prompt(model, "tell me")
        async with made.submit(Job("long", ids, 400)) as news:
            async for _ in news:
                break
        began = time.monotonic()
        await answer(made, "next", ids, 1)
        await idle(made)
        return time.monotonic() - began

    assert asyncio.run(run()) < 0.5
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
        await idle(made, within=3)

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


def test_a_seed_repeats_an_answer_whatever_runs_beside_it(engine, model):
    made = engine()
    ids = prompt(model, "tell me")

    async def run():
        alone, _ = await answer(made, "alone", ids, 20, sampling=WARM)
        others = [answer(made, str(i), ids, 25, sampling=Sampling(temperature=2.0)) for i in range(3)]
        (beside, _), *_ = await asyncio.gather(answer(made, "beside", ids, 20, sampling=WARM), *others)
        return alone, beside

    alone, beside = asyncio.run(run())
    assert alone == beside != greedy(model, ids, 20)


def test_greedy_and_drawn_answers_share_a_batch(engine, model):
    made = engine()
    ids = prompt(model, "tell me")

    async def run():
        drawn = answer(made, "drawn", ids, 20, sampling=WARM)
        (said, _), _ = await asyncio.gather(answer(made, "greedy", ids, 20), drawn)
        return said

    assert asyncio.run(run()) == greedy(model, ids, 20)


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(temperature=1.0, top_k=1, seed=1),
        Sampling(temperature=1.0, top_p=1e-9, seed=1),
        Sampling(temperature=1.0, min_p=1.0, seed=1),
    ],
    ids=["top_k", "top_p", "min_p"],
)
def test_draws_among_one_token_are_greedy(engine, model, sampling):
    ids = prompt(model, "tell me")
    said, _ = asyncio.run(answer(engine(), "a", ids, 20, sampling=sampling))
    assert said == greedy(model, ids, 20)


def test_draws_follow_the_model_s_chances(engine, model):
    made = engine(slots=16)
    ids = prompt(model, "tell me")
    with torch.no_grad():
        chances = (model.network(torch.tensor([ids])).logits[0, -1].float() / 3).softmax(-1)
    likely = int(chances.argmax())

    async def run():
        hot = [Sampling(temperature=3.0, seed=seed) for seed in range(400)]
        return await asyncio.gather(*(answer(made, str(i), ids, 1, sampling=s) for i, s in enumerate(hot)))

    share = sum(said == [likely] for said, _ in asyncio.run(run())) / 400
    expected = float(chances[likely])
    assert abs(share - expected) < 4 * (expected * (1 - expected) / 400) ** 0.5


def test_a_bias_and_a_penalty_change_what_is_said(engine, model):
    made = engine()
    ids = prompt(model, "tell me")
    plain = greedy(model, ids, 12)

    async def run():
        biased, _ = await answer(made, "b", ids, 3, sampling=Sampling(bias={9: 100.0}))
        frequent, _ = await answer(made, "f", ids, 70, sampling=Sampling(bias={9: 100.0}, frequency=2.0, presence=2.0))
        repeated, _ = await answer(made, "r", ids, 12, sampling=Sampling(repetition=50.0))
        return biased, frequent, repeated

    biased, frequent, repeated = asyncio.run(run())
    assert biased == [9, 9, 9]
    assert frequent[:20] == [9] * 20
    assert frequent != [9] * 70
    assert len(set(repeated)) == 12
    assert set(plain) - {9}


def test_no_end_comes_before_the_least_tokens(engine, model):
    made = engine()
    ids = prompt(model, "tell me")
    first = greedy(model, ids, 1)[0]
    short, _ = asyncio.run(answer(made, "a", ids, 20, ends=(first,)))
    long, _ = asyncio.run(answer(made, "b", ids, 20, ends=(first,), sampling=Sampling(min_tokens=8)))
    assert short == [first]
    assert len(long) >= 8
    assert first not in long[:7]


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
    began = time.process_time()
    time.sleep(1.0)
    assert time.process_time() - began < 0.02


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

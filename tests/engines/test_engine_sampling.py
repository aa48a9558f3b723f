import asyncio

import pytest
import torch
from tests.engines.asking import answer, greedy, prompt

from soonest.engines.embedded import Sampling
from soonest.engines.embedded.sampling import Draw

WARM = Sampling(temperature=1.0, seed=7)


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


def test_a_top_p_of_nothing_takes_the_most_likely():
    logits = torch.tensor([0.0, 1.0, 5.0, 2.0])
    for seed in range(20):
        drawn = Draw(Sampling(temperature=1.0, top_p=0.0, seed=seed)).shape(logits.clone(), [], [])
        assert drawn.argmax() == 2

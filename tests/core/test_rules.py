"""Which rules an engine may have, and the presets."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from soonest.core import Batching, Need, Rules, RulesError
from soonest.core.rules import MAX_COUNT


@pytest.mark.parametrize("name", ["slots", "token_budget", "blocks"])
@pytest.mark.parametrize("limit", [0, -1, MAX_COUNT + 1, math.nan])
def test_a_limit_is_at_least_one_or_none(name, limit):
    with pytest.raises(RulesError, match=name):
        Rules(**{"slots": 1, name: limit})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("block_size", 0),
        ("block_size", (1 << 20) + 1),
        ("watermark", -0.1),
        ("watermark", 1.0),
        ("watermark", math.nan),
        ("clear", -0.1),
        ("clear", 1.1),
        ("clear", math.nan),
        ("max_evictions", 0),
        ("max_evictions", MAX_COUNT + 1),
        ("timeout", -1.0),
        ("timeout", math.nan),
        ("timeout", math.inf),
    ],
)
def test_an_absurd_value_is_refused_by_name(name, value):
    with pytest.raises(RulesError, match=name):
        Rules(**{name: value})


def test_a_budget_gives_every_slot_a_token():
    assert Rules(slots=8, token_budget=8).token_budget == 8
    with pytest.raises(RulesError, match="token_budget 7"):
        Rules(slots=8, token_budget=7)
    with pytest.raises(RulesError, match="token_budget 7"):
        Rules(token_budget=7)


def test_dynamic_batching_has_slots_and_nothing_else():
    with pytest.raises(RulesError, match="slots"):
        Rules(batching=Batching.DYNAMIC)
    for limit in ({"blocks": 9}, {"token_budget": 9}):
        with pytest.raises(RulesError, match="continuous"):
            Rules(slots=4, batching=Batching.DYNAMIC, **limit)


def test_the_papers_rounds_restart_and_count_single_tokens():
    rules = Rules.paper(100)
    assert (rules.blocks, rules.block_size, rules.capacity, rules.slots) == (100, 1, 100, None)
    assert rules.restart
    assert rules.newest_held
    assert rules.admit_after_evict
    assert rules.gives == set(Need)


def test_vllm_recomputes_and_admits_nothing_after_an_eviction():
    rules = Rules.vllm(blocks=10)
    assert (rules.slots, rules.token_budget, rules.block_size, rules.capacity) == (256, 2048, 16, 160)
    assert not rules.restart
    assert not rules.newest_held
    assert not rules.admit_after_evict
    assert rules.gives == {Need.EVICT, Need.QUANTUM, Need.DISPLACE}


def test_the_batchings_of_ssjf():
    assert Rules.none() == Rules(slots=1)
    assert Rules.continuous(7) == Rules(slots=7)
    dynamic = Rules.dynamic(3, 0.5)
    assert (dynamic.slots, dynamic.timeout, dynamic.batching) == (3, 0.5, Batching.DYNAMIC)
    assert not {Need.QUANTUM, Need.DISPLACE} & dynamic.gives


def test_clearing_everyone_is_not_evicting_by_keep():
    assert Need.EVICT not in Rules(blocks=10, clear=0.5).gives
    assert Need.EVICT in Rules(clear=0.5).gives


@given(st.integers(1, 64), st.integers(0, 10_000))
def test_blocks_are_the_fewest_that_hold_the_tokens(size, tokens):
    blocks = Rules(block_size=size).blocks_for(tokens)
    assert blocks * size >= tokens > (blocks - 1) * size


def test_the_watermark_is_rounded_up():
    assert Rules(blocks=150, watermark=0.01).reserve_blocks == 2
    assert Rules(blocks=150).reserve_blocks == 0
    assert Rules(watermark=0.5).reserve_blocks == 0


@given(st.integers(1, 1 << 40), st.integers(0, 99))
def test_a_watermark_of_so_many_per_cent_is_exactly_that(blocks, percent):
    assert Rules(blocks=blocks, watermark=percent / 100).reserve_blocks == -(-blocks * percent // 100)
    assert Rules(blocks=100, watermark=percent / 100).reserve_blocks == percent


def alone(rules, prompt, output):
    (fits,) = rules.fits_alone(np.array([prompt]), np.array([output])).tolist()
    return fits


@given(st.integers(1, 30), st.integers(1, 8), st.integers(0, 60), st.integers(1, 60), st.booleans())
def test_who_fits_alone_can_hold_its_last_token(blocks, size, prompt, output, newest):
    rules = Rules(blocks=blocks, block_size=size, newest_held=newest)
    held = prompt + output - 1 + newest
    assert alone(rules, prompt, output) == (held <= blocks * size)
    assert rules.estimate_room(prompt) == max(1, blocks * size - prompt)


def test_without_chunks_a_whole_prompt_fits_the_budget():
    rules = Rules(slots=4, token_budget=10, chunked_prefill=False)
    assert rules.fits_alone(np.array([10, 11]), np.array([100, 1])).tolist() == [True, False]
    recompute = Rules(slots=4, token_budget=10, chunked_prefill=False, restart=False)
    assert recompute.fits_alone(np.array([8, 8]), np.array([3, 4])).tolist() == [True, False]


def test_no_memory_limit_is_a_large_capacity():
    assert Rules().capacity == MAX_COUNT
    assert alone(Rules(), MAX_COUNT, MAX_COUNT)

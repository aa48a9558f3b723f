"""Hashed n-grams."""

import os
import subprocess
import sys
from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from soonest.predict.text.ngrams import BITS, BLOCKS, CHARACTERS, OPENING, SIZE, grams
from soonest.predict.text.tokens import Tokens

SOME = st.text(max_size=40) | st.text("ab c.", max_size=40)


def slow_counts(view):
    """How many n-grams there are of each block, with repetition."""
    cut = Tokens.of(view)
    tokens = len(cut.starts)
    head = min(tokens, OPENING)
    characters = len(cut.codes)
    return [
        tokens + max(tokens - 1, 0),
        head * (head - 1) // 2 + min(tokens, 3) + (tokens >= 3),
        sum(max(characters - size + 1, 0) for size in CHARACTERS),
        1,
    ]


@given(SOME)
def test_every_n_gram_is_counted_in_its_block_and_places_increase(view):
    found = grams(Tokens.of(view), [7])
    places = found.places.tolist()
    assert places == sorted(set(places))
    counts = Counter()
    for place, times in zip(places, found.times.tolist(), strict=True):
        counts[place >> BITS] += times
    assert [counts[block] for block in range(BLOCKS)] == slow_counts(view)


def test_an_opening_s_pairs_need_not_be_neighbours():
    first, second, other = (
        set(grams(Tokens.of(text), [0]).places.tolist())
        for text in ("write me an essay", "write a long essay", "draw me an owl")
    )
    pairs = range(1 << BITS, 2 << BITS)
    assert len(first & second & set(pairs)) >= 2  # the first word, and the pair of the first and the last
    assert len(first & other & set(pairs)) < len(first & second & set(pairs)) + 2


def test_different_texts_share_few_places():
    chance = np.random.default_rng(0)
    words = ["".join(map(chr, chance.integers(97, 123, 8))) for _ in range(2000)]
    places = {int(p) for w in words for p in grams(Tokens.of(w), [0]).places[:1]}
    assert len(places) > 1970
    assert max(places) < SIZE


def test_places_are_the_same_in_every_process():
    code = (
        "from soonest.predict.text.ngrams import grams\nfrom soonest.predict.text.tokens import Tokens\n"
        "print(grams(Tokens.of('Write a haiku, \u8bd7'), [1]).places.tolist())"
    )
    env = {**os.environ, "PYTHONIOENCODING": "utf-8"}
    runs = [
        subprocess.run(
            [sys.executable, "-c", code], env={**env, "PYTHONHASHSEED": seed}, capture_output=True, check=True
        )
        for seed in ("1", "2")
    ]
    assert runs[0].stdout == runs[1].stdout
    assert len(runs[0].stdout) > 100

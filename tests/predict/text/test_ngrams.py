"""Hashed n-grams."""

import os
import subprocess
import sys
from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from soonest.predict.text.ngrams import BITS, BLOCKS, CHARACTERS, OPENING, SIZE, grams
from soonest.predict.text.tokens import texts

SOME = st.lists(st.text(max_size=40) | st.text("ab c.", max_size=40), min_size=1, max_size=4)


def slow_counts(view):
    """How many n-grams there are of each block, with repetition."""
    cut = texts([view])
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
def test_texts_are_counted_alike_alone_and_together(views):
    together = grams(texts(views), [[i] for i in range(len(views))])
    for i, view in enumerate(views):
        alone = grams(texts([view]), [[i]])
        own = together.owners == i
        assert together.places[own].tolist() == alone.places.tolist()
        assert together.times[own].tolist() == alone.times.tolist()
        counts = Counter()
        for place, times in zip(alone.places.tolist(), alone.times.tolist(), strict=True):
            counts[place >> BITS] += times
        assert [counts[block] for block in range(BLOCKS)] == slow_counts(view)


def test_an_opening_s_pairs_need_not_be_neighbours():
    first, second, other = (
        set(grams(texts([text]), [[0]]).places.tolist())
        for text in ("write me an essay", "write a long essay", "draw me an owl")
    )
    pairs = range(1 << BITS, 2 << BITS)
    assert len(first & second & set(pairs)) >= 2  # the first word, and the pair of the first and the last
    assert len(first & other & set(pairs)) < len(first & second & set(pairs)) + 2


def test_different_texts_share_few_places():
    chance = np.random.default_rng(0)
    words = ["".join(map(chr, chance.integers(97, 123, 8))) for _ in range(2000)]
    places = {int(p) for w in words for p in grams(texts([w]), [[0]]).places[:1]}
    assert len(places) > 1970
    assert max(places) < SIZE


def test_places_are_the_same_in_every_process():
    code = (
        "from soonest.predict.text.ngrams import grams\nfrom soonest.predict.text.tokens import texts\n"
        "print(grams(texts(['Write a haiku, \u8bd7', 'x']), [[1], [2]]).places.tolist())"
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

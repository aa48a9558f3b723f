"""Texts cut into tokens and hashed."""

import unicodedata

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from soonest.predict.text.tokens import BASE, ENDS, SIGN, SPACE, TABLE, Tokens, ends, mixed

ANY = st.text(st.characters(), max_size=60)  # lone surrogates included
SOME = ANY | st.text("ab 1.,'\n", max_size=30)


def kind(character):
    category = unicodedata.category(character)[0]
    if ord(character) >= TABLE:
        return SIGN
    if category in "ZC":
        return SPACE
    word = category == "N" or (category in "LM" and ord(character) < 0x2E80) or character in "_'\u2019"
    return "word" if word else SIGN


def slow_tokens(text):
    found, open_ = [], False
    for character in text.lower():
        this = kind(character)
        if this == "word" and open_:
            found[-1] += character
        elif this != SPACE:
            found.append(character)
        open_ = this == "word"
    return found


@given(SOME)
def test_tokens_are_runs_of_letters_and_digits_and_single_signs(view):
    cut = Tokens.of(view)
    found = ["".join(map(chr, cut.codes[a:b])) for a, b in zip(cut.starts, cut.stops, strict=True)]
    assert found == slow_tokens(view)


@given(SOME)
def test_hashes_of_spans_are_polynomials_wherever_they_stand(view):
    cut = Tokens.of(view)

    def slow(span):
        total = 0
        for i, code in enumerate(span.tolist()):
            value = (code + 1) * BASE % 2**64
            total += (value ^ value >> 29) * pow(BASE, i, 2**64)
        return total % 2**64

    assert cut.words().tolist() == [slow(cut.codes[a:b]) for a, b in zip(cut.starts, cut.stops, strict=True)]
    for size in (1, 3, 5):
        starts = range(len(cut.codes) - size + 1)
        assert cut.windows(size).tolist() == [slow(cut.codes[i : i + size]) for i in starts]


def test_scripts_without_spaces_are_cut_into_characters():
    cut = Tokens.of("写一首诗 hello")
    assert [b - a for a, b in zip(cut.starts, cut.stops, strict=True)] == [1, 1, 1, 1, 5]


def test_of_a_long_text_both_ends_are_seen():
    text = "a" * ENDS + "b" * 5000 + "c" * ENDS
    assert ends(text) == "a" * ENDS + "\n" + "c" * ENDS
    assert ends("x" * 2 * ENDS) == "x" * 2 * ENDS


def test_mixing_scatters_neighbours():
    places = mixed(np.arange(4096, dtype=np.uint64), 8)
    assert np.bincount(places.astype(int), minlength=256).max() < 40

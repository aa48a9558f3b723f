"""The sequential test of rank agreement: seldom wrong, and quick where there is something to find."""

import numpy as np
import pytest

from soonest.predict.stream.agreement import Agreement


def answers(chance, n, correlation):
    noise = chance.normal(size=(2, n))
    answer = noise[0]
    forecast = correlation * answer + np.sqrt(1 - correlation**2) * noise[1]
    return zip(np.exp(5 + forecast), np.exp(5 + answer).astype(int), strict=True)


def first(chance, n, correlation, wealth, limit):
    test = Agreement()
    for i, (expected, tokens) in enumerate(answers(chance, n, correlation)):
        test.add(float(expected), int(tokens))
        if getattr(test, wealth) > limit:
            return i
    return None


def test_agreement_is_found_by_chance_in_at_most_one_in_twenty():
    chance = np.random.default_rng(0)
    wrong = sum(first(chance, 250, 0.0, "found", 20) is not None for _ in range(400))
    assert wrong <= 20 + 3 * np.sqrt(20)


@pytest.mark.parametrize(("correlation", "within"), [(0.8, 30), (0.5, 80), (0.3, 250)])
def test_agreement_is_found_soon(correlation, within):
    chance = np.random.default_rng(1)
    found = [first(chance, 1000, correlation, "found", 20) for _ in range(40)]
    assert None not in found
    assert np.median(found) <= within


def test_an_inverted_order_is_lost_within_thirty_answers():
    chance = np.random.default_rng(2)
    assert max(first(chance, 200, -0.95, "lost", 50) for _ in range(50)) <= 30


def test_a_useless_order_is_lost_in_time_and_a_good_one_is_kept():
    chance = np.random.default_rng(3)
    lost = [first(chance, 5000, 0.0, "lost", 50) for _ in range(20)]
    assert None not in lost
    assert np.median(lost) <= 1500
    assert [first(chance, 5000, 0.4, "lost", 50) for _ in range(20)] == [None] * 20


def test_ties_prove_nothing():
    test = Agreement()
    for tokens in range(1, 400):
        test.add(7.0, tokens % 13)
    assert test.found == pytest.approx(1)

"""Trees as arrays, beside LightGBM's own."""

import numpy as np
import pytest

lightgbm = pytest.importorskip("lightgbm")

from soonest.predict.text import trees as module  # noqa: E402 - where LightGBM is there
from soonest.predict.text.trees import Trees  # noqa: E402


def grown(rounds, leaves, seed=0, rows=400):
    chance = np.random.default_rng(seed)
    columns = chance.normal(size=(rows, 6)).round(1)
    lengths = columns[:, 0] * 3 + np.abs(columns[:, 1]) + chance.normal(size=rows)
    parameters = {"num_leaves": leaves, "min_data_in_leaf": 3, "num_threads": 1, "verbose": -1}
    boosters = [
        lightgbm.train(
            {**parameters, "objective": "quantile", "alpha": level}, lightgbm.Dataset(columns, lengths), rounds
        )
        for level in (0.1, 0.5, 0.9)
    ]
    return boosters, columns, chance.normal(size=(500, 6)).round(1)


@pytest.mark.parametrize(("rounds", "leaves"), [(1, 2), (40, 15), (7, 63)])
def test_all_trees_together_answer_as_lightgbm_does(rounds, leaves):
    boosters, columns, others = grown(rounds, leaves)
    trees = Trees.of(boosters)
    for rows in (columns, others, others[:1]):
        wanted = np.stack([booster.predict(rows, num_threads=1) for booster in boosters], axis=1)
        assert np.abs(trees.predict(rows) - wanted).max() < 1e-12


def test_a_large_batch_is_walked_in_parts_with_the_same_answers(monkeypatch):
    boosters, _, others = grown(10, 7)
    trees = Trees.of(boosters)
    whole = trees.predict(others)
    monkeypatch.setattr(module, "CHUNK", 7 * len(trees.roots))
    assert (trees.predict(others) == whole).all()


def test_a_booster_that_learned_nothing_is_a_leaf():
    boosters = [lightgbm.train({"verbose": -1}, lightgbm.Dataset(np.zeros((50, 1)), np.full(50, 4.0)), 3)]
    trees = Trees.of(boosters)
    assert trees.depth == 0
    assert trees.predict(np.zeros((2, 1)))[:, 0] == pytest.approx([4.0, 4.0])

"""Trees as arrays, beside LightGBM's own."""

import numpy as np
import pytest

lightgbm = pytest.importorskip("lightgbm")

from soonest.predict.text.trees import Trees  # noqa: E402 - where LightGBM is there


def grown(rounds, leaves, seed=0, rows=2000):
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


@pytest.mark.parametrize(("rounds", "leaves"), [(1, 2), (40, 15), (9, 16), (9, 17), (7, 63), (7, 64)])
def test_all_trees_together_answer_as_lightgbm_does(rounds, leaves):
    boosters, columns, others = grown(rounds, leaves)
    trees = Trees.of(boosters)
    for rows in (columns, others, others[:1]):
        wanted = np.stack([booster.predict(rows, num_threads=1) for booster in boosters], axis=1)
        assert np.abs(np.array([trees.predict(row) for row in rows]) - wanted).max() < 1e-12


def test_a_tree_of_more_leaves_than_an_integer_has_bits_is_refused():
    with pytest.raises(ValueError, match="over 64 leaves"):
        Trees.of(grown(1, 80)[0])


def test_a_booster_that_learned_nothing_is_a_leaf():
    boosters = [lightgbm.train({"verbose": -1}, lightgbm.Dataset(np.zeros((50, 1)), np.full(50, 4.0)), 3)]
    trees = Trees.of(boosters)
    assert trees.predict(np.zeros(1)) == pytest.approx([4.0])

"""Linear models, beside scikit-learn's own."""

import numpy as np
import pytest

sklearn_linear = pytest.importorskip("sklearn.linear_model")

from sklearn.feature_extraction.text import TfidfTransformer  # noqa: E402
from sklearn.preprocessing import normalize  # noqa: E402
from tests.predict.text.made import examples  # noqa: E402

from soonest.predict.text.facts import features  # noqa: E402 - where scikit-learn is there
from soonest.predict.text.linear import Linear, rarity, weighed  # noqa: E402
from soonest.predict.text.ngrams import BITS, BLOCKS, SIZE  # noqa: E402
from soonest.predict.text.train import _ridge, _table  # noqa: E402


@pytest.fixture(scope="module")
def read():
    from scipy.sparse import csr_array

    prompts, tokens = examples(200)
    grams = [features(prompt)[0] for prompt in prompts]
    places, times = (np.concatenate([getattr(one, part) for one in grams]) for part in ("places", "times"))
    owners = np.repeat(np.arange(200), [len(one.places) for one in grams])
    counts = csr_array((times.astype(float), (owners, places)), shape=(200, SIZE))
    idf = rarity(np.bincount(places, minlength=SIZE), 200)
    return grams, counts, idf, np.log(tokens)


def test_weights_are_scikit_learn_s_tf_idf_of_each_block_of_what_is_seen_twice(read):
    grams, counts, idf, _ = read
    seen = np.asarray((counts > 0).sum(axis=0)).ravel() >= 2
    made = TfidfTransformer(sublinear_tf=True, norm=None).fit_transform(counts).tocsc()
    blocks = [
        normalize((made[:, b << BITS : (b + 1) << BITS]).multiply(seen[b << BITS : (b + 1) << BITS]))
        for b in range(BLOCKS)
    ]
    ours = _table(grams, idf)
    for block, wanted in enumerate(blocks):
        own = ours[:, block << BITS : (block + 1) << BITS]
        assert abs(own - wanted).max() < 1e-6


def test_answers_are_those_of_scikit_learn_s_ridge(read):
    grams, _, idf, logs = read
    targets = np.stack([logs, logs > logs.mean()], axis=1)
    table = _table(grams, idf)
    ridge = sklearn_linear.Ridge(alpha=2.0, fit_intercept=False, solver="sparse_cg", tol=1e-2)
    ridge.fit(table, (targets - targets.mean(axis=0)).astype(np.float32))
    wanted = ridge.predict(table) + targets.mean(axis=0)
    weights, offsets = _ridge(table, targets, 2.0)
    linear = Linear(idf, weights, offsets)
    found = np.array([linear.predict(one) for one in grams])
    assert np.abs(found - wanted).max() < 1e-2  # weights are kept in half precision
    exact = Linear(idf, ridge.coef_.T.astype(np.float32), offsets)
    assert np.abs(np.array([exact.predict(one) for one in grams]) - wanted).max() < 1e-5


def test_each_block_has_length_one_or_zero(read):
    grams, _, idf, _ = read
    for one in grams:
        norms = np.bincount(one.places >> BITS, weighed(one, idf).astype(float) ** 2, BLOCKS)
        assert ((np.abs(norms - 1) < 1e-5) | (norms == 0)).all()

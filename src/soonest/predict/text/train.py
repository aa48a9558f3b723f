"""Learning: ridge regressions on n-grams, whose out-of-fold answers and the facts train boosted quantiles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from soonest.data.examples import group_of
from soonest.predict.text.facts import characters, features
from soonest.predict.text.linear import Linear, rarity, weighed
from soonest.predict.text.model import QUANTILES, Model, Names, Spread, name_hashes
from soonest.predict.text.ngrams import SIZE
from soonest.predict.text.tokens import ENDS
from soonest.predict.text.trees import Trees

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from soonest.core import Prompt
    from soonest.predict.text.ngrams import Grams

SHARES: Final = (0.1, 0.25, 0.5, 0.75, 0.9)
"""For each, a linear model says whether an answer is longer than this share of answers."""
FEW: Final = (0.25, 0.5, 0.75)
"""`SHARES` where there are fewer examples than `MANY`: as good there, and a fit takes half the time."""
MANY: Final = 4000
PENALTIES: Final = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
FOLDS: Final = 5
MOST_GRAMS: Final = 100_000_000
"""N-grams held while fitting, about 2 GB of memory; of more examples a part is drawn."""
ROUNDS: Final = 250
PATIENCE: Final = 25
PRIOR: Final = 20
"""Answers that the mean of all weighs beside those of one model."""


def train(prompts: Sequence[Prompt], tokens: Sequence[int], seed: int) -> Model:
    """Learn from answers; of a cut one, its length at the cut.

    A quantile below the cuts is right for all that (Powell, 1986, for quantile regression with censoring at a known
    point); one above them is the cut.
    """
    order = np.random.default_rng(seed).permutation(len(prompts))
    chosen = np.sort(order[: max(1, int(np.searchsorted(np.cumsum(_sizes(prompts)[order]), MOST_GRAMS)))])
    prompts = [prompts[i] for i in chosen]
    logs = np.log1p(np.asarray(tokens, np.float64)[chosen])
    found = [features(prompt) for prompt in prompts]
    grams, facts = [part[0] for part in found], np.array([part[1] for part in found])
    counts = np.zeros(SIZE, np.intp)
    for part in grams:
        counts[part.places] += 1
    idf = rarity(counts, len(prompts))
    used = np.flatnonzero(idf)
    table = _table(grams, idf)[:, used]
    del found, grams
    fold = _folds(prompts, seed)
    targets = _targets(logs)
    penalty = _penalty(table, targets, fold)
    answers = np.empty_like(targets)
    for i in range(FOLDS):
        weights, offsets = _ridge(table[fold != i], targets[fold != i], penalty)
        answers[fold == i] = table[fold == i] @ weights + offsets
    weights = np.zeros((SIZE, targets.shape[1]), np.float32)
    weights[used], offsets = _ridge(table, targets, penalty)
    names = _names(prompts, logs)
    columns = np.concatenate([answers, [[names.of(prompt)] for prompt in prompts], facts], axis=1)
    boosters = [_boosted(columns, logs, fold, level, seed) for level in QUANTILES]
    trees = Trees.of(boosters)
    spread = Spread.of(np.array([trees.predict(row) for row in columns]))
    return Model(names, Linear(idf, weights, offsets), trees, spread, float(np.max(tokens)))


def _sizes(prompts: Sequence[Prompt]) -> NDArray[np.intp]:
    """About how many n-grams each prompt has, at most."""
    return np.array([5 * min(characters(prompt), 2 * ENDS) + 100 for prompt in prompts])


def _folds(prompts: Sequence[Prompt], seed: int) -> NDArray[np.intp]:
    """A fold for each prompt; those of one conversation, or of the same first question where they name none, share it.

    What recurs in over a fifth of all prompts is split by prompt: no other split could learn from the rest.
    """
    groups: dict[int, int] = {}
    own = np.array([groups.setdefault(group_of(p), len(groups)) for p in prompts])
    large = (np.bincount(own) * FOLDS > len(own))[own]
    own[large] = len(groups) + np.arange(large.sum())
    order = np.random.default_rng(seed).permutation(len(groups) + len(own))[own]
    return np.asarray(np.unique(order, return_inverse=True)[1] % FOLDS)


def _table(grams: Sequence[Grams], idf: NDArray[np.float32]) -> Any:
    """The n-grams as a sparse matrix."""
    from scipy.sparse import csr_array  # noqa: PLC0415 - only to learn

    values = np.concatenate([weighed(part, idf) for part in grams])
    places = np.concatenate([part.places.astype(np.int32) for part in grams])
    sizes = [len(part.places) for part in grams]
    table = csr_array((values, places, np.concatenate([[0], np.cumsum(sizes)])), shape=(len(sizes), SIZE))
    table.eliminate_zeros()
    return table


def _targets(logs: NDArray[np.float64]) -> NDArray[np.float64]:
    """What linear models learn: an answer's rank, the log of its length, and whether it is longer than a share."""
    ordered = np.sort(logs)
    ranks = (np.searchsorted(ordered, logs) + np.searchsorted(ordered, logs, "right")) / (2 * len(logs))
    longer = [logs > np.quantile(logs, share) for share in (FEW if len(logs) < MANY else SHARES)]
    columns = np.stack([ranks, logs, *longer], axis=1).astype(np.float64)
    return np.asarray((columns - columns.mean(axis=0)) / np.maximum(columns.std(axis=0), 1e-3))


def _penalty(table: Any, targets: NDArray[np.float64], fold: NDArray[np.intp]) -> float:
    """The ridge penalty that ranks one fold's answers best, learned on the others."""
    errors = []
    for penalty in PENALTIES:
        weights, offsets = _ridge(table[fold != 0], targets[fold != 0, :1], penalty)
        errors.append(np.square(table[fold == 0] @ weights + offsets - targets[fold == 0, :1]).mean())
        if len(errors) > 1 and errors[-1] > errors[-2]:
            break
    return PENALTIES[int(np.argmin(errors))]


def _ridge(table: Any, targets: NDArray[np.float64], penalty: float) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Weights of shape (places, targets) in half precision, as they are saved, and offsets."""
    from sklearn.linear_model import Ridge  # noqa: PLC0415 - only to learn

    offsets = targets.mean(axis=0)
    ridge = Ridge(alpha=penalty, fit_intercept=False, solver="sparse_cg", tol=1e-2)
    ridge.fit(table, (targets - offsets).astype(np.float32))
    weights = ridge.coef_.reshape(targets.shape[1], -1).T
    return np.ascontiguousarray(weights.astype(np.float16).astype(np.float32)), offsets


def _names(prompts: Sequence[Prompt], logs: NDArray[np.float64]) -> Names:
    hashes, own, counts = np.unique(name_hashes(prompts), return_inverse=True, return_counts=True)
    mean = float(logs.mean())
    return Names(hashes, (np.bincount(own, logs) + PRIOR * mean) / (counts + PRIOR), mean)


def _boosted(
    columns: NDArray[np.float64], logs: NDArray[np.float64], fold: NDArray[np.intp], level: float, seed: int
) -> Any:
    """Trees for one quantile: as many as are best for one fold when they learn from the others."""
    import lightgbm  # noqa: PLC0415 - only to learn

    rare = min(level, 1 - level)
    parameters = {
        "objective": "quantile",
        "alpha": level,
        "learning_rate": 0.05,
        "num_leaves": 15,
        "max_depth": 6,
        "min_data_in_leaf": max(5, min(int(10 / rare), len(logs) // 10)),
        "feature_fraction": 0.5,
        "bagging_fraction": 0.7,
        "bagging_freq": 1,
        "lambda_l2": 1.0,
        "seed": seed,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 1,
        "verbose": -1,
    }
    known, held = fold != 0, fold == 0
    data = lightgbm.Dataset(columns[known], logs[known], params=parameters)
    check = lightgbm.Dataset(columns[held], logs[held], reference=data, params=parameters)
    stop = lightgbm.early_stopping(PATIENCE, verbose=False)
    trial = lightgbm.train(parameters, data, ROUNDS, valid_sets=[check], callbacks=[stop])
    whole = lightgbm.Dataset(columns, logs, params=parameters)
    return lightgbm.train(parameters, whole, max(1, trial.best_iteration))

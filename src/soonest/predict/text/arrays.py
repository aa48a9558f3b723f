"""A model as the arrays of its folder, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from soonest.core import PredictorError
from soonest.predict import folder as folders
from soonest.predict.text.facts import COLUMNS
from soonest.predict.text.linear import Linear
from soonest.predict.text.model import QUANTILES, Model, Names, Spread
from soonest.predict.text.ngrams import SIZE
from soonest.predict.text.trees import Trees

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

KINDS: Final = {
    "places": ("i", 1),
    "rarity": ("f", 1),
    "weights": ("f", 2),
    "offsets": ("f", 1),
    "names": ("u", 1),
    "means": ("f", 1),
    "longest": ("f", 0),
    "spread": ("f", 2),
    "ends": ("f", 1),
    "features": ("i", 1),
    "thresholds": ("f", 1),
    "children": ("i", 1),
    "leaves": ("f", 1),
    "roots": ("i", 1),
    "outputs": ("i", 1),
}
MOST: Final = 64
"""Linear models."""
WIDE: Final = {"f": np.float64, "i": np.intp, "u": np.uint32}


def save(model: Model, folder: Path) -> None:
    """Write a model's arrays: rows of the linear models only where they say something, in half precision."""
    linear, trees = model.linear, model.trees
    places = np.flatnonzero(linear.rarity).astype(np.int32)
    folders.write_arrays(
        folder,
        {
            "places": places,
            "rarity": linear.rarity[places],
            "weights": linear.weights[places].astype(np.float16),
            "offsets": linear.offsets,
            "names": model.names.hashes,
            "means": np.append(model.names.means, model.names.all),
            "longest": np.array(model.longest),
            "spread": model.spread.powers,
            "ends": model.spread.ends,
            "thresholds": trees.thresholds,
            "leaves": trees.leaves,
            **{part: getattr(trees, part).astype(np.int32) for part in ("features", "children", "roots", "outputs")},
        },
    )


def load(folder: Path) -> Model:
    """Read what `save` wrote.

    Raises:
        PredictorError: an array is missing, or does not fit the others.
    """
    found: dict[str, NDArray[Any]] = dict(folders.read_arrays(folder, KINDS))
    for law, kept in _laws(found):
        if not kept:
            raise PredictorError(f"{folder / 'weights.npz'}: {law}")
    wide = {name: array.astype(WIDE[array.dtype.kind]) for name, array in found.items()}
    idf, weights = np.zeros(SIZE, np.float32), np.zeros((SIZE, len(wide["offsets"])), np.float32)
    idf[wide["places"]], weights[wide["places"]] = found["rarity"], found["weights"]
    names = Names(found["names"].astype(np.uint32), wide["means"][:-1], float(wide["means"][-1]))
    try:
        trees = Trees(*(wide[part] for part in ("features", "thresholds", "children", "leaves", "roots", "outputs")))
    except ValueError as error:
        raise PredictorError(f"{folder / 'weights.npz'}: {error}") from None
    return Model(
        names,
        Linear(idf, weights, wide["offsets"]),
        trees,
        Spread(wide["spread"], wide["ends"]),
        float(wide["longest"]),
    )


def _laws(found: Mapping[str, NDArray[Any]]) -> Iterator[tuple[str, bool]]:
    """What must hold of the arrays, and whether it does; in this order, as later laws rely on earlier ones."""
    places, names, children = found["places"], found["names"], found["children"]
    count = len(found["features"])
    node = np.arange(count).repeat(2)
    yield "its places must increase and lie in the table", _increase(places) and _within(places, SIZE)
    linear = len(found["offsets"])
    shapes = found["rarity"].shape == places.shape and found["weights"].shape == (len(places), linear)
    yield "its linear models differ in shape", shapes and 0 < linear <= MOST
    yield (
        "its models' names must increase, each with a mean",
        _increase(names) and len(found["means"]) == len(names) + 1,
    )
    yield "it knows no model", len(names) > 0
    spread = found["spread"]
    known = spread.shape[1] == len(QUANTILES) and 0 < len(spread) <= 8 and len(found["ends"]) == 2
    yield "its spreads differ in shape", known and bool(found["ends"][0] <= found["ends"][1])
    same = len(found["thresholds"]) == len(found["leaves"]) == count == len(children) // 2
    yield "its trees' arrays differ in length", same and len(children) % 2 == 0
    yield "its trees ask for columns that are not there", _within(found["features"], linear + 1 + COLUMNS)
    # a child comes after its parent, and a leaf leads to itself both ways: every walk ends
    onward = (children > node) | ((children == node) & (children.reshape(-1, 2) == node[::2, None]).all(1).repeat(2))
    yield "its trees' nodes do not lead to leaves", _within(children, count) and bool(onward.all())
    yield (
        "its trees' roots are not there",
        _within(found["roots"], count) and len(found["roots"]) == len(found["outputs"]),
    )
    sizes = {
        "rarity": 1e3,
        "weights": 6e4,
        "offsets": 1e5,
        "means": 1e2,
        "longest": 1e15,
        "thresholds": 1e15,
        "leaves": 1e5,
    }
    yield (
        "it holds absurd numbers",
        all(bool((np.abs(found[name].astype(np.float64)) <= most).all()) for name, most in sizes.items()),
    )
    outputs = np.unique(found["outputs"])
    ordered = bool((np.diff(found["outputs"]) >= 0).all())
    yield (
        f"its trees must answer {len(QUANTILES)} levels in order",
        ordered and outputs.tolist() == [*range(len(QUANTILES))],
    )


def _increase(values: NDArray[Any]) -> bool:
    return bool((values[1:] > values[:-1]).all())


def _within(values: NDArray[Any], count: int) -> bool:
    return bool(((values >= 0) & (values < count)).all())

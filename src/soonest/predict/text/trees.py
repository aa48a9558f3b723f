"""Boosted trees as arrays: all trees of all outputs walk down together."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Node = tuple[int, float, int, int, float]
    Tree = Mapping[str, Any]

CHUNK: Final = 1 << 20
"""Tree walks at a time; bounds the memory of a large batch."""


@dataclass(frozen=True, slots=True)
class Trees:
    """Trees of several outputs, one after the other, as LightGBM grows them.

    A node sends a row to `children[2 * node]` if its feature is at most the threshold, else to the next one; a leaf
    leads to itself. `roots` has the first node of each tree, `outputs` the output that its leaf's `leaves` is added to:
    all outputs from 0 on, in order.
    """

    features: NDArray[np.intp]
    thresholds: NDArray[np.float64]
    children: NDArray[np.intp]
    leaves: NDArray[np.float64]
    roots: NDArray[np.intp]
    outputs: NDArray[np.intp]
    depth: int = field(init=False)
    """Steps of the longest walk."""

    def __post_init__(self) -> None:
        depth, nodes = 0, self.roots
        while len(nodes := _below(self.children, nodes)):
            depth += 1
        object.__setattr__(self, "depth", depth)

    @classmethod
    def of(cls, boosters: Sequence[Any]) -> Self:
        """The trees of LightGBM boosters, one output each."""
        nodes: list[Node] = []
        roots, outputs = [], []
        for output, booster in enumerate(boosters):
            for tree in booster.dump_model()["tree_info"]:
                roots.append(len(nodes))
                outputs.append(output)
                _grow(tree["tree_structure"], nodes)
        features, thresholds, left, right, leaves = map(np.array, zip(*nodes, strict=True))
        children = np.stack([left, right], axis=1).ravel()
        return cls(features, thresholds, children, leaves, np.array(roots), np.array(outputs))

    def predict(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sums of leaves, of shape (rows, outputs), for at least one row."""
        firsts = self.outputs.searchsorted(np.arange(self.outputs[-1] + 1))
        step = max(1, CHUNK // len(self.roots))
        return np.concatenate([self._sums(rows[i : i + step], firsts) for i in range(0, len(rows), step)])

    def _sums(self, rows: NDArray[np.float64], firsts: NDArray[np.intp]) -> NDArray[np.float64]:
        flat, start = rows.ravel(), np.arange(len(rows))[:, None] * rows.shape[1]
        node = np.broadcast_to(self.roots, (len(rows), len(self.roots)))
        for _ in range(self.depth):
            above = flat.take(self.features.take(node) + start) > self.thresholds.take(node)
            node = self.children.take(2 * node + above)
        return np.add.reduceat(self.leaves.take(node), firsts, axis=1)


def _below(children: NDArray[np.intp], nodes: NDArray[np.intp]) -> NDArray[np.intp]:
    """The children of those of these nodes that are no leaves."""
    inner = nodes[children[2 * nodes] != nodes]
    return np.unique(np.concatenate([children[2 * inner], children[2 * inner + 1]]))


def _grow(tree: Tree, nodes: list[Node]) -> None:
    """Add a tree's nodes, parents first."""
    place = len(nodes)
    if "split_feature" not in tree:
        nodes.append((0, 0.0, place, place, float(tree["leaf_value"])))
        return
    nodes.append((0, 0.0, 0, 0, 0.0))
    left = len(nodes)
    _grow(tree["left_child"], nodes)
    right = len(nodes)
    _grow(tree["right_child"], nodes)
    nodes[place] = (int(tree["split_feature"]), float(tree["threshold"]), left, right, 0.0)

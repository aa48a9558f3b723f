"""Boosted trees as arrays: all comparisons of all trees at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Node = tuple[int, float, int, int, float]
    Tree = Mapping[str, Any]

MOST_LEAVES: Final = 64
"""Of a tree: as many as an integer has bits."""


@dataclass(frozen=True, slots=True)
class Trees:
    """Trees of several outputs, one after the other, as LightGBM grows them.

    A node sends a row to `children[2 * node]` if its feature is at most the threshold, else to the next one; a leaf
    leads to itself. `roots` has the first node of each tree, `outputs` the output that its leaf's `leaves` is added to:
    all outputs from 0 on, in order.

    A row need not walk: each node that it would leave to the right rules out the leaves on its left, and of the leaves
    that no node of a tree rules out, the first is where the walk ends (Lucchese et al., QuickScorer, SIGIR 2015).

    Raises:
        ValueError: a tree has too many leaves.
    """

    features: NDArray[np.intp]
    thresholds: NDArray[np.float64]
    children: NDArray[np.intp]
    leaves: NDArray[np.float64]
    roots: NDArray[np.intp]
    outputs: NDArray[np.intp]
    flat: Flat = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "flat", Flat.of(self))

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

    def predict(self, row: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sums of leaves, of shape (outputs,)."""
        flat = self.flat
        right = row.take(flat.features, mode="clip") > flat.thresholds
        out = np.bitwise_or.reduce(flat.left * right, axis=0)
        leaf = np.frexp((out + flat.one) & ~out)[1]  # the lowest bit that is not set, counted from 1
        return np.add.reduceat(flat.leaves.take(flat.before + leaf), flat.firsts)


@dataclass(frozen=True, slots=True)
class Flat:
    """The inner nodes of all trees in a table, a column for each tree, and their leaves in a row, from left to right.

    `left` has the leaves on the left of each node as bits. What fills a column up rules nothing out.
    """

    features: NDArray[np.intp]
    thresholds: NDArray[np.float64]
    left: NDArray[np.unsignedinteger[Any]]
    one: np.unsignedinteger[Any]
    leaves: NDArray[np.float64]
    before: NDArray[np.intp]
    """One less than the place of each tree's first leaf."""
    firsts: NDArray[np.intp]
    """The first tree of each output."""

    @classmethod
    def of(cls, trees: Trees) -> Self:
        """Lay these trees out."""
        children = trees.children.reshape(-1, 2).tolist()
        found = [_laid_out(root, children) for root in trees.roots.tolist()]
        sizes = [len(leaves) for _, leaves in found]
        kind = next(k for bits, k in ((16, np.uint16), (64, np.uint64)) if max(sizes) <= bits)
        shape = max(1, *(len(inner) for inner, _ in found)), len(found)
        features, thresholds = np.zeros(shape, np.intp), np.full(shape, np.inf)
        left = np.zeros(shape, kind)
        for tree, (inner, _) in enumerate(found):
            for place, (node, bits) in enumerate(inner):
                features[place, tree], thresholds[place, tree] = trees.features[node], trees.thresholds[node]
                left[place, tree] = bits
        leaves = trees.leaves.take([leaf for _, several in found for leaf in several])
        firsts = trees.outputs.searchsorted(np.arange(trees.outputs[-1] + 1))
        return cls(features, thresholds, left, kind(1), leaves, np.cumsum([0, *sizes[:-1]]) - 1, firsts)


def _laid_out(root: int, children: Sequence[Sequence[int]]) -> tuple[list[tuple[int, int]], list[int]]:
    """A tree's inner nodes, each with the leaves on its left as bits, and its leaves from left to right."""
    inner: list[tuple[int, int]] = []
    leaves: list[int] = []
    waiting: list[tuple[int, int | None]] = [(root, None)]
    while waiting:
        node, first = waiting.pop()
        left, right = children[node]
        if first is not None:  # all on its left is laid out
            inner.append((node, (1 << len(leaves)) - (1 << first)))
        elif left == node:
            leaves.append(node)
            if len(leaves) > MOST_LEAVES:
                raise ValueError(f"a tree has over {MOST_LEAVES} leaves")
        else:
            waiting += [(right, None), (node, len(leaves)), (left, None)]
    return inner, leaves


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

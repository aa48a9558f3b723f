"""What `text` sees of many prompts, kept in files."""

from __future__ import annotations

from array import array
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from soonest.predict.text.facts import COLUMNS
from soonest.predict.text.ngrams import Grams

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

KINDS: Final[dict[str, np.dtype[Any]]] = {
    "places": np.dtype(np.int32),
    "times": np.dtype(np.uint16),
    "facts": np.dtype(np.float64),
}
"""Each file's numbers. A text is cut to 2,000 characters, so it has no n-gram more often than 65,535 times."""


class Features(NamedTuple):
    """What is seen of some prompts: n-grams one after the other, `sizes` of them a prompt; `COLUMNS` facts each."""

    sizes: NDArray[np.int64]
    places: NDArray[np.int32]
    times: NDArray[np.uint16]
    facts: NDArray[np.float64]


class Kept:
    """Features in files of a folder: written once, in order, and then looked up by row.

    Memory holds eight bytes a prompt; what was read lately is cached by the system as it sees fit.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ends = array("q", [0])
        self._files = {name: (folder / name).open("wb") for name in KINDS}

    def __len__(self) -> int:
        return len(self._ends) - 1

    def add(self, found: Features) -> None:
        """Write those of the next prompts."""
        for name, kind in KINDS.items():
            self._files[name].write(np.ascontiguousarray(getattr(found, name), kind).tobytes())
        self._ends.extend((self._ends[-1] + np.cumsum(found.sizes)).tolist())

    def close(self) -> None:
        """All are written; now they can be looked up."""
        for file in self._files.values():
            file.close()

    def look(self, row: int) -> tuple[Grams, list[float]]:
        """As `features` gave them."""
        start, end = self._ends[row], self._ends[row + 1]
        places, times = (self._arrays[name][start:end].astype(np.intp) for name in ("places", "times"))
        facts = self._arrays["facts"][COLUMNS * row : COLUMNS * (row + 1)]
        return Grams(places, times), facts.tolist()

    @cached_property
    def _arrays(self) -> dict[str, NDArray[Any]]:
        return {name: np.memmap(self.folder / name, kind, mode="r") for name, kind in KINDS.items()}

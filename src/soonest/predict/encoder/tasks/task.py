"""What every task answers: a target for each length, and a forecast for what the encoder says."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from soonest.core import PredictorError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from soonest.core import Forecast

    Floats = NDArray[np.float64]
    Arrays = Mapping[str, NDArray[np.generic]]

LOG, TOKENS = "log", "tokens"


class Task:
    """One way to ask for a length: a target for each answer, a loss, and the way back to tokens.

    `learn` sees the training split alone; `calibrate` sees answers that were not trained on. `loss` is one of `losses`,
    the first unless told; `target` is `log`, the logarithm of 1 + tokens, or `tokens`, both standardised.
    """

    name: ClassVar[str] = ""
    losses: ClassVar[tuple[str, ...]] = ()
    saved: ClassVar[Mapping[str, tuple[str, int]]] = {}
    """Learned arrays, which are attributes of these names: NumPy's letter for their kind, and dimensions."""
    rising: ClassVar[bool] = False
    """Whether the outputs are quantiles, which never decrease."""

    def __init__(self, loss: str | None = None, target: str = LOG) -> None:
        if loss is not None and loss not in self.losses:
            raise PredictorError(f"task {self.name!r} has no loss {loss!r}; it has: {', '.join(self.losses)}")
        if target not in {LOG, TOKENS}:
            raise PredictorError(f"target must be {LOG!r} or {TOKENS!r}, got {target!r}")
        self.loss = loss or self.losses[0]
        self.target = target

    @property
    def width(self) -> int:
        """Outputs of the head."""
        return 1

    def learn(self, tokens: Floats) -> None:
        """Take units, edges and weights from lengths in tokens, of shape (n,), n > 0."""
        raise NotImplementedError

    def targets(self, tokens: Floats) -> Floats:
        """What the loss compares outputs with, of shape (n,)."""
        raise NotImplementedError

    def calibrate(self, outputs: Floats, tokens: Floats) -> None:
        """See outputs of shape (n, width) beside the true lengths; n > 0."""

    def scores(self, outputs: Floats) -> Floats:
        """One number per answer, of shape (n,), that ranks: higher is longer."""
        raise NotImplementedError

    def forecasts(self, outputs: Floats, limits: Sequence[int]) -> list[Forecast]:
        """A forecast for each row of outputs, none beyond its limit in tokens."""
        raise NotImplementedError

    def state(self) -> dict[str, NDArray[np.generic]]:
        """The learned arrays."""
        return {name: np.asarray(getattr(self, name)) for name in self.saved}

    def restore(self, arrays: Arrays) -> None:
        """Take back what `state` gave; raises `ValueError` for what it never gives."""
        for name in self.saved:
            setattr(self, name, np.asarray(arrays[name], dtype=np.float64))

"""What the encoder may learn: the tasks of the paper (Qiu et al., 2024, arXiv:2404.08509), quantiles, whole orders.

Nothing but `losses` needs more than NumPy.
"""

from __future__ import annotations

from typing import Final

from soonest.predict.encoder.tasks.classes import Binary, Multiclass
from soonest.predict.encoder.tasks.scored import (
    Listwise,
    OrdinalBinary,
    OrdinalMulticlass,
    Pairwise,
    Quantile,
    RegressionL1,
    RegressionMSE,
)
from soonest.predict.encoder.tasks.task import LOG, TOKENS, Task

__all__ = ["LOG", "TASKS", "TOKENS", "Task"]

KINDS: Final[tuple[type[Task], ...]] = (
    RegressionL1,
    RegressionMSE,
    Binary,
    Multiclass,
    OrdinalBinary,
    OrdinalMulticlass,
    Pairwise,
    Quantile,
    Listwise,
)
TASKS: Final = {kind.name: kind for kind in KINDS}

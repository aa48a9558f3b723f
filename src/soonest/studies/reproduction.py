"""What every reproduction shares: its settings, how it tells how far it is, and work spread over processes."""

from __future__ import annotations

import time
import zlib
from contextlib import closing
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, TypeVar, cast

import numpy as np

from soonest.core import SoonestError
from soonest.report.study import Study
from soonest.report.study.origin import machine, versions
from soonest.studies.pool import pooled

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence
    from pathlib import Path

    from soonest.cluster import Cluster
    from soonest.report.study import Section

    Progress = Callable[[str, int, int], None]
    """Hears what is being done, how much of it is done, and of how much."""
    Reproduction = Callable[["Settings", Progress], Study]
    """Runs everything of one paper and says what was found."""

Task = TypeVar("Task")
Found = TypeVar("Found")
REPRODUCTIONS = {
    "ssjf": "SSJF, shortest forecast first (Qiu et al., 2024, arXiv:2404.08509)",
    "robust": "Robust scheduling under interval forecasts (Chen et al., 2025, arXiv:2508.14544), and MC-SF before it",
    "map": "When it helps: load, bursts, slots, memory, lengths and forecast quality (ours)",
    "beyond": "Beyond the papers: the policy least_area, and pacing (ours)",
}
"""What can be run again, by the name of its module here, which has a function `reproduce`: a `Reproduction`."""
QUICK = 0.1
"""The scale of a quick reproduction."""
EXTRAS = {"fast": ("numba",), "theory": ("scipy",), "text": ("lightgbm", "sklearn")}
"""Modules that an extra brings and that a study imports late."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How a reproduction is run. Results depend on `seed` and `scale`, never on `workers` or `cluster`.

    Attributes:
        seed: of everything random.
        scale: share of the repetitions that the paper's tables rest on; 1 is the full reproduction.
        workers: processes that share the work.
        data: folder of the data sets, laid out as `arrivals/` and `lengths/`; `None` where none was given.
        cluster: a Ray cluster that shares the work in the place of processes here.

    Raises:
        SoonestError: a number is out of range.
    """

    seed: int = 0
    scale: float = 1.0
    workers: int = 1
    data: Path | None = None
    cluster: Cluster | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 1 << 32:
            raise SoonestError(f"a seed is a whole number in 0..2**32-1, got {self.seed}")
        if not 0 < self.scale <= 1:
            raise SoonestError(f"scale is a share in (0, 1], got {self.scale}")
        if self.workers < 1:
            raise SoonestError(f"a reproduction needs at least one process, got {self.workers}")

    def repetitions(self, usual: int, least: int = 2) -> int:
        """`usual` times the scale, rounded, and no less than `least`."""
        return max(least, round(usual * self.scale))

    def seeds(self, name: str, count: int) -> list[int]:
        """`count` seeds below 2^63 for the work of this name: others for another name or another seed."""
        drawn = np.random.SeedSequence([self.seed, zlib.crc32(name.encode())])
        return [int(seed) >> 1 for seed in drawn.generate_state(count, np.uint64)]

    def file(self, name: str, what: str) -> Path:
        """A file of the data folder, such as `arrivals/azure_conv_2023.csv.gz`; `what` says what it holds.

        Raises:
            SoonestError: there is no such file, or no folder was given.
        """
        if self.data is None:
            raise SoonestError(f"{what} are needed ({name}): give their folder with --data, or set SOONEST_DATA")
        path = self.data / name
        if not path.is_file():
            raise SoonestError(f"{what} are not in {self.data}: there is no {name}")
        return path


@dataclass(frozen=True, slots=True)
class Stopwatch:
    """Since when a study runs."""

    began: float = field(default_factory=time.monotonic)

    def study(self, name: str, title: str, settings: Settings, sections: Sequence[Section]) -> Study:
        """The finished study, with the command that makes it again, versions, machine and the time that it took."""
        return Study(
            name=name,
            title=title,
            command=command(name, settings),
            seed=settings.seed,
            versions=versions(),
            machine=machine(),
            seconds=round(time.monotonic() - self.began, 1),
            sections=tuple(sections),
        )


def reproduction(name: str) -> Reproduction:
    """The one of that name, loaded only now.

    Raises:
        SoonestError: there is none.
    """
    if name not in REPRODUCTIONS:
        raise SoonestError(f"nothing to reproduce is called {name!r}; known: {', '.join(REPRODUCTIONS)}")
    return cast("Reproduction", import_module(f"soonest.studies.{name}").reproduce)


def check_extras(*names: str) -> None:
    """Refuse, before long work, what lacks a package.

    Raises:
        SoonestError: one of these extras is not installed.
    """
    missing = [name for name in names if not all(map(find_spec, EXTRAS[name]))]
    if missing:
        raise SoonestError(f"this study needs more packages: pip install 'soonest[{','.join(missing)}]'")


def spread(
    work: Callable[[Task], Found], tasks: Sequence[Task], settings: Settings, progress: Progress, what: str
) -> list[Found]:
    """`work` of every task, in their order, shared by `settings.workers` processes, or by a cluster.

    `work` is a function of a module and a task is picklable; what is random in it comes from a seed in the task, so the
    number of processes changes nothing. `progress` hears `what`.
    """
    progress(what, 0, len(tasks))
    found = []
    with closing(_shared(work, tasks, settings)) as results:
        for result in results:
            found.append(result)
            progress(what, len(found), len(tasks))
    return found


def _shared(work: Callable[[Task], Found], tasks: Sequence[Task], settings: Settings) -> Generator[Found, None, None]:
    if len(tasks) < 2 or (settings.cluster is None and settings.workers == 1):
        yield from map(work, tasks)
    elif settings.cluster is not None:
        yield from settings.cluster.map(work, tasks)
    else:
        yield from pooled(work, tasks, settings.workers)


def command(name: str, settings: Settings) -> str:
    """What makes a study again, wherever the data are."""
    quick = " --quick" if settings.scale == QUICK else ""
    return f"soonest reproduce {name} --seed {settings.seed}{quick}"

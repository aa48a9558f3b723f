"""Numbers that the scheduler counts, in a page of memory that the front end's process can read."""

from __future__ import annotations

import logging
import mmap
import multiprocessing
import os
import struct
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

log = logging.getLogger("vllm.soonest")

COUNTERS: dict[str, str] = {
    "forecasts_hint": "Requests that brought a forecast along.",
    "forecasts_none": "Requests without a forecast: served in arrival order.",
    "forecasts_bad": "Requests whose forecast was odd: served in arrival order.",
    "answers_below": "Finished answers shorter than the forecast's interval.",
    "answers_inside": "Finished answers within the forecast's interval.",
    "answers_above": "Finished answers longer than the forecast's interval.",
    "admissions": "Starts of requests, again after a preemption too.",
    "evictions": "Preemptions: memory ran out, or the prefix cache was reset.",
    "doors_closed": "Steps in which the next request was held back: with it the predicted peak would not fit.",
    "policy_errors": "Questions that the policy failed to answer.",
}
"""Counters by name; vLLM's `/metrics` has them as `soonest_vllm_NAME_total`."""
PAGE = 8 * len(COUNTERS)
PLACES = {name: 8 * place for place, name in enumerate(COUNTERS)}
NUMBER = struct.Struct("=d")


class Board:
    """Counters that one process adds to and another may read: whole numbers as floats, in the order of `COUNTERS`."""

    def __init__(self, page: mmap.mmap | bytearray | None = None) -> None:
        self.page = bytearray(PAGE) if page is None else page

    def add(self, name: str, count: int = 1) -> None:
        """Count."""
        place = PLACES[name]
        NUMBER.pack_into(self.page, place, NUMBER.unpack_from(self.page, place)[0] + count)

    def __getitem__(self, name: str) -> int:
        return int(NUMBER.unpack_from(self.page, PLACES[name])[0])

    def values(self) -> dict[str, int]:
        """All of them."""
        return {name: self[name] for name in COUNTERS}


def folder_of(process: int) -> Path:
    """Where the schedulers of this front end, by process id, keep their boards; only its user may look inside."""
    return Path(tempfile.gettempdir()) / f"soonest-vllm-{os.getuid()}-{process}"


def shared_board(rank: int) -> tuple[Board, Path | None]:
    """A board in a file that the parent process finds; a private one in the same process, or where none can be made."""
    parent = multiprocessing.parent_process()
    if parent is None or parent.pid is None:
        return Board(), None
    folder = folder_of(parent.pid)
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        if not _ours(folder):
            raise PermissionError(f"{folder} is somebody else's")
        path = folder / str(rank)
        path.unlink(missing_ok=True)
        with path.open("x+b") as file:
            file.write(bytes(PAGE))
            file.flush()
            return Board(mmap.mmap(file.fileno(), PAGE)), path
    except OSError as error:
        log.warning("the scheduler's metrics are not published: %s", error)
        return Board(), None


def remove(path: Path | None) -> None:
    """Take a board's file away, and the folder with the last one."""
    if path is None:
        return
    try:
        path.unlink(missing_ok=True)
        path.parent.rmdir()
    except OSError:  # another scheduler's board is still there
        return


def sweep(process: int) -> None:
    """Take away what the schedulers of this front end left: vLLM may kill them before they do."""
    for path in _files_of(process):
        remove(path)


def boards_of(process: int) -> Iterator[tuple[str, dict[str, int]]]:
    """The boards of this front end's schedulers, by rank."""
    for path in _files_of(process):
        page = path.read_bytes()
        if len(page) == PAGE:
            yield path.name, Board(bytearray(page)).values()


def _files_of(process: int) -> list[Path]:
    folder = folder_of(process)
    return sorted(folder.iterdir()) if _ours(folder) else []


def _ours(folder: Path) -> bool:
    return folder.is_dir() and not folder.is_symlink() and folder.stat().st_uid == os.getuid()

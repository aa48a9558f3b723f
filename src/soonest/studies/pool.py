"""Work spread over processes that end with whoever needs it."""

from __future__ import annotations

import os
import signal
from collections import deque
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from threading import Thread
from typing import TYPE_CHECKING, TypeVar

from soonest.core import SoonestError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence
    from multiprocessing.connection import Connection

Task = TypeVar("Task")
Found = TypeVar("Found")
CHUNKS = 16
"""Pieces that the work of one process is handed out in: progress is told after each."""


def pooled(work: Callable[[Task], Found], tasks: Sequence[Task], workers: int) -> Generator[Found, None, None]:
    """`work` of every task, in their order, by so many processes.

    Whoever leaves early, by an error, Ctrl-C or a closed generator, ends the processes at once, whatever they are
    doing; so does the end of this process, by whatever signal.
    """
    # not forked: the progress bar has a thread, and a fork beside threads may hang
    context = get_context("spawn")
    ending, alive = context.Pipe(duplex=False)
    with ending, alive:
        pool = ProcessPoolExecutor(min(workers, len(tasks)), context, _begin, (ending,))
        size = max(1, len(tasks) // (workers * CHUNKS))
        try:
            # no `pool.map`: it cancels what is to come, and a pool whose processes end stumbles over what is cancelled
            coming = deque(pool.submit(_each, work, tasks[i : i + size]) for i in range(0, len(tasks), size))
            while coming:
                yield from coming.popleft().result()
        except BrokenProcessPool as error:
            alive.close()
            raise SoonestError(
                "a process that shared the work was ended from outside, perhaps for want of memory: try fewer --workers"
            ) from error
        except BaseException:
            alive.close()
            raise
        finally:
            pool.shutdown()


def _each(work: Callable[[Task], Found], tasks: Sequence[Task]) -> list[Found]:
    return [work(task) for task in tasks]


def _begin(ending: Connection) -> None:
    """In a process of the pool: Ctrl-C is the parent's to handle, and without the parent there is nothing to do."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end, args=(ending,), daemon=True).start()


def _end(ending: Connection) -> None:
    """Wait until the other end of the pipe is closed, which a dead parent's is, and end in the midst of the work."""
    ending.poll(None)
    os._exit(1)

"""A queue that an event loop fills, and a thread that commits it in groups."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import threading
import time
from typing import TYPE_CHECKING, Final

from soonest.core import JournalError
from soonest.core.errors import without_password
from soonest.data.journal.place import NEEDS_EXTRA, file_of, is_server
from soonest.data.journal.row import UNFINISHED, stored
from soonest.gateway.journal.sqlite import SQLiteStore
from soonest.gateway.journal.store import Run

if TYPE_CHECKING:
    from soonest.data.journal import Row
    from soonest.gateway.journal.store import Store, Values

    Item = tuple[int, "Row", asyncio.Future[bool] | None] | tuple[str, str] | None

WINDOW: Final = 0.02
"""Seconds that rows are gathered for, before they are committed together; well below the 50 ms that are promised."""
MOST: Final = 10_000
"""Rows that wait for a database at most."""
FIRST_RETRY, LAST_RETRY = 0.05, 1.0
STUCK: Final = 5.0
"""Seconds after which a commit that has not come back counts as a failure."""
LOGGER: Final = logging.getLogger("soonest.gateway")


def journal(url: str, *, strict: bool = False, most: int = MOST, window: float = WINDOW) -> Journal:
    """A journal in the file or on the server that `url` names; made if it is not there.

    Raises:
        JournalError: it cannot be opened now; later failures are only counted.
    """
    run = Run()
    if is_server(url):
        try:
            from soonest.gateway.journal.postgres import PostgresStore  # noqa: PLC0415 - loads SQLAlchemy
        except ImportError:
            raise JournalError(NEEDS_EXTRA) from None
        return Journal(PostgresStore(url, run), without_password(url), strict=strict, most=most, window=window)
    return Journal(SQLiteStore(file_of(url), run, durable=strict), str(file_of(url)), strict, most, window)


class Journal:
    """Takes rows from an event loop and commits them from a thread of its own, within 50 ms.

    A row is taken in a microsecond or so: it is put into a queue, whose thread is woken once a group. While the
    database fails, up to `most` rows wait for it and the rest are lost and counted; the failure is logged once, and so
    is its end. With `strict`, `finished` returns a future of whether the row is committed: `False` says that it is not
    yet and may never be, so that an answer is withheld no longer.

    Raises:
        JournalError: the database cannot be opened at the start.
    """

    def __init__(
        self,
        store: Store,
        name: str,
        strict: bool = False,  # noqa: FBT001, FBT002 - as `journal` says
        most: int = MOST,
        window: float = WINDOW,
    ) -> None:
        self.name = name
        self.strict = strict
        self.committed = 0
        """Finished rows that are in the database."""
        self.failure = ""
        """What is wrong now, or nothing."""
        self._most = most
        self._window = 0.0 if strict else window
        self._store = store
        self._notes: dict[str, str] = {}
        self._queue: queue.SimpleQueue[Item] = queue.SimpleQueue()
        self._places: dict[str, int] = {}
        self._next = 0
        self._refused = self._dropped = self._backlog = 0
        self._closing: float | None = None
        self._busy_since = 0.0
        try:
            store.open({})
        except store.failures as error:
            raise JournalError(f"journal {name} cannot be opened: {error}") from error
        self._thread = threading.Thread(target=self._work, name="soonest-journal", daemon=True)
        self._thread.start()

    @property
    def lost(self) -> int:
        """Finished requests whose rows are in no database and never will be."""
        return self._refused + self._dropped

    @property
    def queued(self) -> int:
        """Rows that wait to be committed."""
        return self._queue.qsize() + self._backlog

    @property
    def healthy(self) -> bool:
        """Whether the last commit went well, and none hangs."""
        busy = self._busy_since
        stuck = busy > 0 and time.monotonic() - busy > STUCK
        return not (self.failure or stuck) and self._thread.is_alive()

    def accepted(self, row: Row, key: str = "") -> None:
        """Note a request as it is admitted: after a crash its row tells that it got no answer.

        `key` names it to `finished` where ids are clients' to choose, and so may come twice.
        """
        place = self._next
        self._next = place + 1
        self._places[key or row.id] = place
        if self._queue.qsize() + self._backlog < self._most and self._closing is None:
            self._queue.put((place, row, None))

    def finished(self, row: Row, key: str = "") -> asyncio.Future[bool] | None:
        """Note how a request ended, accepted before or not; with `strict`, a future of whether that is committed."""
        place = self._places.pop(key or row.id, -1)
        if place < 0:
            place = self._next
            self._next = place + 1
        future = self._promise() if self.strict else None
        if self._queue.qsize() + self._backlog < self._most and self._closing is None:
            self._queue.put((place, row, None if future is None or future.done() else future))
        else:
            self._refused += 1
            if future is not None and not future.done():
                future.set_result(False)
        return future

    def _promise(self) -> asyncio.Future[bool]:
        """Nobody is kept waiting for a database that fails, nor for long by one that hangs."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[bool] = loop.create_future()
        if self.healthy:
            loop.call_later(STUCK, _set, [future], False)  # noqa: FBT003 - called by the loop
        else:
            future.set_result(False)
        return future

    def note(self, key: str, value: object) -> None:
        """Keep a fact of this run, such as its policy or its in-flight limit; a later one replaces it."""
        self._queue.put((key, str(value)))

    async def close(self, seconds: float = 5.0) -> None:
        """Commit what is queued, for at most so long; what is not committed then is lost, and counted."""
        if self._closing is None:
            self._closing = time.monotonic() + seconds
            self._queue.put(None)
        await asyncio.to_thread(self._thread.join, seconds + STUCK)

    def _work(self) -> None:
        """The thread: gather, commit, and again."""
        group = _Group()
        retry, retry_at = FIRST_RETRY, 0.0
        while True:
            item: Item | None = None
            with contextlib.suppress(queue.Empty):
                item = self._queue.get(timeout=max(0.0, retry_at - time.monotonic()) if self.failure else None)
                self._take(group, item)
            if item is not None and time.monotonic() < retry_at:  # a database that fails is asked no sooner for a row
                self._backlog = len(group.rows)
                _tell(group, committed=False)
                continue
            if self._window and self._closing is None and not self.failure:
                time.sleep(self._window)
            for _ in range(self._queue.qsize()):
                self._take(group, self._queue.get())
            self._backlog = len(group.rows)
            well = self._commit(group)
            retry, retry_at = (FIRST_RETRY, 0.0) if well else (min(2 * retry, LAST_RETRY), time.monotonic() + retry)
            self._backlog = len(group.rows)
            if group.stop and (well or time.monotonic() > (self._closing or 0.0)):
                break
        self._dropped += group.answers
        self._store.close(time.time())

    def _take(self, group: _Group, item: Item) -> None:
        if item is None:
            group.stop = True
        elif len(item) == 2:
            self._notes[item[0]] = group.notes[item[0]] = item[1]
        else:
            place, row, future = item
            try:
                group.add(place, stored(row), ended=row.outcome != UNFINISHED)
            except (TypeError, ValueError, OverflowError) as error:
                self._dropped += 1
                LOGGER.warning("the journal cannot store a request: %s", error)
            if future is not None:
                group.futures.append(future)

    def _commit(self, group: _Group) -> bool:
        """Try to commit a group; what is committed leaves it, and whoever waits for it is told."""
        store = self._store
        self._busy_since = time.monotonic()
        try:
            if self.failure:
                store.open(self._notes)
            if group.rows or group.notes:
                store.write(group.rows, group.notes)
        except store.refusals:
            well = self._commit_singly(group)
        except Exception as error:  # noqa: BLE001 - a thread that dies is worse than any of them
            well = self._failed(error)
        else:
            self.committed += group.answers
            group.clear()
            well = True
        finally:
            self._busy_since = 0.0
        if well and self.failure:
            LOGGER.warning("journal %s: works again; %d rows were lost so far", self.name, self.lost)
            self.failure = ""
        _tell(group, committed=well)
        return well

    def _commit_singly(self, group: _Group) -> bool:
        """Find the rows that the database will never take, and lose those alone."""
        store = self._store
        try:
            store.open(self._notes)
            for place, values in list(group.rows.items()):
                ended = place in group.ended
                try:
                    store.write({place: values}, {})
                except store.refusals as error:
                    self._dropped += ended
                    LOGGER.warning("journal %s: a request cannot be stored: %s", self.name, type(error).__name__)
                    store.open(self._notes)
                else:
                    self.committed += ended
                group.remove(place)
        except Exception as error:  # noqa: BLE001 - as above
            return self._failed(error)
        group.clear()
        return True

    def _failed(self, error: Exception) -> bool:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        if not self.failure:
            LOGGER.error("journal %s fails: %s; serving goes on, %d rows wait at most", self.name, reason, self._most)
        self.failure = reason
        self._store.close()
        return False


class _Group:
    """Rows and notes that are to be committed together; of one request only the newest row."""

    def __init__(self) -> None:
        self.rows: dict[int, Values] = {}
        self.ended: set[int] = set()
        self.notes: dict[str, str] = {}
        self.futures: list[asyncio.Future[bool]] = []
        self.stop = False

    @property
    def answers(self) -> int:
        """Rows of requests that have ended."""
        return len(self.ended)

    def add(self, place: int, values: Values, *, ended: bool) -> None:
        """Take a row."""
        self.rows[place] = values
        if ended:
            self.ended.add(place)

    def remove(self, place: int) -> None:
        """Forget a row."""
        self.rows.pop(place)
        self.ended.discard(place)

    def clear(self) -> None:
        """Forget what is committed."""
        self.rows, self.notes = {}, {}
        self.ended = set()


def _tell(group: _Group, *, committed: bool) -> None:
    """Tell those who wait for a group; a loop that is closed has nobody who waits."""
    futures, group.futures = group.futures, []
    if futures:
        with contextlib.suppress(RuntimeError):
            futures[0].get_loop().call_soon_threadsafe(_set, futures, committed)


def _set(futures: list[asyncio.Future[bool]], committed: bool) -> None:  # noqa: FBT001 - called by the loop
    for future in futures:
        if not future.done():
            future.set_result(committed)

"""`core.Queue` behind the interface of vLLM's waiting queue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vllm.v1.core.sched.request_queue import RequestQueue

from soonest.core import Entry

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from vllm.v1.request import Request as VllmRequest

    from soonest.core import Queue
    from soonest.engines.vllm.scheduler import Scheduler


@dataclass(slots=True, eq=False)
class Call(Entry):
    """One request on its way through vLLM, with vLLM's own record of it, and its place among the running."""

    source: Any = None
    place: tuple[float, int] = (0.0, 0)


class Waiting(RequestQueue):  # type: ignore[misc]  # vLLM is not installed where types are checked
    """The waiting room as vLLM asks for it: peek, allocate, and only then pop; what cannot start is put back.

    vLLM reads its truth value in one place, before it looks at the head: false is a closed door, for this step, while
    `len` goes on counting. The order is read anew when something happened that may change it, as in the simulator.
    """

    def __init__(self, scheduler: Scheduler, queue: Queue) -> None:
        self.scheduler, self.queue = scheduler, queue
        self.now = 0.0
        self.looked = True

    def step(self, now: float) -> None:
        """A new step begins at `now` seconds."""
        self.now, self.looked = now, False

    def add_request(self, request: VllmRequest) -> None:
        """A new request, or another turn of a session."""
        self.scheduler.arrived(request)

    def pop_request(self) -> VllmRequest:
        """The head leaves, to run or to be put back."""
        call = self._call(self.queue.pop())
        self.scheduler.left(call)
        return call.source

    def peek_request(self) -> VllmRequest:
        """The head."""
        head = self.queue.peek()
        if head is None:
            raise IndexError("peek from an empty queue")
        return self._call(head).source

    def prepend_request(self, request: VllmRequest) -> None:
        """A preempted request comes back, to its place."""
        self.scheduler.evicted(request)

    def prepend_requests(self, requests: Iterable[VllmRequest]) -> None:
        """Those that could not be scheduled in this step come back to their places, the last one first."""
        for request in requests:
            self.scheduler.put_back(request)

    def remove_request(self, request: VllmRequest) -> None:
        """Whoever waits no more."""
        self.queue.remove(request.request_id)

    def remove_requests(self, requests: Iterable[VllmRequest]) -> None:
        """Those of them that wait here."""
        for request in requests:
            if request.request_id in self.queue:
                self.queue.remove(request.request_id)

    def __bool__(self) -> bool:
        if not len(self.queue):
            return False
        if not self.scheduler.has_place():
            return True  # vLLM sees that itself
        head = self.queue.peek()
        if not self.looked:
            self.looked = True
            if self.scheduler.take_news() or self.queue.due <= self.now or head is None:
                self.queue.reorder(self.now)
            elif not self.scheduler.fits(self._call(head)):
                return False
            elif self.scheduler.fits_now(self._call(head)):
                self.queue.reorder(self.now)
            head = self.queue.peek()
        return head is not None and self.scheduler.fits(self._call(head))

    def __len__(self) -> int:
        return len(self.queue)

    def __iter__(self) -> Iterator[VllmRequest]:
        """Everyone who waits, by first insertion."""
        for call in sorted(self.queue, key=lambda c: c.sequence):
            yield self._call(call).source

    def _call(self, entry: Entry) -> Call:
        return entry  # type: ignore[return-value]  # nobody else joins this queue

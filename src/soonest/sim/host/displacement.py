"""Running requests that give their place to a waiting one that ranks better."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from soonest.sim.host.batch import Batch, Member

if TYPE_CHECKING:
    from soonest.core import Entry


class Displacing(Batch):
    """A batch whose members go before they end, if the policy needs `displace` and they `yields`."""

    def may_displace(self) -> bool:
        """Whether somebody may take a place here at this boundary."""
        return self._displaces and bool(self.running) and (self.rules.admit_after_evict or not self._evicted)

    def displace(self, head: Entry, now: int) -> bool:
        """Make room for the head of the queue, the worst first; nobody goes if that is not enough."""
        worse = self._worse_than(head) if self.may_displace() else []
        if not worse or not self._fits_without(worse, head):
            return False
        out = [worse.pop()]
        while not self._fits_without(out, head):
            out.append(worse.pop())
        for member in out:
            self._budget += self._granted(member)
            self.evict(member, now)
        return True

    def _worse_than(self, head: Entry) -> list[Member]:
        """Those that yield and compare strictly worse, the worst last; who waited longer than the bound stays."""
        limit, bound, now = self._key(head), self.queue.overdue_after, self.queue.now
        found = []
        for member in self.running.values():
            entry = member.entry
            entry.generated = self._generated(member)
            key = self._key(entry)
            overdue = bound is not None and now >= entry.request.arrival + bound
            if key > limit and not overdue and self.policy.yields(entry):
                found.append((key, member.job, member))
        found.sort(key=lambda place: place[:2])
        return [member for *_, member in found]

    def _key(self, entry: Entry) -> tuple[int, float]:
        """What waiting and running requests are compared by: class, and rank at the frozen moment."""
        request, mean = entry.request, self.queue.mean_tokens
        if not request.forecast.known and not self.policy.ranks_unknown:
            entry = replace(entry, estimate=max(1, round(mean)), expected=mean, generated=0, attempts=0)
        base, slope = self.policy.rank(entry)
        return request.priority, base + slope * self.queue.now

    def _fits_without(self, out: list[Member], head: Entry) -> bool:
        return self._budget + sum(map(self._granted, out)) > 0 and self.fits(head, without=out)

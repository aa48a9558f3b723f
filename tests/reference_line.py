"""The queue of `tests/reference.py`: no structure, everybody is looked at whenever the head is asked for."""

import math

from soonest.core import Entry
from soonest.sim.draws import draw


class Line:
    """The waiting, without any structure."""

    def __init__(self, policy, overdue_after, overdue_every):
        self.policy, self.after, self.every = policy, overdue_after, overdue_every
        self.waiting, self.frozen, self.now = [], [], -math.inf
        self.tokens = self.answers = 0
        self.mean = 128.0
        self.since = {}

    def push(self, entry):
        forecast = entry.request.forecast
        entry.expected = forecast.expected if forecast.known else self.mean_tokens()
        self.waiting.append(entry)

    def mean_tokens(self):
        return self.tokens / self.answers if self.answers else 128.0

    def answered(self, entry):
        self.tokens += entry.generated
        self.answers += 1

    def reorder(self, now):
        self.frozen, self.now, self.mean = list(self.waiting), now, self.mean_tokens()

    def due(self):
        if self.after is None:
            return math.inf
        classes = {e.request.priority for e in self.waiting}
        oldest = (min(e.request.arrival for e in self.waiting if e.request.priority == c) for c in classes)
        return min((a + self.after for a in oldest if a + self.after > self.now), default=math.inf)

    def head(self):
        return self._next()[0]

    def pop(self):
        entry, overdue = self._next()
        priority = entry.request.priority
        self.since[priority] = 0 if overdue else self.since.get(priority, 0) + 1
        self.frozen.remove(entry)
        self.waiting.remove(entry)
        return entry

    def _next(self):
        if not self.frozen:
            return None, False
        priority = min(e.request.priority for e in self.frozen)
        mine = sorted((e for e in self.frozen if e.request.priority == priority), key=_age)
        if (
            self.after is not None
            and self.now >= mine[0].request.arrival + self.after
            and self.since.get(priority, 0) >= self.every - 1
        ):
            return mine[0], True
        lanes = {}  # by slope, because time does not change the order of equal slopes
        ranked = [e for e in mine if e.request.forecast.known or self.policy.ranks_unknown]
        for entry in ranked:
            base, slope = self.policy.rank(entry)
            lanes.setdefault(slope, []).append((base, *_age(entry), slope, entry))
        heads = [min(lane, key=lambda place: place[:3]) for lane in lanes.values()]
        unknown = next((e for e in mine if e not in ranked), None)
        if unknown is not None:
            base, slope = self.policy.rank(self._fresh(unknown))
            heads.append((base, *_age(unknown), slope, unknown))
        return min(heads, key=lambda place: (place[0] + place[3] * self.now, *place[1:3]))[4], False

    def key(self, entry):
        """What a waiting request and a running one are compared by."""
        ranked = entry.request.forecast.known or self.policy.ranks_unknown
        base, slope = self.policy.rank(entry if ranked else self._fresh(entry))
        return entry.request.priority, base + slope * self.now

    def _fresh(self, unknown):
        return Entry(unknown.request, estimate=max(1, round(self.mean)), expected=self.mean)


class Lines:
    """A line a gateway: whose turn it is sends its first."""

    def __init__(self, lines, seed):
        self.lines, self.seed = lines, seed
        self.turn = self.tokens = self.answers = 0
        self.after = lines[0].after

    @property
    def waiting(self):
        return [entry for line in self.lines for entry in line.waiting]

    def mine(self, entry):
        """Each place is one of equal parts of (0, 1]."""
        drawn, n = draw(self.seed, entry.sequence, 0, 0), len(self.lines)
        return next(line for i, line in enumerate(self.lines) if drawn <= (i + 1) / n)

    def push(self, entry):
        self.mine(entry).push(entry)

    def answered(self, entry):
        self.tokens += entry.generated
        self.answers += 1
        self.mine(entry).answered(entry)

    def reorder(self, now):
        self.now = now
        for line in self.lines:
            line.reorder(now)

    def due(self):
        return min(line.due() for line in self.lines)

    def head(self):
        in_turn = self.lines[self.turn :] + self.lines[: self.turn]
        return next((head for line in in_turn if (head := line.head()) is not None), None)

    def pop(self):
        head = self.head()
        self.turn = (self.lines.index(self.mine(head)) + 1) % len(self.lines)
        return self.mine(head).pop()

    def key(self, entry):
        mine = self.mine(entry)
        mine.mean = self.tokens / self.answers if self.answers else 128.0
        return mine.key(entry)


def _age(entry):
    return entry.request.arrival, entry.sequence

"""A gateway's journal, replayed: what did its policy give, and what would another have given?"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from soonest.core import JournalError
from soonest.core.errors import SoonestError
from soonest.data.journal import trace_of, weights_in
from soonest.data.journal.replayed import calls_of
from soonest.policies import policy
from soonest.sim.forecasts import Beliefs
from soonest.studies.lives import fit_lives

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from soonest.core import Forecast
    from soonest.data import Trace
    from soonest.data.journal import Row
    from soonest.sim.steptime import Fit
    from soonest.studies.comparison import Run

FORECAST = "journal"
"""The forecasts that the gateway really made: POLICY@journal."""
LONGEST = 30 * 86_400
"""Seconds of a journal that are replayed at most."""
HANDED_ON = 0.1
"""The share of the shorter one that two runs overlap where a gateway is replaced and ends what it has begun."""
TRUSTED = 0.1
"""How far the replayed mean JCT of the journal's own policy may lie from the real one."""


@dataclass(frozen=True)
class Replay:
    """The rows of a journal that ran under its newest policy, and what the gateway noted about itself.

    Raises:
        JournalError: no request has ended.
    """

    rows: Sequence[Row]
    notes: Mapping[str, str] = field(default_factory=dict)
    name: str = "journal"
    model: str | None = None

    @classmethod
    def of(
        cls, rows: Sequence[Row], notes: Mapping[str, str], name: str, model: str | None, last: int | None
    ) -> Replay:
        """The newest rows of the newest policy, of a month at most; other policies' rows are left out."""
        ended = sorted((row for row in rows if row.done and model in {None, row.model}), key=lambda row: row.arrival)
        if not ended:
            raise JournalError(f"{name}: no finished request to replay; {len(rows)} have no answer, or other models'")
        newest = ended[-1].policy
        kept = sorted((row for row in rows if row.policy == newest), key=lambda row: row.arrival)
        kept = [row for row in kept if row.arrival >= ended[-1].arrival - LONGEST]
        if last is not None:
            since = [row.arrival for row in kept if row.done and model in {None, row.model}][-last:][0]
            kept = [row for row in kept if row.arrival >= since]
        return cls(kept, notes, name, model)

    @cached_property
    def policy(self) -> str:
        """The words of the policy that was at work; `fcfs` where the journal names none that is known."""
        words = self.rows[-1].policy or self.notes.get("policy", "")
        try:
            policy(words)
        except SoonestError:
            return "fcfs"
        return words

    @property
    def policies(self) -> str:
        """What to compare: fcfs, and its own policy, each told what was forecast; shortest where its own is fcfs."""
        other = "shortest" if self.policy == "fcfs" else self.policy
        return f"fcfs@{FORECAST},{other}@{FORECAST}"

    @cached_property
    def trace(self) -> Trace:
        """Its calls."""
        return trace_of(self.rows, self.name, self.model)

    @cached_property
    def told(self) -> Beliefs:
        """What was forecast of each call."""
        table: dict[Forecast, int] = {}
        made = [row.forecast() for row, _ in calls_of(self.rows, self.model)]
        index = [table.setdefault(forecast, len(table)) for forecast in made]
        return Beliefs(tuple(table), np.array(index, dtype=np.int32))

    @cached_property
    def steps(self) -> Fit:
        """How long the engine's iterations took, fitted to when its requests ran.

        Raises:
            JournalError: requests waited inside the engine, unseen.
            StepTimeError: too few requests.
        """
        if self.notes.get("mode") == "priority":
            raise JournalError(
                f"{self.name}: with --mode priority requests wait inside the engine, and nobody knows how long they "
                "ran: give --step-time and --slots"
            )
        return fit_lives(self.rows)

    @property
    def fit(self) -> Fit | None:
        """`steps`, if anybody asked for them."""
        return vars(self).get("steps")

    @cached_property
    def engines(self) -> int:
        """How many engines answered."""
        return max(1, len({row.engine for row in self.rows if row.done}))

    @cached_property
    def slots(self) -> int:
        """Requests that ran at once in each engine: the noted in-flight limit, else the most that were seen.

        Where gateways shared an engine each noted its own part; what they had there together was seen.
        """
        noted = [self._most_at_once() if self._shared else self._noted("in_flight"), self._noted("engine_slots")]
        return min([n for n in noted if n], default=0) or self._most_at_once()

    @cached_property
    def memory(self) -> int | None:
        """Tokens of KV cache of an engine, where it was noted."""
        return (self._noted("blocks") * max(1, self._noted("block_size"))) or None

    @property
    def overdue_after(self) -> float | None:
        """Seconds after which a request entered the overdue lane, where it was noted."""
        try:
            return float(self.notes["overdue_after"])
        except (KeyError, ValueError):
            return None

    @property
    def overdue_every(self) -> int | None:
        """That lane's share, where both were noted."""
        return None if self.overdue_after is None else self._noted("overdue_every") or None

    @property
    def weights(self) -> dict[str, float] | None:
        """The tenants' weights, where tenants shared and there were several. Raises JournalError."""
        several, note = len({row.tenant for row in self.rows}) > 1, self.notes.get("tenant_weights")
        return weights_in(note) if several and note is not None else None

    @cached_property
    def mean_jct(self) -> float:
        """Seconds from arrival to the last token, over the calls of `trace`, as they were."""
        return float(np.mean([row.finished - row.arrival for row, _ in calls_of(self.rows, self.model)]))

    def check(self, runs: Iterable[Run]) -> Check | None:
        """How well the simulator repeats what happened; `None` where the journal's own policy was not simulated.

        Or not at its own pace: what came faster than it really did is not what happened.
        """
        own = [
            run
            for run in runs
            if (run.arm.policy, run.arm.forecast) == (self.policy, FORECAST)
            and run.load is None
            and math.isclose(run.rate, self.trace.rate, rel_tol=0.01)
        ]
        means = [run.summary["mean_e2el_ms"] for run in own]
        known = [mean for mean in means if mean is not None]
        return Check(self.policy, float(np.mean(known)) / 1e3, self.mean_jct) if known else None

    def _noted(self, key: str) -> int:
        text = self.notes.get(key, "")
        return int(text) if text.isascii() and text.isdigit() else 0

    @property
    def _shared(self) -> bool:
        """Whether several runs of gateways had requests in one engine over the same time, but to hand it on."""
        spans: dict[tuple[str, int], tuple[float, float]] = {}
        for row in self.rows:
            if row.finished > row.admitted:
                begin, end = spans.get((row.engine, row.run), (row.admitted, row.finished))
                spans[row.engine, row.run] = min(begin, row.admitted), max(end, row.finished)
        before: dict[str, tuple[float, float]] = {}
        for (engine, _), (begin, end) in sorted(spans.items(), key=lambda span: span[1]):
            first, last = before.get(engine, (begin, begin))
            if min(last, end) - begin > HANDED_ON * min(last - first, end - begin):
                return True
            before[engine] = max((first, last), (begin, end), key=lambda span: span[1])
        return False

    def _most_at_once(self) -> int:
        """The most choices between admission and end in one engine; what ends as another begins makes room for it."""
        change: Counter[tuple[str, float, bool]] = Counter()
        for row in self.rows:
            if row.finished > row.admitted:
                change[row.engine, row.admitted, True] += row.choices
                change[row.engine, row.finished, False] -= row.choices
        running, most = Counter[str](), 1
        for engine, moment, begins in sorted(change):
            running[engine] += change[engine, moment, begins]
            most = max(most, running[engine])
        return most


@dataclass(frozen=True, slots=True)
class Check:
    """Mean JCT in seconds of the journal's own policy, replayed and real."""

    policy: str
    replayed: float
    real: float

    @property
    def difference(self) -> float:
        """The replayed one's distance from the real one, as a share of that."""
        return self.replayed / self.real - 1

    @property
    def trusted(self) -> bool:
        """Whether the replay is near enough to what happened to say what would have happened."""
        return abs(self.difference) <= TRUSTED

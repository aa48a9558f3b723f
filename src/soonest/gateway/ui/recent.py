"""What the last answers say together: how long they took, and how good their forecasts were."""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from soonest.core import Outcome
from soonest.gateway.observe.series import LAST_ANSWERS, Coverage, inside

if TYPE_CHECKING:
    from soonest.gateway.journal.savings import Savings
    from soonest.gateway.ui.live import Ended, Live

MOST_PAIRS: Final = 200
FINISHED: Final = Outcome.FINISHED
PERCENTS: Final = (50, 90, 99)


class Recent:
    """Takes in, for each picture, only what has ended since the last one."""

    def __init__(self) -> None:
        self._taken = 0
        self._seconds: deque[float] = deque(maxlen=LAST_ANSWERS)
        self._known: deque[bool] = deque(maxlen=LAST_ANSWERS)
        self._pairs: deque[tuple[float, int, int]] = deque(maxlen=MOST_PAIRS)
        self._coverage = Coverage()

    def look(self, live: Live) -> None:
        """Take in what is new; what ended while nobody looked is there as far as it is kept."""
        new = min(live.count - self._taken, len(live.kept))
        self._taken = live.count
        for ended in islice(live.kept, len(live.kept) - new, None):
            if ended.record.outcome is FINISHED:
                self._take(ended)

    def forecasts(self) -> dict[str, Any]:
        """Expected and actual tokens; whether an answer was cut at its limit, and so says only that it was longer."""
        return {
            "answers": len(self._known),
            "known": sum(self._known),
            "promised": self._coverage.promised,
            "judged": len(self._coverage),
            "coverage": self._coverage.ratio,
            "pairs": list(self._pairs),
        }

    def latency(self, savings: Savings | None) -> dict[str, Any]:
        """Seconds from arrival to the last token, and in a replay what arrival order would have given."""
        saved = None if savings is None else savings.saved
        return {
            "answers": len(self._seconds),
            "recent": self._spread() if self._seconds else None,
            "reason": "there is no journal to replay" if savings is None else savings.reason,
            "replay": None
            if saved is None
            else {
                "own": saved.own,
                "fcfs": saved.fcfs,
                "requests": saved.requests,
                "difference": saved.difference,
            },
        }

    def _take(self, ended: Ended) -> None:
        record, forecast = ended.record, ended.made.forecast
        self._seconds.append(record.finished - record.arrival)
        if ended.choices > 1:  # as in the metrics: a sum says nothing of one answer's forecast
            return
        self._known.append(forecast.known)
        if forecast.known:
            cut = ended.finish_reason == "length"
            self._pairs.append((round(forecast.expected, 1), record.output_tokens, int(cut)))
            if forecast.coverage is not None:
                self._coverage.add(inside(forecast, record.output_tokens, cut=cut), forecast.coverage)

    def _spread(self) -> dict[str, float]:
        values = np.array(self._seconds)
        median, p90, p99 = np.percentile(values, PERCENTS).tolist()
        return {"mean": float(values.mean()), "median": median, "p90": p90, "p99": p99, "max": float(values.max())}

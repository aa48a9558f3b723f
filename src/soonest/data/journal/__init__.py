"""The journal of a gateway: a row for each request, in SQLite or PostgreSQL, read back as a trace or as examples."""

from soonest.data.journal.reading import read_journal, read_notes
from soonest.data.journal.replayed import examples_of, trace_of
from soonest.data.journal.row import COLUMNS, UNFINISHED, Row
from soonest.data.journal.weights import noted_weights, weights_in

__all__ = [
    "COLUMNS",
    "UNFINISHED",
    "Row",
    "examples_of",
    "noted_weights",
    "read_journal",
    "read_notes",
    "trace_of",
    "weights_in",
]

"""Records as columns and back."""

import dataclasses
import math

from hypothesis import given
from hypothesis import strategies as st

from soonest.core import OUTCOMES, Outcome, Record, Records

COUNTS = st.integers(0, 1 << 50)
TIMES = st.floats(allow_infinity=False)
WORDS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
ROWS = st.lists(
    st.builds(
        Record,
        id=WORDS,
        arrival=TIMES,
        admitted=TIMES,
        first_token=TIMES,
        finished=TIMES,
        prompt_tokens=COUNTS,
        output_tokens=COUNTS,
        evictions=COUNTS,
        tokens_lost=COUNTS,
        tokens_recomputed=COUNTS,
        tenant=WORDS,
        outcome=st.sampled_from(OUTCOMES),
    ),
    max_size=5,
)


def plain(record):
    return tuple("nan" if isinstance(v, float) and math.isnan(v) else v for v in dataclasses.astuple(record))


@given(ROWS)
def test_records_come_back_as_they_went_in(rows):
    records = Records.of(iter(rows))
    assert len(records) == len(rows)
    assert [plain(r) for r in records] == [plain(r) for r in rows]
    assert records.done.tolist() == [r.outcome is Outcome.FINISHED for r in rows]
    assert all(type(r.prompt_tokens) is int and type(r.arrival) is float and type(r.id) is str for r in records)


def test_an_outcome_is_a_word():
    assert [str(o) for o in OUTCOMES] == ["finished", "aborted", "rejected", "cancelled", "failed"]

"""A journal's rows: what is stored is read back; as a trace they replay, as examples they teach."""

import json
import math
import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soonest.core import Forecast, JournalError
from soonest.core.errors import without_password
from soonest.data.journal import COLUMNS, UNFINISHED, Row, examples_of, read_journal, read_notes, trace_of
from soonest.data.journal.place import file_of, is_server
from soonest.data.journal.row import LARGEST, restored, stored

TIMES = st.floats(0, 4e9) | st.just(math.nan)
TOKENS = st.integers(0, 1 << 40)
WORDS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
ROWS = st.builds(
    Row,
    id=WORDS,
    arrival=TIMES,
    admitted=TIMES,
    first_token=TIMES,
    finished=TIMES,
    prompt_tokens=TOKENS,
    cached_tokens=TOKENS,
    output_tokens=TOKENS,
    max_tokens=TOKENS,
    low=TIMES,
    expected=TIMES,
    high=TIMES,
    coverage=st.none() | st.floats(0.01, 1),
    known=st.booleans(),
    policy=WORDS,
    tenant=WORDS,
    model=WORDS,
    priority=st.integers(-(1 << 63) + 1, LARGEST),
    outcome=st.sampled_from(["finished", "cancelled", "failed", UNFINISHED]),
    finish_reason=WORDS,
    engine=WORDS,
    choices=st.integers(1, 128),
    forecast_seconds=TIMES,
    prompt=st.none() | WORDS,
    run=st.integers(1, 9),
)


def same(ours, theirs):
    """Equal, where `nan` equals itself."""
    return all(a == b or (a != a and b != b) for a, b in zip(ours, theirs, strict=True))  # noqa: PLR0124 - nan


def answered(**facts):
    known = {"id": "a", "arrival": 100.0, "admitted": 101.0, "first_token": 102.0, "finished": 110.0}
    return Row(**known | {"prompt_tokens": 7, "output_tokens": 10, "outcome": "finished"} | facts)


@given(ROWS)
def test_what_is_stored_is_read_back(row):
    assert same(restored(stored(row), row.run), row)


@given(st.text(), st.integers())
def test_no_text_and_no_number_is_more_than_a_database_takes(text, number):
    values = stored(Row(text, 0.0, tenant=text, prompt=text, prompt_tokens=number))
    with sqlite3.connect(":memory:") as base:
        back = base.execute(f"SELECT {', '.join('?' * len(values))}", values).fetchone()
    base.close()
    row = restored(back, 1)
    assert abs(row.prompt_tokens) <= LARGEST
    assert len(row.tenant.encode("utf-16-le")) <= max(len(text.encode("utf-16-le", "surrogatepass")), 0)
    assert "\0" not in row.tenant
    if text.isascii() and "\0" not in text:
        assert (row.tenant, row.prompt) == (text, text)


def test_an_unfinished_row_is_no_answer():
    row = restored(stored(Row("a", 5.0, admitted=6.0, output_tokens=3)), 1)
    assert row.outcome == UNFINISHED
    assert not row.done
    with pytest.raises(JournalError, match="no finished request to replay; 1 without an answer"):
        trace_of([row])


def test_a_trace_holds_the_finished_by_arrival_and_counts_the_rest():
    rows = [answered(id="b", arrival=103.0, tenant="t"), answered(), Row("c", 99.0), answered(id="d", outcome="failed")]
    trace = trace_of(rows, "mine")
    assert trace.arrival.tolist() == [0.0, 3.0]
    assert trace.tenant.tolist() == ["", "t"]
    assert (trace.name, trace.left_out, trace.output_tokens.tolist()) == ("mine", 2, [10, 10])


def test_choices_are_answers_of_their_own():
    trace = trace_of([answered(choices=3), answered(id="b", choices=9, output_tokens=2)])
    assert trace.output_tokens.tolist() == [4, 3, 3, 1, 1]
    assert trace.prompt_tokens.tolist() == [7] * 5


def test_one_model_s_rows_are_kept():
    rows = [answered(model="a"), answered(model="b", output_tokens=4), Row("c", 1.0, model="a")]
    trace = trace_of(rows, model="b")
    assert (trace.output_tokens.tolist(), trace.left_out) == ([4], 0)


def test_answers_that_a_limit_or_a_client_ended_are_censored():
    body = json.dumps({"messages": [{"role": "user", "content": "Say no."}], "max_tokens": 12})
    rows = [
        answered(prompt=body, finish_reason="stop", max_tokens=12, model="m"),
        answered(prompt=body, finish_reason="length"),
        answered(prompt=body, outcome="cancelled"),
        answered(prompt=body, outcome="cancelled", output_tokens=0),
        answered(prompt=body, outcome="failed"),
        answered(prompt="{odd"),
        answered(),
        Row("open", 1.0, prompt=body),
    ]
    examples = examples_of(rows)
    assert examples.tokens.tolist() == [10, 10, 10]
    assert examples.censored.tolist() == [False, True, True]
    assert examples.left_out == 5
    assert {prompt.text for prompt in examples.prompts} == {"Say no."}
    assert (examples.prompts[0].model, examples.prompts[0].max_tokens, examples.prompts[0].prompt_tokens) == (
        "m",
        12,
        7,
    )


def test_a_journal_without_prompts_says_how_to_keep_them():
    with pytest.raises(JournalError, match="soonest serve --journal-prompts"):
        examples_of([answered()])


def test_a_model_that_is_not_in_the_journal_is_told_which_are():
    rows = [answered(model="a", prompt="{}"), answered(model="b")]
    with pytest.raises(
        JournalError, match="no request for the model 'c' among the 2 that were read; they are for: a, b"
    ):
        examples_of(rows, "c")


def test_a_row_s_forecast_is_the_one_that_was_made():
    made = Forecast.hint(3.0, 20.0, 90.0)
    assert answered(known=True, low=3.0, expected=20.0, high=90.0).forecast() == made
    skewed = answered(known=True, low=2.0, expected=20.0, high=9.0, coverage=0.9).forecast()
    assert (skewed.known, skewed.low, round(skewed.expected, 6), skewed.high, skewed.coverage) == (True, 2, 20, 9, 0.9)
    for odd in (
        answered(max_tokens=50),
        answered(known=True, max_tokens=50),
        answered(known=True, low=9.0, expected=5.0, high=2.0),
    ):
        assert not odd.forecast().known
    assert answered(max_tokens=50).forecast() == Forecast.unknown(50)


@given(st.lists(st.tuples(st.integers(1, 5000), st.floats(0.01, 1)), min_size=2, max_size=6), st.floats(0.05, 0.95))
def test_rank_and_interval_of_any_forecast_survive_the_journal(parts, coverage):
    edges = [0, *sorted(edge for edge, _ in parts)]
    made = Forecast.classes(edges, [share for _, share in parts], coverage)
    facts = {"low": made.low, "expected": made.expected, "high": made.high, "coverage": made.coverage, "known": True}
    told = restored(stored(answered(**facts)), 1).forecast()
    assert (told.known, told.low, told.high, told.coverage) == (True, made.low, made.high, made.coverage)
    assert told.expected == pytest.approx(made.expected, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize(
    ("url", "path"),
    [("a/b.db", "a/b.db"), ("sqlite:///a/b.db", "a/b.db"), ("sqlite:////a/b.db", "/a/b.db")],
)
def test_a_file_is_a_path_or_a_url(url, path):
    assert not is_server(url)
    assert file_of(url).as_posix() == path


def test_a_password_is_not_shown():
    url = "postgresql://me:se:cret@host/base"
    assert is_server(url)
    assert "cret" not in without_password(url)
    assert without_password("postgresql://me@host/base") == "postgresql://me@host/base"


def test_what_is_no_journal_is_refused_with_what_to_do(tmp_path):
    with pytest.raises(JournalError, match="soonest serve --journal"):
        read_journal(tmp_path / "none.db")
    (tmp_path / "text.db").write_text("hello " * 1000)
    with pytest.raises(JournalError, match="not a journal"):
        read_journal(tmp_path / "text.db")
    sqlite3.connect(tmp_path / "empty.db").close()
    with pytest.raises(JournalError, match="not a journal"):
        read_notes(tmp_path / "empty.db")
    with pytest.raises(JournalError, match="no journal in 'mysql'"):
        read_journal("mysql://host/base")


def test_a_journal_of_a_newer_version_is_refused(tmp_path):
    with sqlite3.connect(tmp_path / "new.db") as base:
        base.execute("CREATE TABLE meta (key, value)")
        base.execute("INSERT INTO meta VALUES ('version', '99')")
    base.close()
    with pytest.raises(JournalError, match="newer soonest"):
        read_journal(tmp_path / "new.db")


def test_every_column_is_a_field():
    assert (*COLUMNS, "run") == Row._fields

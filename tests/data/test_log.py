import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from soonest.core import TraceError
from soonest.data import Trace, read_trace, write_log

MOONCAKE = (
    '{"timestamp": 0, "input_length": 6758, "output_length": 500, "hash_ids": [0, 1, 2]}\n'
    '{"timestamp": 3052, "input_length": 7322, "output_length": 490, "hash_ids": [0, 14]}\n'
)


def write(tmp_path, text):
    path = tmp_path / "log.jsonl"
    path.write_text(text)
    return path


def same(a, b):
    return (
        np.array_equal(a.arrival, b.arrival)
        and np.array_equal(a.prompt_tokens, b.prompt_tokens)
        and np.array_equal(a.output_tokens, b.output_tokens)
        and np.array_equal(a.tenant, b.tenant)
        and np.array_equal(a.predicted, b.predicted)
        and (a.blocks, a.block_tokens, a.has_arrivals) == (b.blocks, b.block_tokens, b.has_arrivals)
    )


@st.composite
def traces(draw):
    n = draw(st.integers(1, 8))

    def column(values):
        return draw(st.lists(values, min_size=n, max_size=n))

    timed = draw(st.booleans())
    micros = np.sort(column(st.integers(0, 10**14)))
    hashes = st.lists(st.integers(0, 2**64 - 1), max_size=3).map(tuple)
    return Trace(
        name="t",
        arrival=(micros - micros[0]) / 1e6 if timed else np.zeros(n),
        prompt_tokens=np.array(column(st.integers(0, 2**40))),
        output_tokens=np.array(column(st.integers(1, 2**40))),
        tenant=np.array(column(st.text(max_size=5).map(lambda text: text.rstrip("\0")))),
        predicted=np.array(column(st.integers(-1, 9))),
        blocks=tuple(column(hashes)) if draw(st.booleans()) else (),
        block_tokens=draw(st.sampled_from([512, 16])),
        has_arrivals=timed,
    )


@given(traces(), st.sampled_from(["log.jsonl", "log.jsonl.gz"]))
def test_a_written_log_is_read_back_as_it_was(tmp_path_factory, trace, name):
    path = tmp_path_factory.mktemp("log") / name
    write_log(path, trace)
    assert same(trace, read_trace(path))


def test_times_are_kept_to_the_microsecond(tmp_path):
    trace = Trace("t", np.array([0.0, 1 / 3]), np.array([1, 1]), np.array([1, 1]))
    write_log(tmp_path / "log", trace)
    assert read_trace(tmp_path / "log").arrival.tolist() == [0, 0.333333]


def test_a_log_without_times_has_no_arrivals(tmp_path):
    trace = Trace("t", np.zeros(2), np.array([1, 1]), np.array([1, 1]), has_arrivals=False)
    write_log(tmp_path / "log", trace)
    assert not read_trace(tmp_path / "log").has_arrivals


def test_a_log_has_mooncakes_names(tmp_path):
    trace = read_trace(write(tmp_path, MOONCAKE))
    write_log(tmp_path / "again.jsonl", trace)
    rows = [json.loads(line) for line in (tmp_path / "again.jsonl").read_text().splitlines()]
    assert rows == [json.loads(line) for line in MOONCAKE.splitlines()]


def test_mooncake_blocks_and_milliseconds_are_read(tmp_path):
    trace = read_trace(write(tmp_path, MOONCAKE))
    assert trace.arrival.tolist() == [0, 3.052]
    assert trace.blocks == ((0, 1, 2), (0, 14))
    assert trace.block_tokens == 512


def test_further_fields_are_passed_over_and_missing_ones_filled(tmp_path):
    row = {"id": "7", "timestamp": 1.5, "input_length": 3, "output_length": 4, "finished": 9.0, "outcome": "finished"}
    trace = read_trace(write(tmp_path, json.dumps(row)))
    assert (trace.tenant[0], trace.predicted[0], trace.blocks) == ("", -1, ())


def test_a_log_may_count_from_1970(tmp_path):
    stamps = (1_700_000_000_250, 1_700_000_000_000)
    rows = [json.dumps({"timestamp": stamp, "input_length": 1, "output_length": 1}) for stamp in stamps]
    assert read_trace(write(tmp_path, "\n".join(rows))).arrival.tolist() == [0, 0.25]


def test_rows_without_an_answer_are_left_out_with_their_blocks(tmp_path):
    text = MOONCAKE + '{"timestamp": 9, "input_length": 1, "output_length": 0, "hash_ids": [5]}\n'
    trace = read_trace(write(tmp_path, text))
    assert (len(trace), trace.left_out, trace.blocks) == (2, 1, ((0, 1, 2), (0, 14)))


def test_a_model_of_a_log_is_chosen(tmp_path):
    rows = [{"timestamp": i, "input_length": i, "output_length": 1, "model": "ab"[i % 2]} for i in range(4)]
    path = write(tmp_path, "\n".join(map(json.dumps, rows)))
    assert read_trace(path, model="b").prompt_tokens.tolist() == [1, 3]
    with pytest.raises(TraceError, match="its models are a, b"):
        read_trace(path, model="c")


@pytest.mark.parametrize(
    ("change", "column"),
    [
        ({"timestamp": -1}, "timestamp"),
        ({"timestamp": None}, "timestamp"),
        ({"timestamp": [1]}, "timestamp"),
        ({"timestamp": float("nan")}, "timestamp"),
        ({"timestamp": 1e300}, "timestamp"),
        ({"input_length": "?"}, "input_length"),
        ({"input_length": None}, "input_length"),
        ({"output_length": 2.5}, "output_length"),
        ({"output_length": False}, "output_length"),
        ({"hash_ids": 3}, "hash_ids"),
        ({"hash_ids": [1, -1]}, "hash_ids"),
        ({"hash_ids": [True]}, "hash_ids"),
        ({"hash_ids": [2**64]}, "hash_ids"),
        ({"tenant": {}}, "tenant"),
        ({"tenant": True}, "tenant"),
        ({"tenant": "x" * 257}, "tenant"),
        ({"predicted": "high"}, "predicted"),
        ({"block_tokens": 0}, "block_tokens"),
        ({"model": None}, "model"),
    ],
)
def test_a_malformed_log_row_is_named_by_file_line_and_column(tmp_path, change, column):
    row = {"timestamp": 1, "input_length": 2, "output_length": 3}
    path = write(tmp_path, json.dumps(row) + "\n\n" + json.dumps(row | change))
    with pytest.raises(TraceError) as caught:
        read_trace(path)
    assert str(caught.value).startswith(f"{path}, line 3, column '{column}': ")


def test_blocks_of_two_sizes_in_one_log_are_refused(tmp_path):
    row = '{"input_length": 2, "output_length": 3, "block_tokens": %d}\n'
    with pytest.raises(TraceError, match=r"blocks of \[16, 32\] tokens"):
        read_trace(write(tmp_path, row % 16 + row % 32))


def test_a_log_that_gains_times_after_a_batch_is_refused(tmp_path):
    untimed = '{"input_length": 2, "output_length": 3}\n'
    with pytest.raises(TraceError, match="in all or in none"):
        read_trace(write(tmp_path, untimed * 4096 + '{"timestamp": 1, "input_length": 2, "output_length": 3}\n'))


@pytest.mark.parametrize(("owner", "step"), [(os, "fsync"), (Path, "replace")])
def test_a_log_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch, owner, step):
    path = write(tmp_path, "old")

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(owner, step, fail)
    with pytest.raises(TraceError, match=r"log\.jsonl: cannot be written: disk full"):
        write_log(path, Trace("t", np.zeros(1), np.ones(1, np.int64), np.ones(1, np.int64)))
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["log.jsonl"]


def test_a_log_in_a_directory_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(TraceError, match="cannot be written"):
        write_log(tmp_path / "none" / "log", Trace("t", np.zeros(1), np.ones(1, np.int64), np.ones(1, np.int64)))


def test_a_zipped_log_has_the_same_bytes_each_time(tmp_path):
    trace = read_trace(write(tmp_path, MOONCAKE))
    for name in ("a.jsonl.gz", "b.jsonl.gz"):
        write_log(tmp_path / name, trace)
    content = (tmp_path / "a.jsonl.gz").read_bytes()
    assert content[:2] == b"\x1f\x8b"
    assert content[4:8] == bytes(4)  # the time of writing
    assert content == (tmp_path / "b.jsonl.gz").read_bytes()

"""A file is there whole or not at all."""

import csv
import json
import math
import os
import stat
import threading
from pathlib import Path

import numpy as np
import pytest

from soonest.core import Outcome, Record, Records, SoonestError
from soonest.report import write_csv, write_json, write_rows

RUN = Records.of(
    [
        Record("a", 0.1, 1, 2, 1 / 3 + 4, 10, 5, tenant="x, y"),
        Record("b", 1, math.nan, math.nan, math.nan, 20, 0, 1, 2, 3, "z", Outcome.REJECTED),
    ]
)


def test_json_keeps_its_order_and_is_indented(tmp_path):
    write_json(tmp_path / "a.json", {"b": 1, "a": [1, 2.5]})
    assert (tmp_path / "a.json").read_text() == '{\n  "b": 1,\n  "a": [\n    1,\n    2.5\n  ]\n}\n'


def test_json_has_null_for_what_is_no_number_and_takes_numpy(tmp_path):
    value = {"nan": math.nan, "inf": (math.inf, np.float64("nan")), "n": np.int64(3), "a": np.array([1.0, math.nan])}
    write_json(tmp_path / "a.json", value)
    assert json.loads((tmp_path / "a.json").read_text()) == {"nan": None, "inf": [None, None], "n": 3, "a": [1.0, None]}


def test_a_value_that_fails_midway_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"old": True})
    with pytest.raises(TypeError):
        write_json(path, {"first": list(range(10_000)), "then": object()})
    assert json.loads(path.read_text()) == {"old": True}
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("step", ["replace", "fsync"])
def test_a_disk_that_fails_midway_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, step):
    path = tmp_path / "a.json"
    write_json(path, {"old": True})

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(*{"replace": (Path, "replace", fail), "fsync": (os, "fsync", fail)}[step])
    with pytest.raises(SoonestError, match=r"cannot write .*a\.json: No space left on device"):
        write_json(path, {"new": True})
    assert json.loads(path.read_text()) == {"old": True}
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(SoonestError, match=r"there is no folder .*results; create it first"):
        write_json(tmp_path / "results" / "a.json", {})
    assert not list(tmp_path.iterdir())


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(SoonestError, match="it is a folder"):
        write_json(tmp_path, {})


def test_a_link_is_followed(tmp_path):
    (tmp_path / "real.json").write_text("old")
    (tmp_path / "link.json").symlink_to("real.json")
    write_json(tmp_path / "link.json", 1)
    assert (tmp_path / "link.json").is_symlink()
    assert (tmp_path / "real.json").read_text() == "1\n"


def test_a_pipe_is_written_and_stays_a_pipe(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()), daemon=True)
    reader.start()
    write_json(pipe, [1])
    reader.join(timeout=10)
    assert read == ["[\n  1\n]\n"]
    assert pipe.is_fifo()


def test_a_new_file_has_the_rights_of_any_other(tmp_path):
    (tmp_path / "plain").write_text("")
    write_json(tmp_path / "ours", 1)
    rights = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("plain", "ours")]
    assert rights[0] == rights[1]


def test_csv_reads_back_exactly(tmp_path):
    write_csv(tmp_path / "run.csv", RUN)
    with (tmp_path / "run.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["arrival"]) for row in rows] == RUN.arrival.tolist()
    assert float(rows[0]["finished"]) == RUN.finished[0]
    assert [rows[1][name] for name in ("admitted", "first_token", "finished")] == ["", "", ""]
    assert [row["outcome"] for row in rows] == ["finished", "rejected"]
    assert [row["tenant"] for row in rows] == ["x, y", "z"]
    assert list(rows[0]) == list(Record.__dataclass_fields__)


def test_a_run_without_requests_is_a_header(tmp_path):
    write_csv(tmp_path / "run.csv", Records.of([]))
    assert (tmp_path / "run.csv").read_text() == ",".join(Record.__dataclass_fields__) + "\n"


def test_rows_are_written_under_the_names_of_the_first(tmp_path):
    write_rows(tmp_path / "a.csv", [{"b": 1, "a": "x, y"}, {"a": None, "b": 0.1}])
    assert (tmp_path / "a.csv").read_text() == 'b,a\n1,"x, y"\n0.1,\n'
    write_rows(tmp_path / "a.csv", [])
    assert (tmp_path / "a.csv").read_text() == "\n"


def test_rows_that_lack_a_value_leave_the_old_file(tmp_path):
    write_rows(tmp_path / "a.csv", [{"a": 1}])
    with pytest.raises(KeyError):
        write_rows(tmp_path / "a.csv", [{"a": 1, "b": 2}, {"a": 3}])
    assert (tmp_path / "a.csv").read_text() == "a\n1\n"

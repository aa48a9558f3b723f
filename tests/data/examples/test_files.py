"""Files: every format, what is wrong with them, and large ones."""

import csv
import gzip
import json
import sys
import tempfile
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from soonest.core import Prompt, TraceError
from soonest.data.examples import ROLES, Examples, read_examples


@pytest.fixture
def write(tmp_path):
    def put(*rows):
        path = tmp_path / "rows.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return path

    return put


def row(**more):
    return {"prompt": "hello", "output_tokens": 7, **more}


ROWS = [
    {"prompt": 'two\nlines, "quoted"', "output_tokens": 3, "model": "m", "temperature": 0.5, "max_tokens": 9},
    {"prompt": "é 你好", "output_tokens": 9, "model": "k", "temperature": 0, "max_tokens": 9},
]


def write_csv(path, mark=","):
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(ROWS[0]), delimiter=mark)
        writer.writeheader()
        writer.writerows(ROWS)


def write_parquet(path):
    pa = pytest.importorskip("pyarrow")
    pytest.importorskip("pyarrow.parquet").write_table(pa.Table.from_pylist(ROWS), path)


WRITERS = {
    "rows.jsonl": lambda path: path.write_text("\n".join(map(json.dumps, ROWS)), encoding="utf-8"),
    "rows.json": lambda path: path.write_text(json.dumps(ROWS, indent=1), encoding="utf-8"),
    "rows.csv": write_csv,
    "rows.tsv": lambda path: write_csv(path, "\t"),
    "rows.parquet": write_parquet,
    "rows.anything": lambda path: path.write_bytes(gzip.compress("\n".join(map(json.dumps, ROWS)).encode())),
}


@pytest.mark.parametrize("name", WRITERS)
def test_the_same_rows_in_any_format_are_the_same_examples(tmp_path, name):
    WRITERS[name](tmp_path / name)
    examples = read_examples(tmp_path / name)
    assert examples.prompts == tuple(
        Prompt.of(r["prompt"], model=r["model"], temperature=float(r["temperature"]), max_tokens=9) for r in ROWS
    )
    assert (examples.tokens.tolist(), examples.censored.tolist()) == ([3, 9], [False, True])


def test_nothing_is_read_beyond_the_limit(write):
    path = write(*[row(output_tokens=i + 1) for i in range(200)])
    path.write_text(path.read_text() + "never JSON")
    assert read_examples(path, limit=150).tokens.tolist() == list(range(1, 151))


@pytest.mark.parametrize("given", [{"limit": 0}, {"cut": 0}])
def test_limits_below_one_are_refused(write, given):
    with pytest.raises(TraceError, match="must be at least 1"):
        read_examples(write(row()), **given)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "is empty"),
        (b"\n \n", "is empty"),
        (b"[]", "holds no row"),
        (b"prompt,output_tokens\n", "holds no row"),
        (b"prompt,output_tokens\na,1\nb\n", r"line 3: has 1 values and the header 2 columns"),
        (b'prompt,output_tokens\na,1\n"b,2\n', r"line 3: unexpected end of data"),
        (b"\n\nprompt,output_tokens\na,1\nb,x\n", r"line 5, column 'output_tokens': 'x'"),
        (b"PAR1 and no more", "is no whole Parquet file"),
        (b"\x1f\x8b\x08\x00broken", "cannot be read"),
        (b'{"prompt": "\xff"}', "is not UTF-8"),
        (b'{"prompt": "a", "output_tokens": 0}\n', "holds no answer; 1 calls without an answer were left out"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path, content, complaint):
    (tmp_path / "file.x").write_bytes(content)
    with pytest.raises(TraceError, match=rf"file\.x(: |, ){complaint}"):
        read_examples(tmp_path / "file.x")


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    for path in (tmp_path / "none.jsonl", tmp_path):
        with pytest.raises(TraceError, match="cannot be read"):
            read_examples(path)


def test_a_missing_library_is_named_with_the_way_to_get_it(tmp_path, monkeypatch):
    (tmp_path / "rows.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(TraceError, match=r"needs PyArrow: pip install 'soonest\[parquet\]'"):
        read_examples(tmp_path / "rows.parquet")


def test_a_cell_may_be_longer_than_the_standard_library_likes(tmp_path):
    usual = csv.field_size_limit()
    (tmp_path / "long.csv").write_text(f"prompt,output_tokens\n{'x' * 500_000},3\n")
    assert read_examples(tmp_path / "long.csv").prompts[0].length == 125_000
    assert csv.field_size_limit() == usual


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-10, 10**20) | st.floats() | st.text(st.characters(codec=None), max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["role", "content", "from", "value", "tokens", "m"]), inner, max_size=3)
    ),
    max_leaves=6,
)
COLUMNS = st.sampled_from([name for role in ROLES.values() for name in role.names[:2]])


@settings(deadline=None)
@given(st.lists(st.dictionaries(COLUMNS, JSON, max_size=6), min_size=1, max_size=4))
def test_whatever_rows_hold_is_read_or_refused_in_words(rows):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.jsonl"
        path.write_text("".join(json.dumps(cells) + "\n" for cells in rows))
        try:
            examples = read_examples(path)
        except TraceError as error:
            examples = Examples.from_rows([])
            said = str(error)
        else:
            said = str(path)
        assert said.startswith(str(path))
        assert (examples.tokens >= 1).all()
        assert all(prompt.messages for prompt in examples.prompts)


def test_a_large_file_is_held_once(tmp_path):
    path = tmp_path / "large.jsonl"
    with path.open("w") as file:
        for i in range(2000):
            file.write(json.dumps(row(prompt=f"{i:09d}" + "x" * 5000)) + "\n")
    tracemalloc.start()
    examples = read_examples(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(examples) == 2000
    assert peak < 1.5 * path.stat().st_size


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "size", "groups", "mean"),
    [
        ("alpaca_vicuna7b", 20_000, 20_000, 124),
        ("sharegpt_chatgpt", 3527, 991, 276),
        ("alpaca_eval_12models", 9659, 805, 326),
        ("halueval_chatgpt", 4507, 4507, 108),
    ],
)
def test_the_shared_sets_are_read_as_described(shared_data, name, size, groups, mean):
    examples = read_examples(shared_data(f"lengths/{name}.jsonl.gz"))
    assert (len(examples), examples.left_out, len(np.unique(examples.groups))) == (size, 0, groups)
    assert examples.tokens.mean() == pytest.approx(mean, abs=1)

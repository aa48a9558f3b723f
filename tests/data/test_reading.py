import gzip

import pytest

from soonest.core import TraceError
from soonest.data import FORMATS, read_trace
from soonest.data.reading import find_format

FIRST = {
    "azure": "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03.9799600,1,1",
    "burstgpt": "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n5,ChatGPT,1,1,2,API log",
    "vidur": "arrived_at,num_prefill_tokens,num_decode_tokens\n0,1,1",
    "csv": "timestamp_s,prompt_tokens,output_tokens\n0,1,1",
    "predictions": "output_tokens,pred_class3,pred_class5\n1,0,0",
    "mooncake": '{"timestamp": 0, "input_length": 1, "output_length": 1, "hash_ids": [0]}',
    "log": '{"timestamp": 0, "input_length": 1, "output_length": 1, "tenant": "a", "outcome": "finished"}',
    "prompts": '{"prompt": "hello", "output_tokens": 1}',
    "sharegpt": '[{"id": "a", "conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]}]',
}


def test_each_format_is_tried_here():
    assert set(FIRST) == set(FORMATS)


@pytest.mark.parametrize("name", FIRST)
def test_a_format_is_found_from_its_first_line(tmp_path, name):
    path = tmp_path / "trace"
    path.write_text("\n " + FIRST[name] if FIRST[name][0] in "{[" else FIRST[name])
    assert find_format(path) == name
    assert len(read_trace(path)) == len(read_trace(path, format=name)) == 1


@pytest.mark.parametrize("text", ["a,b,c\n1,2,3\n", '{"question": "?"}\n', "hello\n", "3\n"])
def test_an_unknown_format_is_refused_with_those_known(tmp_path, text):
    path = tmp_path / "trace"
    path.write_text(text)
    with pytest.raises(TraceError, match=r"begins with .* known: azure, burstgpt, .*sharegpt"):
        read_trace(path)


def test_a_format_that_does_not_exist_is_refused_with_those_that_do(tmp_path):
    with pytest.raises(TraceError, match="no trace format 'parquet'; known: azure"):
        read_trace(tmp_path / "trace", format="parquet")


def test_an_empty_file_is_refused(tmp_path):
    (tmp_path / "trace").write_text("")
    with pytest.raises(TraceError, match="is empty"):
        read_trace(tmp_path / "trace")


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(TraceError, match=r"none\.csv: cannot be read: .*is the path right"):
        read_trace(tmp_path / "none.csv")


def test_a_directory_is_refused(tmp_path):
    with pytest.raises(TraceError, match="cannot be read"):
        read_trace(tmp_path)


def test_a_truncated_gzip_file_is_refused(tmp_path):
    rows = FIRST["csv"] + "".join(f"\n{i},{i * 7919 % 1000},{i * 104729 % 1000 + 1}" for i in range(5000))
    (tmp_path / "trace").write_bytes(gzip.compress(rows.encode())[:-2000])
    with pytest.raises(TraceError, match=r"cannot be read: .*the file whole"):
        read_trace(tmp_path / "trace")


def test_a_damaged_gzip_file_is_refused(tmp_path):
    (tmp_path / "trace").write_bytes(gzip.compress(FIRST["csv"].encode())[:10] + b"\x07" * 30)
    with pytest.raises(TraceError, match="cannot be read"):
        read_trace(tmp_path / "trace")


def test_a_file_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "trace").write_bytes(b"timestamp_s\xff\xfe\n")
    with pytest.raises(TraceError, match="is not UTF-8"):
        read_trace(tmp_path / "trace")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"timestamp": 1,', "line 2, column 17: is no JSON"),
        ("[1, 2]", "line 2, column 1: need a JSON object, not a list"),
        ("[" * 100_000, "line 2, column 1: is no JSON that can be read"),
        ('{"timestamp": ' + "9" * 5000 + "}", "line 2, column 1: is no JSON that can be read"),
    ],
)
def test_a_line_that_is_no_object_is_named(tmp_path, line, said):
    (tmp_path / "trace").write_text(FIRST["log"] + "\n" + line + "\n")
    with pytest.raises(TraceError, match=said):
        read_trace(tmp_path / "trace")


def test_a_first_line_longer_than_a_block_is_still_found(tmp_path):
    (tmp_path / "trace").write_text('{"prompt": "' + "a" * 100_000 + '", "output_tokens": 3}\n')
    assert read_trace(tmp_path / "trace").prompt_tokens.tolist() == [25_000]

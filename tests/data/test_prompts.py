import json

import pytest

from soonest.core import TraceError
from soonest.data import approximate_tokens, read_trace, reading


def write(tmp_path, *rows):
    path = tmp_path / "prompts.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def talk(*values):
    return {"id": "x", "conversations": [{"from": "human", "value": value} for value in values]}


def write_list(tmp_path, *items, indent=None):
    path = tmp_path / "talks.json"
    path.write_text(json.dumps(items, indent=indent))
    return path


@pytest.mark.parametrize(("text", "tokens"), [("", 0), ("a", 1), ("abcd", 1), ("abcde", 2), ("é" * 8, 2)])
def test_four_characters_are_a_token_rounded_up(text, tokens):
    assert approximate_tokens(text) == tokens


def test_vllm_prompts_have_lengths_and_no_arrivals(tmp_path):
    trace = read_trace(write(tmp_path, {"prompt": "abcdefgh", "output_tokens": 7}, {"prompt": "", "output_tokens": 1}))
    assert not trace.has_arrivals
    assert trace.prompt_tokens.tolist() == [2, 0]
    assert trace.output_tokens.tolist() == [7, 1]


def test_aiperf_prompts_have_other_names(tmp_path):
    trace = read_trace(write(tmp_path, {"text_input": "abcdefgh", "output_length": 7}))
    assert (trace.prompt_tokens[0], trace.output_tokens[0]) == (2, 7)


def test_the_only_model_of_a_row_needs_no_choice(tmp_path):
    assert read_trace(write(tmp_path, {"prompt": "a", "output_tokens": {"m": 5}})).output_tokens.tolist() == [5]


def test_one_of_several_models_is_chosen_and_rows_without_it_are_left_out(tmp_path):
    path = write(
        tmp_path,
        {"prompt": "a", "output_tokens": {"m": 5, "k": 6}},
        {"prompt": "b", "output_tokens": {"m": 7}},
        {"prompt": "c", "output_tokens": {"k": 8, "m": 9}},
    )
    trace = read_trace(path, model="k")
    assert (trace.output_tokens.tolist(), trace.left_out) == ([6, 8], 1)
    with pytest.raises(TraceError, match=r"line 1, column 'output_tokens': several models.*: k, m"):
        read_trace(path)
    with pytest.raises(TraceError, match="holds no call of model 'z'; its models are k, m"):
        read_trace(path, model="z")


def test_rows_that_name_their_model_are_chosen_by_it(tmp_path):
    rows = [{"prompt": "a", "output_tokens": i + 1, "model": "even" if i % 2 == 0 else "odd"} for i in range(4)]
    trace = read_trace(write(tmp_path, *rows), model="odd")
    assert (trace.output_tokens.tolist(), trace.left_out) == ([2, 4], 0)


@pytest.mark.parametrize(
    ("row", "column"),
    [
        ({"prompt": 3, "output_tokens": 1}, "prompt"),
        ({"output_tokens": 1}, "prompt"),
        ({"prompt": "a"}, "output_tokens"),
        ({"prompt": "a", "output_tokens": "many"}, "output_tokens"),
        ({"prompt": "a", "output_tokens": True}, "output_tokens"),
        ({"prompt": "a", "output_tokens": -1}, "output_tokens"),
        ({"prompt": "a", "output_tokens": 1.5}, "output_tokens"),
        ({"prompt": "a", "output_tokens": float("nan")}, "output_tokens"),
        ({"prompt": "a", "output_tokens": 10**400}, "output_tokens"),
        ({"prompt": "a", "output_tokens": {"m": "x"}}, "output_tokens"),
        ({"prompt": "a", "output_tokens": {}}, "output_tokens"),
    ],
)
def test_a_malformed_prompt_is_named_by_line_and_column(tmp_path, row, column):
    path = write(tmp_path, {"prompt": "a", "output_tokens": 1}, row)
    with pytest.raises(TraceError, match=f"line 2, column '{column}'|line 1, column 'output_tokens': other rows"):
        read_trace(path)


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("block", [1, 7, 1 << 20])
def test_sharegpt_turns_become_prompt_and_answer_whatever_the_blocks(tmp_path, monkeypatch, indent, block):
    monkeypatch.setattr(reading, "BLOCK", block)
    items = (talk("abcd", "abcdefgh", "more"), talk("only"), talk(), talk('é\n\\"]}', "b"), talk("a", ""))
    trace = read_trace(write_list(tmp_path, *items, indent=indent))
    assert trace.prompt_tokens.tolist() == [1, 2]
    assert trace.output_tokens.tolist() == [2, 1]
    assert (trace.left_out, trace.has_arrivals) == (3, False)


def test_sharegpt_is_read_no_further_than_the_limit(tmp_path):
    path = write_list(tmp_path, talk("a", "b"), talk("c", "d"))
    path.write_text(path.read_text().replace('"d"', "never JSON"))
    assert len(read_trace(path, limit=1)) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[]", "holds no call"),
        ("[1]", "line 1: need a JSON object"),
        ('[\n{"conversations": 3}\n]', "line 2, column 'conversations': need a list of turns"),
        ("[\n{}\n]", "line 2, column 'conversations': need a list of turns"),
        ('[{"conversations": [{"value": 1}, {"value": "a"}]}]', r"column 'conversations\[0\].value': need a text"),
        ('[{"conversations": ["a", "b"]}]', r"column 'conversations\[0\].value': need a text"),
        ('[\n\n{"conversations": [}', "line 3: the object is no JSON"),
        ('[{"conversations": [\n', "line 1: the object is no JSON"),
        ('[{"conversations": []}\n', "line 2: need ',' or ']' here, not '': is the file whole"),
        ('[{"conversations": []} {}]', "line 1: need ',' or ']' here, not '{'"),
    ],
)
def test_a_malformed_conversation_is_named_by_line(tmp_path, text, said):
    (tmp_path / "talks.json").write_text(text)
    with pytest.raises(TraceError, match=said):
        read_trace(tmp_path / "talks.json")


def test_a_conversation_that_never_ends_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "BLOCK", 16)
    monkeypatch.setattr(reading, "LONGEST_ITEM", 64)
    path = write_list(tmp_path, talk("a" * 200, "b"))
    with pytest.raises(TraceError, match="the object is no JSON"):
        read_trace(path)

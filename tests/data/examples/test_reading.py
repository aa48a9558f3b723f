"""Examples from rows of every kind."""

import json

import pytest

from soonest.core import Message, Prompt, TraceError
from soonest.data import sample, write_log
from soonest.data.examples import read_examples, read_prompts


@pytest.fixture
def write(tmp_path):
    def put(*rows, name="rows.jsonl"):
        path = tmp_path / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return path

    return put


def row(**more):
    return {"prompt": "hello", "output_tokens": 7, **more}


def said(*turns):
    return [{"from": who, "value": text} for who, text in turns]


def test_a_sharegpt_dialogue_is_an_example_for_each_answer_after_all_turns_before_it(write):
    turns = said(("human", "hi"), ("gpt", "a" * 9), ("human", "more"), ("gpt", "b" * 40))
    examples = read_examples(write({"id": "x", "conversations": turns}, {"id": "y", "conversations": turns[:1]}))
    assert examples.tokens.tolist() == [3, 10]
    first, second = examples.prompts
    assert first.messages == (Message("user", "hi"),)
    assert second.messages == (*first.messages, Message("assistant", "a" * 9), Message("user", "more"))
    assert first.conversation == second.conversation == "x"
    assert (examples.left_out, len(set(examples.groups.tolist()))) == (1, 1)


def test_a_turn_may_state_its_tokens(write):
    turns = said(("human", "hi"), ("gpt", "abcd"))
    turns[1]["tokens"] = 17
    assert read_examples(write({"conversations": turns})).tokens.tolist() == [17]


@pytest.mark.parametrize(
    "turns",
    [
        [],
        said(("gpt", "greeting")),
        said(("human", "a"), ("human", "b")),
        said(("human", "a"), ("gpt", "")),
    ],
)
def test_a_dialogue_without_an_answer_is_left_out(write, turns):
    whole = said(("human", "a"), ("gpt", "b"))
    examples = read_examples(write({"conversations": whole}, {"conversations": turns}))
    assert (len(examples), examples.left_out) == (1, 1)


def test_a_chat_has_its_count_or_its_last_answer(write):
    asked = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}]
    answered = [*asked, {"role": "assistant", "content": "d" * 20}]
    counted = read_examples(write({"messages": asked, "usage": {"completion_tokens": 8}}))
    assert (len(counted.prompts[0].messages), counted.tokens.tolist()) == (3, [8])
    both = read_examples(write({"messages": answered, "usage": {"completion_tokens": 8}}))
    assert (both.prompts, both.tokens.tolist()) == (counted.prompts, [8])
    assert read_examples(write({"messages": answered})).tokens.tolist() == [5]


def test_the_text_of_a_message_in_parts_is_read_and_pictures_are_not(write):
    content = [{"type": "text", "text": "what is"}, {"type": "image_url"}, {"type": "text", "text": "this?"}]
    examples = read_examples(write({"messages": [{"role": "user", "content": content}], "output_tokens": 3}))
    assert examples.prompts[0].text == "what is\nthis?"


def test_several_models_answers_are_examples_of_one_group_or_one_is_chosen(write):
    path = write(
        {"prompt": "a", "output_tokens": {"m": 5, "k": 6}}, {"prompt": "b", "output_tokens": {"m": 7, "k": None}}
    )
    examples = read_examples(path)
    assert [(p.text, p.model) for p in examples.prompts] == [("a", "m"), ("a", "k"), ("b", "m")]
    assert (examples.tokens.tolist(), examples.left_out) == ([5, 6, 7], 1)
    assert examples.groups[0] == examples.groups[1] != examples.groups[2]
    assert read_examples(path, model="m").tokens.tolist() == [5, 7]
    with pytest.raises(TraceError, match="holds no answer of model 'z'; its models are k, m"):
        read_examples(path, model="z")


def test_turns_of_a_conversation_are_each_others_history_whatever_their_order(write):
    rows = [
        {"prompt": "abcd", "output_tokens": 10, "conv_id": "x", "turn": 0, "history_tokens": 0},
        {"prompt": "efgh", "output_tokens": 20, "conv_id": "x", "turn": 1, "history_tokens": 16},
        {"prompt": "ijkl", "output_tokens": 30, "conv_id": "x", "turn": 2, "history_tokens": 20},
    ]
    other = {"prompt": "mnop", "output_tokens": 40, "conv_id": "y", "turn": 1, "history_tokens": 9}
    zero, two, alone, one = read_examples(write(rows[0], rows[2], other, rows[1])).prompts
    answer = [Message("assistant", "", tokens) for tokens in (10, 20)]
    assert zero.messages == (Message("user", "abcd"),)
    assert one.messages == (  # 16 tokens are stated, 11 are known
        Message("assistant", "", 5), Message("user", "abcd"), answer[0], Message("user", "efgh"),
    )  # fmt: skip
    assert one.length == 16 + 1
    assert two.messages == (
        Message("user", "abcd"), answer[0], Message("user", "efgh"), answer[1], Message("user", "ijkl"),
    )  # fmt: skip
    assert alone.messages == (Message("assistant", "", 9), Message("user", "mnop"))


def test_turns_of_one_conversation_with_two_models_are_two_histories(write):
    rows = [row(conv_id="x", turn=i, model=m) for i in range(2) for m in ("m", "k")]
    assert [len(p.messages) for p in read_examples(write(*rows)).prompts] == [1, 1, 3, 3]


def test_a_conversation_without_turns_groups_and_links_nothing(write):
    examples = read_examples(write(row(conv_id="x"), row(prompt="other", conv_id="x")))
    assert [len(p.messages) for p in examples.prompts] == [1, 1]
    assert len(set(examples.groups.tolist())) == 1


@pytest.mark.parametrize(
    ("more", "cut", "censored"),
    [
        ({}, None, False),
        ({"finish_reason": "stop"}, None, False),
        ({"finish_reason": "length"}, None, True),
        ({"stop_reason": "MAX_TOKENS"}, None, True),
        ({"max_tokens": 8}, None, False),
        ({"max_tokens": 7}, None, True),
        ({"max_tokens": -1}, None, False),
        ({}, 8, False),
        ({}, 7, True),
    ],
)
def test_an_answer_is_censored_where_a_limit_ended_it(write, more, cut, censored):
    assert read_examples(write(row(**more)), cut=cut).censored.tolist() == [censored]


def test_a_row_says_who_asked_whom_and_how(write):
    facts = {"id": "r", "tenant": 4, "model": "m", "session_id": "s", "prompt_tokens": 12, "max_tokens": 50}
    (prompt,) = read_examples(write(row(**facts, temperature=0.25, system="be brief"))).prompts
    assert prompt == Prompt(
        (Message("system", "be brief"), Message("user", "hello")),
        id="r", tenant="4", model="m", conversation="s", prompt_tokens=12, max_tokens=50, temperature=0.25,
    )  # fmt: skip


def test_an_instruction_is_followed_by_its_input(write):
    rows = [{"instruction": "Add.", "input": text, "output": "12345"} for text in ("2 and 3", "")]
    examples = read_examples(write(*rows))
    assert [p.text for p in examples.prompts] == ["Add.\n\n2 and 3", "Add."]
    assert examples.tokens.tolist() == [2, 2]


@pytest.mark.parametrize(
    ("bad", "where"),
    [
        (row(output_tokens="many"), "column 'output_tokens': 'many'"),
        (row(output_tokens=-1), "column 'output_tokens': -1"),
        (row(output_tokens=1.5), "column 'output_tokens': 1.5"),
        (row(output_tokens=True), "column 'output_tokens': True"),
        (row(output_tokens={"m": "x"}), "column 'output_tokens.m'"),
        (row(prompt=3), "column 'prompt': need a text"),
        (row(prompt=None), "column 'prompt': need a text"),
        (row(model=["m"]), "column 'model': need a text or a whole number"),
        (row(max_tokens=-7), "column 'max_tokens'"),
        (row(temperature="hot"), "column 'temperature': need a finite number"),
        (row(temperature=float("nan")), "column 'temperature': need a finite number"),
    ],
)
def test_a_malformed_row_is_named_by_file_line_and_column(write, bad, where):
    good = row(model="m", max_tokens=9, temperature=1)
    with pytest.raises(TraceError, match=rf"rows\.jsonl, line 3, {where}"):
        read_examples(write(good, good, bad))


@pytest.mark.parametrize(
    ("turns", "where"),
    [
        (3, "column 'conversations': need a list of turns"),
        (["a"], r"column 'conversations\[0\]': need an object"),
        ([{"from": "human", "value": 1}], r"column 'conversations\[0\].value': need a text"),
        ([{"from": "human", "value": "a", "tokens": -1}], r"column 'conversations\[0\]'"),
    ],
)
def test_a_malformed_turn_is_named_by_its_place(write, turns, where):
    good = {"conversations": said(("human", "a"), ("gpt", "b"))}
    with pytest.raises(TraceError, match=rf"line 2, {where}"):
        read_examples(write(good, {"conversations": turns}))


def test_errors_say_nothing_of_the_prompt(write):
    with pytest.raises(TraceError) as found:
        read_examples(write(row(), row(prompt=["secret plan"])))
    assert "secret" not in str(found.value)


def test_our_own_log_holds_no_prompts_and_says_so(tmp_path):
    write_log(tmp_path / "log.jsonl", sample().head(5))
    with pytest.raises(TraceError, match=r"log\.jsonl: no column holds prompts"):
        read_examples(tmp_path / "log.jsonl")


def test_a_log_with_prompts_is_read(write):
    logged = {"timestamp": 0, "input_length": 12, "output_length": 5, "tenant": "t", "model": "m", "prompt": "hello"}
    examples = read_examples(write(logged))
    assert examples.prompts == (Prompt.of("hello", tenant="t", model="m", prompt_tokens=12),)
    assert examples.tokens.tolist() == [5]


def test_prompts_are_read_without_answers(write):
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    assert [p.text for p in read_prompts(write({"prompt": "x"}, {"prompt": "y"}))] == ["x", "y"]
    assert [p.text for p in read_prompts(write({"messages": turns}))] == ["a"]
    assert [p.text for p in read_prompts(write({"prompt": "x"}, {"prompt": "y"}), limit=1)] == ["x"]

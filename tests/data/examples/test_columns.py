"""Which column is what."""

import pytest

from soonest.core import TraceError
from soonest.data.examples.columns import ROLES, guess


def roles(row, **given):
    return dict(guess("file", "JSONL", [row], given).columns)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"prompt": "a", "output_tokens": 3}, {"prompt": "prompt", "output_tokens": "output_tokens"}),
        ({"text_input": "a", "output_length": 3}, {"prompt": "text_input", "output_tokens": "output_length"}),
        ({"Prompt": "a", "Response tokens": "3"}, {"prompt": "Prompt", "output_tokens": "Response tokens"}),
        ({"userPrompt": "a", "completionTokens": 3.0}, {"prompt": "userPrompt", "output_tokens": "completionTokens"}),
        ({"prompt": "a", "output_tokens": {"m": 3}}, {"prompt": "prompt", "output_tokens": "output_tokens"}),
        (
            {
                "body": {"messages": [{"role": "user"}], "max_tokens": 9},
                "response": {"usage": {"completion_tokens": 4}},
            },
            {
                "messages": "body.messages",
                "output_tokens": "response.usage.completion_tokens",
                "max_tokens": "body.max_tokens",
            },
        ),
        ({"id": "x", "conversations": [{"from": "human"}]}, {"dialogue": "conversations", "id": "id"}),
        ({"prompt": "a", "response": "b"}, {"prompt": "prompt", "response": "response"}),
        (
            {"instruction": "a", "input": "b", "output": "c"},
            {"prompt": "instruction", "context": "input", "response": "output"},
        ),
        (  # a multiple-choice answer is no length, and a text beside a prompt is not its continuation
            {"prompt": "a", "context": "b", "answer": "C", "output_tokens": 7},
            {"prompt": "prompt", "output_tokens": "output_tokens"},
        ),
        (
            {"prompt": "a", "output_tokens": 7, "conv_id": "x", "turn": 0, "client_id": 3, "finish_reason": "stop"},
            {
                "prompt": "prompt",
                "output_tokens": "output_tokens",
                "tenant": "client_id",
                "conversation": "conv_id",
                "turn": "turn",
                "finish_reason": "finish_reason",
            },
        ),
        (
            {"messages": '[{"role": "user"}]', "output_tokens": 7},
            {"messages": "messages", "output_tokens": "output_tokens"},
        ),
    ],
)
def test_columns_are_known_by_name_and_value(row, expected):
    assert roles(row) == expected


@pytest.mark.parametrize("role", ROLES)
def test_every_name_of_every_role_is_found(role):
    kinds = {
        "messages": [{"role": "user"}],
        "dialogue": [{"role": "user"}],
        **dict.fromkeys(("prompt", "context", "system", "response", "finish_reason"), "word"),
    }
    for name in ROLES[role].names:
        row = {"instruction" if role == "context" else "prompt": "a", "output_tokens": 5}
        if role in {"output_tokens", "response"}:
            row = {"prompt": "a"}
        if role in {"prompt", "messages", "dialogue"}:
            row = {"output_tokens": 5}
        assert roles({**row, name: kinds.get(role, "7")})[role] == name


def test_a_given_column_overrides_and_an_empty_one_is_none():
    row = {"prompt": "a", "title": "b", "output_tokens": 1, "n": 2, "turn": 3}
    assert roles(row, prompt="title", output_tokens="n", turn="") == {"prompt": "title", "output_tokens": "n"}


def test_a_given_prompt_is_not_joined_by_a_guessed_dialogue():
    row = {"question": "a", "messages": [{"role": "user"}], "output_tokens": 1}
    assert "messages" in roles(row)
    assert roles(row, prompt="question") == {"prompt": "question", "output_tokens": "output_tokens"}


def test_one_odd_row_does_not_hide_a_column():
    rows = [{"prompt": "a", "output_tokens": n} for n in (1, 2, "many", 3)]
    assert guess("file", "JSONL", rows, {}).columns["output_tokens"] == "output_tokens"


@pytest.mark.parametrize(
    ("row", "given", "said"),
    [
        ({"a": 1}, {}, "file: no column holds prompts.*its columns are a"),
        ({"input_length": 3, "output_length": 4}, {}, "no column holds prompts, .* a log of lengths alone"),
        (
            {"prompt": "a"},
            {},
            "no column holds the lengths of answers: name one as output_tokens; its columns are prompt",
        ),
        ({"prompt": "a", "n": 1}, {"output": "n"}, "no role 'output' for a column; known: messages, dialogue"),
        ({"prompt": "a", "n": 1}, {"output_tokens": "m"}, "file: has no column 'm' for output_tokens; .* prompt, n"),
    ],
)
def test_what_cannot_be_told_is_an_error_that_names_the_columns(row, given, said):
    with pytest.raises(TraceError, match=said):
        guess("file", "JSONL", [row], given)


def test_a_guess_reads_as_a_sentence():
    known = guess("file", "CSV", [{"question": "a", "answer": "b", "lang": "en"}], {})
    assert str(known) == (
        "CSV: prompt = question, response = answer; not used: lang; "
        "no column counts the answers' tokens: four characters are taken for one"
    )

"""From rows to calls: what was asked, and how long the answer was."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from soonest.core import Message, Prompt
from soonest.core.prompt import approximate_tokens
from soonest.data.examples.columns import unpacked

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from soonest.data.examples.rows import Row
    from soonest.data.source import Choice

SPEAKERS: Final = {
    **dict.fromkeys(("assistant", "gpt", "chatgpt", "bot", "bing", "bard", "model", "ai"), "assistant"),
    **dict.fromkeys(("user", "human", "prompter"), "user"),
}
SAID: Final = ("content", "value", "text")
COUNTED: Final = ("tokens", "output_tokens", "token_count", "num_tokens")
CUT: Final = frozenset({"length", "max_tokens", "max_output_tokens"})
LONGEST_TALK: Final = 1000  # earlier turns that a prompt is given
DEFAULTS: Final = Prompt(())


class Call(NamedTuple):
    """A prompt and its answer's tokens, 0 where there is none; the call's place in its conversation."""

    prompt: Prompt
    tokens: int
    censored: bool
    turn: float | None = None
    history: int | None = None


def calls_of(row: Row, choice: Choice, cut: int | None) -> Iterator[Call]:
    """The calls of one row, of the chosen model.

    A count may be an object from models to tokens: then each model answered the prompt. A dialogue without a count has
    an answer in each of the model's turns. An answer is cut where the row says so (`finish_reason`), or where it is as
    long as the request's limit, or as `cut`.
    """
    if "dialogue" in row.columns and not {"output_tokens", "response"} & row.columns.keys():
        answers = _spoken(row, _turns(row, "dialogue"))
    else:
        answers = _counted(row)
    facts = _facts(row)
    limit = facts["max_tokens"]
    named = row.word("model")
    ended = row.word("finish_reason").lower() in CUT
    turn, history = row.number("turn"), row.count("history_tokens")
    for messages, who, tokens in answers:
        model = who or named
        if choice.model is not None:
            choice.met.add(model)
            if model != choice.model:
                continue
        prompt = Prompt(messages, model=model, **facts)  # type: ignore[arg-type]
        long = tokens >= limit or (cut is not None and tokens >= cut)  # type: ignore[operator]
        yield Call(prompt, tokens if messages else 0, ended or long, turn, history)


def asked(row: Row) -> Prompt:
    """What a row asks, whether or not it was answered."""
    role = next((role for role in ("messages", "dialogue") if role in row.columns), None)
    messages = _question(row) if role is None else _system(row) + _turns(row, role)
    while messages and messages[-1].role == "assistant":
        messages = messages[:-1]
    return Prompt(messages, model=row.word("model"), **_facts(row))  # type: ignore[arg-type]


def linked(calls: Sequence[Call]) -> Iterator[Call]:
    """Calls that know the turns before them, in the order given.

    The turns of one conversation with one model, by `turn`, are each other's history: the user's text, and the answer
    as a message of its length without text, as a host sees it that keeps no text. Where `history` counts more tokens
    than these have, a message of the rest stands before them.
    """
    talks: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for i, call in enumerate(calls):
        if call.prompt.conversation:
            talks[call.prompt.conversation, call.prompt.model].append(i)
    made = list(calls)
    for rows in talks.values():
        earlier: list[Message] = []
        known = 0
        for i in sorted(rows, key=lambda i: calls[i].turn or 0):
            call = calls[i]
            *rules, question = call.prompt.messages
            missing = (call.history or 0) - known
            before = [Message("assistant", "", missing)] if missing > 0 else []
            messages = (*rules, *before, *earlier[-LONGEST_TALK:], question)
            made[i] = call._replace(prompt=replace(call.prompt, messages=messages))
            earlier += [question, Message("assistant", "", call.tokens)]
            known += question.length + call.tokens
    yield from made


def _counted(row: Row) -> Iterator[tuple[tuple[Message, ...], str, int]]:
    """What was asked, with the model where the count names it, and the count or the text's length."""
    role = next((role for role in ("messages", "dialogue") if role in row.columns), None)
    messages = _question(row) if role is None else _turns(row, role)
    said = messages[-1] if role and messages and messages[-1].role == "assistant" else None
    messages = _system(row) + messages[: -1 if said else None] if role else messages
    value = row.value("output_tokens")
    if isinstance(value, Mapping):
        for model, count in value.items():
            yield messages, str(model), row.counted("output_tokens", count, inside=f".{model}") or 0
    elif "output_tokens" in row.columns:
        yield messages, "", row.counted("output_tokens", value) or 0
    elif "response" in row.columns:
        yield messages, "", 0 if row.value("response") is None else approximate_tokens(row.text("response"))
    else:
        yield messages, "", said.length if said else 0


def _spoken(row: Row, turns: tuple[Message, ...]) -> Iterator[tuple[tuple[Message, ...], str, int]]:
    """Each turn of the model that answers one of somebody else, after all turns before it; if none does, no answer."""
    system = _system(row)
    places = [i for i in range(1, len(turns)) if turns[i].role == "assistant" != turns[i - 1].role]
    for i in places:
        yield system + turns[:i], "", turns[i].length
    if not places:
        yield turns, "", 0


def _question(row: Row) -> tuple[Message, ...]:
    text = row.text("prompt")
    if "context" in row.columns and row.value("context"):
        text = f"{text}\n\n{row.text('context')}"
    return (*_system(row), Message("user", text))


def _system(row: Row) -> tuple[Message, ...]:
    return (Message("system", row.text("system")),) if row.value("system") else ()


def _turns(row: Row, role: str) -> tuple[Message, ...]:
    turns = unpacked(row.value(role))
    if not isinstance(turns, list):
        raise row.wrong(role, "need a list of turns")
    return tuple(_message(row, role, i, turn) for i, turn in enumerate(turns))


def _message(row: Row, role: str, number: int, turn: object) -> Message:
    """One turn, in OpenAI's words (`role`, `content`) or ShareGPT's (`from`, `value`); images are left out."""
    if not isinstance(turn, Mapping):
        raise row.wrong(role, "need an object with who speaks and what is said", f"[{number}]")
    key = next((key for key in SAID if key in turn), SAID[0])
    content = turn.get(key)
    if content is not None and not isinstance(content, (str, list)):
        raise row.wrong(role, "need a text", f"[{number}].{key}")
    (message,) = Prompt.from_body({"messages": [{"content": content}]}).messages
    speaker = turn.get("role", turn.get("from"))
    who = speaker.lower() if isinstance(speaker, str) else ""
    count = next((turn[key] for key in COUNTED if key in turn), None)
    return Message(SPEAKERS.get(who, who), message.text, row.counted(role, count, inside=f"[{number}]"))


def _facts(row: Row) -> dict[str, object]:
    """What a row says of its request, under the names of `Prompt`."""
    name = row.word("id")
    conversation = row.word("conversation")
    if "dialogue" in row.columns and "conversation" not in row.columns:
        name, conversation = "", name
    limit = row.count("max_tokens", low=-1) or 0  # logs write 0 or -1 for none
    return {
        "id": name,
        "tenant": row.word("tenant"),
        "conversation": conversation,
        "prompt_tokens": row.count("prompt_tokens"),
        "max_tokens": min(limit, DEFAULTS.max_tokens) if limit > 0 else DEFAULTS.max_tokens,
        "temperature": row.number("temperature"),
    }

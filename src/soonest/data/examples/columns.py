"""Which column of a file is what: guessed from names and values, and shown to whoever asked."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from soonest.core import TraceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

DEEPEST: Final = 3
"""Levels of objects in objects whose fields may be columns, such as `response.usage.completion_tokens`."""
CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
NO_LETTER: Final = re.compile(r"[^a-z0-9]+")


def is_text(value: object) -> bool:
    """A text."""
    return isinstance(value, str)


def is_number(value: object) -> bool:
    """A number, or a text that is one."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return False
    try:
        float(value)
    except (ValueError, OverflowError):
        return False
    return True


def is_count(value: object) -> bool:
    """A number, or an object from models to numbers."""
    if isinstance(value, Mapping):
        return any(map(is_number, value.values())) and all(n is None or is_number(n) for n in value.values())
    return is_number(value)


def is_turns(value: object) -> bool:
    """A list of objects, or its JSON."""
    found = unpacked(value)
    return isinstance(found, list) and any(isinstance(turn, Mapping) for turn in found)


def is_word(value: object) -> bool:
    """A name: a text or a whole number."""
    return isinstance(value, (str, int)) and not isinstance(value, bool)


def unpacked(value: object) -> object:
    """A list; tables without lists keep it as JSON, which is read."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


class Role(NamedTuple):
    """What a column may be: the names it goes by, the likeliest first, what its values look like, and a sentence."""

    names: tuple[str, ...]
    fits: Callable[[object], bool]
    about: str


ROLES: Final[Mapping[str, Role]] = {
    "messages": Role(
        ("messages", "input_messages"),
        is_turns,
        "the turns of one request; the model's, if it is the last, is the answer",
    ),
    "dialogue": Role(
        ("conversations", "conversation", "dialogue", "dialog", "turns", "chat"),
        is_turns,
        "a whole dialogue: each of the model's turns is an answer",
    ),
    "prompt": Role(
        ("prompt", "text_input", "question", "instruction", "query", "user_prompt", "input_text", "input", "text"),
        is_text,
        "the text of a single question",
    ),
    "context": Role(("input", "context"), is_text, "text that follows an `instruction` or a `question`"),
    "system": Role(("system", "system_prompt", "system_message"), is_text, "the system message"),
    "output_tokens": Role(
        (
            "output_tokens",
            "output_length",
            "completion_tokens",
            "response_tokens",
            "answer_tokens",
            "generated_tokens",
            "num_output_tokens",
            "output_token_count",
            "output_len",
            "response_length",
        ),
        is_count,
        "tokens of the answer, or an object from models to tokens",
    ),
    "response": Role(
        ("response", "output", "completion", "answer", "generated_text", "response_text", "generation"),
        is_text,
        "the answer's text, where nobody counted: four characters are a token",
    ),
    "model": Role(("model", "model_name", "model_id"), is_word, "who answered"),
    "tenant": Role(("tenant", "tenant_id", "client_id", "user_id", "customer_id"), is_word, "who asked"),
    "conversation": Role(
        ("conv_id", "conversation_id", "session_id", "chat_id", "thread_id", "dialogue_id", "session", "conversation"),
        is_word,
        "what the calls of one dialogue share",
    ),
    "id": Role(("id", "request_id"), is_word, "the request's name; a dialogue's where nothing else names it"),
    "turn": Role(("turn", "turn_id", "turn_index"), is_number, "the call's place in its conversation"),
    "history_tokens": Role(("history_tokens",), is_number, "tokens of the conversation before the call"),
    "prompt_tokens": Role(
        ("prompt_tokens", "input_tokens", "input_length", "prompt_len", "num_prompt_tokens"),
        is_number,
        "tokens of the whole prompt",
    ),
    "max_tokens": Role(
        ("max_tokens", "max_completion_tokens", "max_new_tokens", "max_output_tokens"),
        is_number,
        "the request's limit; an answer as long was cut",
    ),
    "finish_reason": Role(("finish_reason", "stop_reason"), is_text, "`length` or `max_tokens`: the answer was cut"),
    "temperature": Role(("temperature",), is_number, "the sampling temperature"),
}
"""What a column can be."""
QUESTIONS: Final = ("messages", "dialogue", "prompt")
INSTRUCTIONS: Final = frozenset({"instruction", "question"})


@dataclass(frozen=True, slots=True)
class Guess:
    """Which column of a file plays which role; `str` of it is what a person reads.

    A column is a field of a row, or a field of an object in a field, such as `usage.completion_tokens`; `needed` are
    the fields they lie in, `unused` the others.
    """

    format: str
    columns: Mapping[str, str]
    needed: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        said = ", ".join(f"{role} = {name}" for role, name in self.columns.items())
        unused = f"; not used: {', '.join(self.unused)}" if self.unused else ""
        return f"{self.format}: {said}{unused}" + "".join(f"; {note}" for note in self.notes)


def guess(
    source: str, form: str, rows: Sequence[Mapping[str, object]], given: Mapping[str, str], *, answers: bool = True
) -> Guess:
    """The roles of the columns of these first rows of `source`; what is `given` overrides, and "" is none.

    Raises:
        TraceError: a given role or column does not exist, or nothing holds prompts, or the lengths of answers.
    """
    seen = _values(rows)
    top = list(dict.fromkeys(name for row in rows for name in row))
    for role, name in given.items():
        if role not in ROLES:
            raise TraceError(f"no role {role!r} for a column; known: {', '.join(ROLES)}")
        if name and name not in seen and name not in top:
            raise TraceError(f"{source}: has no column {name!r} for {role}; its columns are {', '.join(top)}")
    asked = next((role for role in QUESTIONS if given.get(role)), None)
    found: dict[str, str] = {}
    for role, (names, fits, _) in ROLES.items():
        taken = {*found.values(), *given.values()}
        fitting = (n for n in _named(names, seen) if n not in taken and _mostly(fits, seen[n]))
        settled = role in QUESTIONS and (asked or any(question in found for question in QUESTIONS))
        column = given.get(role, None if settled else next(fitting, None))
        if column:
            found[role] = column
    if "context" in found and "context" not in given and _plain(found.get("prompt", "")) not in INSTRUCTIONS:
        del found["context"]
    if "output_tokens" in found and "response" not in given:
        found.pop("response", None)
    _check(source, found, top, answers=answers)
    needed = tuple(dict.fromkeys(n if n in top else n.partition(".")[0] for n in found.values()))
    estimated = answers and "output_tokens" not in found
    notes = ("no column counts the answers' tokens: four characters are taken for one",) if estimated else ()
    return Guess(form, found, needed, tuple(str(name) for name in top if name not in needed), notes)


def value_of(row: Mapping[str, object], name: str) -> object:
    """A field, or a field of an object in a field: `usage.completion_tokens`; `None` where there is none."""
    if name in row:
        return row[name]
    head, dot, rest = name.partition(".")
    inner = row.get(head)
    return value_of(inner, rest) if dot and isinstance(inner, Mapping) else None


def _check(source: str, found: Mapping[str, str], top: Sequence[str], *, answers: bool) -> None:
    columns = f"its columns are {', '.join(map(str, top)) or 'none'}"
    if not any(role in found for role in QUESTIONS):
        raise TraceError(
            f"{source}: no column holds prompts, and a forecast is made from a prompt; a log of lengths alone serves "
            f"`soonest sim`; name a column as prompt, messages or dialogue; {columns}"
        )
    if answers and not {"output_tokens", "response", "messages", "dialogue"} & found.keys():
        raise TraceError(f"{source}: no column holds the lengths of answers: name one as output_tokens; {columns}")


def _values(rows: Sequence[Mapping[str, object]]) -> dict[str, list[object]]:
    """The values of each column, those that lie in objects under dotted names, the shallow first."""
    seen: dict[str, list[object]] = {}
    for row in rows:
        for name, value in _fields(row, DEEPEST):
            if value not in (None, "", [], {}):
                seen.setdefault(name, []).append(value)
    return dict(sorted(seen.items(), key=lambda item: item[0].count(".")))


def _fields(row: Mapping[str, object], depth: int) -> Iterator[tuple[str, object]]:
    for name, value in row.items():
        yield str(name), value
        if depth > 1 and isinstance(value, Mapping):
            yield from ((f"{name}.{inner}", v) for inner, v in _fields(value, depth - 1))


def _named(names: Sequence[str], seen: Mapping[str, object]) -> Iterator[str]:
    """The columns that go by one of these names, the likeliest name first, however it is written."""
    for name in names:
        yield from (column for column in seen if _plain(column.rpartition(".")[2]) == name)


def _plain(name: str) -> str:
    return NO_LETTER.sub("_", CAMEL.sub("_", name).lower()).strip("_")


def _mostly(fits: Callable[[object], bool], values: Sequence[object]) -> bool:
    return 2 * sum(map(fits, values)) >= len(values)

"""Answers that are free: stories and opinions, which first say how long they will be, and the form of a right one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from soonest.engines.tiny import words

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Choice = Callable[[Sequence[str]], str]

THE_END: Final = "The end."
PLAN: Final = re.compile(r"(?:A story in (\d+) parts|I like [a-z]+\. I have (\d+) reasons?)\.")
SHORT: Final = re.compile(r"(?:Yes|No|I like it|I do not know)\.")
REASONS: Final = ("It is good.", "It is new to me.", "It is not big.", "I see it every day.", "My friends like it.")


def numbered(items: Sequence[str]) -> str:
    """A line for each, with its number."""
    return "\n".join(f"{i}. {item}" for i, item in enumerate(items, 1))


def story(hero: str, place: str, parts: int, one: Choice) -> str:
    """Scenes in turn; after each round, another friend and another thing."""
    lines, friend, thing = [], "", ""
    for i in range(parts):
        if i % len(words.SCENES) == 0:
            friend, thing = one(words.FRIENDS), one(words.FOUND)
        scene = words.SCENES[i % len(words.SCENES)]
        lines.append(scene.format(hero=hero, place=place, friend=friend, thing=thing))
    return f"A story in {parts} parts.\n{numbered(lines)}\n{THE_END}"


def opinion(thing: str, reasons: int, one: Choice) -> str:
    """A word, or as many reasons as it says."""
    if not reasons:
        return one(("Yes.", "No.", "I like it.", "I do not know."))
    plan = f"I like {thing}. I have {reasons} reason{'s' if reasons > 1 else ''}."
    return f"{plan}\n{numbered([one(REASONS) for _ in range(reasons)])}"


def told(text: str) -> bool:
    """Whether a story has the parts that it announced."""
    lines = text.split("\n")
    return lines[-1] == THE_END and _kept(lines[:-1])


def argued(text: str) -> bool:
    """Whether an opinion is short, or has the reasons that it announced."""
    return SHORT.fullmatch(text) is not None or (text.endswith(".") and _kept(text.split("\n")))


def _kept(lines: Sequence[str]) -> bool:
    plan = PLAN.fullmatch(lines[0])
    numbers = [line.partition(".")[0] for line in lines[1:]]
    return plan is not None and numbers == [str(i) for i in range(1, int(plan[1] or plan[2]) + 1)]


FORMS: Final[dict[str, Callable[[str], bool]]] = {"story": told, "opinion": argued}
"""How a right answer of a free task is told."""

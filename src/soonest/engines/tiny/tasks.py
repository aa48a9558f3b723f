"""What the tiny model was taught: small tasks whose answers' lengths depend, more or less, on what is asked."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from soonest.engines.tiny import stories, words

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

HELP: Final = "I can count, spell, list, repeat and tell stories."


@dataclass(frozen=True, slots=True)
class Example:
    """A question with an answer to it; where answers are free, a right one is told by its form."""

    task: str
    prompt: str
    answer: str

    def right(self, text: str) -> bool:
        """Whether a text answers the question."""
        form = stories.FORMS.get(self.task)
        return text == self.answer if form is None else form(text)


class Dice:
    """Random draws with the words for them."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)

    def one(self, items: Sequence[str]) -> str:
        """Any of them."""
        return items[int(self._rng.integers(len(items)))]

    def count(self, low: int, high: int) -> int:
        """A whole number from low to high."""
        return int(self._rng.integers(low, high + 1))

    def skewed(self, median: float, spread: float, low: int, high: int) -> int:
        """Log-normal, rounded and held within low and high."""
        return min(high, max(low, round(median * math.exp(spread * float(self._rng.normal())))))

    def chance(self, share: float) -> bool:
        """True in this share of cases."""
        return float(self._rng.random()) < share


def example(dice: Dice) -> Example:
    """A task drawn by its weight, and a question of it."""
    at = dice.count(1, sum(weight for weight, _ in TASKS.values()))
    for name, (weight, draw) in TASKS.items():
        at -= weight
        if at <= 0:
            return Example(name, *draw(dice))
    raise AssertionError


def _greet(dice: Dice) -> tuple[str, str]:
    asked = dice.one(("Hello", "Hi", "Good day", "Thanks", "Thank you", "Bye"))
    answers = {"Thanks": "You are welcome.", "Thank you": "You are welcome.", "Bye": "Bye!"}
    return asked + dice.one(("", "!", ".")), answers.get(asked, "Hello! How can I help?")


def _sum(dice: Dice) -> tuple[str, str]:
    a, b = dice.count(0, 10), dice.count(0, 10)
    return dice.one(("What is {} plus {}?", "How much is {} plus {}?", "Add {} and {}.")).format(a, b), str(a + b)


def _next(dice: Dice) -> tuple[str, str]:
    kind, names = ("day", words.DAYS) if dice.chance(0.5) else ("month", words.MONTHS)
    at = dice.count(0, len(names) - 1)
    return f"Which {kind} comes after {names[at]}?", names[(at + 1) % len(names)]


def _opposite(dice: Dice) -> tuple[str, str]:
    pair = words.OPPOSITES[dice.count(0, len(words.OPPOSITES) - 1)]
    turn = dice.count(0, 1)
    return f"What is the opposite of {pair[turn]}?", pair[1 - turn]


def _larger(dice: Dice) -> tuple[str, str]:
    a, b = dice.count(0, 50), dice.count(0, 50)
    return f"Which is larger, {a} or {b}?", str(max(a, b))


def _spell(dice: Dice) -> tuple[str, str]:
    word = dice.one(words.SPELLED)
    asked = dice.one(("Spell {}.", "Spell the word {}.", "How do you spell {}?")).format(word)
    return asked, "-".join(word)


def _say(dice: Dice) -> tuple[str, str]:
    word, n = dice.one(words.SPELLED), dice.count(1, 5)
    times = "once" if n == 1 else f"{n} times"
    return dice.one(("Say {} {}.", "Repeat the word {} {}.")).format(word, times), f"Sure: {' '.join([word] * n)}"


def _echo(dice: Dice) -> tuple[str, str]:
    said = " ".join(dice.one(words.SPELLED) for _ in range(dice.skewed(7, 0.7, 1, 30)))
    return f"Repeat after me: {said}", f"You said: {said}"


def _count(dice: Dice) -> tuple[str, str]:
    n, low = dice.skewed(18, 0.9, 2, 130), 1
    if dice.chance(0.4):
        low = dice.count(0, max(0, min(60, 150 - n)))
    high = low + n - 1
    if dice.chance(0.25):
        asked = dice.one(("Count down from {} to {}.", "Count backwards from {} to {}.")).format(high, low)
        return asked, _row(range(high, low - 1, -1))
    if low == 1 and dice.chance(0.6):
        return dice.one(("Count to {}.", "Please count up to {}.")).format(high), _row(range(1, high + 1))
    asked = dice.one(("Count from {} to {}.", "Please count from {} up to {}.")).format(low, high)
    return asked, _row(range(low, high + 1))


def _steps(dice: Dice) -> tuple[str, str]:
    step = (2, 5, 10)[dice.count(0, 2)]
    high = step * dice.skewed(7, 0.6, 2, 150 // step)
    return f"Count to {high} by {step}s.", _row(range(step, high + 1, step))


def _list(dice: Dice) -> tuple[str, str]:
    kind = dice.one(tuple(words.LISTS))
    n = dice.count(2, len(words.LISTS[kind]))
    asked = dice.one(("List {} {}.", "Name {} {}.", "Give me a list of {} {}.")).format(n, kind)
    return asked, stories.numbered(words.LISTS[kind][:n])


def _write(dice: Dice) -> tuple[str, str]:
    word, n = dice.one(words.SPELLED), dice.skewed(15, 0.7, 3, 60)
    return f"Write {word} {n} times, one a line.", stories.numbered([word] * n)


def _table(dice: Dice) -> tuple[str, str]:
    a, n = dice.count(2, 9), dice.count(3, 12)
    lines = (f"{a} x {i} = {a * i}" for i in range(1, n + 1))
    return f"Write the table of {a} up to {a} x {n}.", "\n".join(lines)


def _letters(dice: Dice) -> tuple[str, str]:
    last = dice.count(ord("b"), ord("z"))
    return f"Say the letters up to {chr(last)}.", "-".join(map(chr, range(ord("a"), last + 1)))


def _story(dice: Dice) -> tuple[str, str]:
    hero, place = dice.one(words.HEROES), dice.one(words.PLACES)
    size, factor = (("", 1.0), ("", 1.0), ("short ", 0.5), ("long ", 2.2))[dice.count(0, 3)]
    where = f" in the {place}" if dice.chance(0.6) else ""
    usual = factor * words.HERO_PARTS[hero] * (words.PLACE_FACTOR[place] if where else 1.0)
    ask = dice.one(("Tell me a {}story about a {}{}.", "Tell a {}story about a {}{}.", "Write a {}story of a {}{}."))
    asked = ask.format(size, hero, where)
    return asked, stories.story(hero, place, dice.skewed(usual, 0.4, 2, 40), dice.one)


def _opinion(dice: Dice) -> tuple[str, str]:
    thing = dice.one(words.SPELLED)
    reasons = dice.skewed(1 + words.LIKED[thing] / 2, 0.5, 0, 12)
    asked = dice.one(("What do you think of {}?", "Do you like {}?", "Tell me what you think of {}.")).format(thing)
    return asked, stories.opinion(thing, 0 if dice.chance(0.3) else reasons, dice.one)


def _other(dice: Dice) -> tuple[str, str]:
    """Something that no task asks: its words, or odd signs."""
    pool = (*words.SPELLED, *words.DAYS, "why", "how", "please", "the", "is", "what", "when", "and", "you", "make")
    said = " ".join(dice.one(pool) for _ in range(dice.count(1, 12)))
    if dice.chance(0.3):
        said = "".join(chr(dice.count(33, 0x17F if dice.chance(0.3) else 126)) for _ in range(dice.count(1, 12)))
    return said + dice.one(("?", ".", "", "!")), HELP


def _row(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))


TASKS: Final[dict[str, tuple[int, Callable[[Dice], tuple[str, str]]]]] = {
    "greet": (2, _greet),
    "sum": (5, _sum),
    "next": (3, _next),
    "opposite": (3, _opposite),
    "larger": (5, _larger),
    "spell": (8, _spell),
    "say": (6, _say),
    "echo": (8, _echo),
    "count": (19, _count),
    "steps": (4, _steps),
    "list": (8, _list),
    "write": (7, _write),
    "table": (6, _table),
    "letters": (3, _letters),
    "story": (24, _story),
    "opinion": (6, _opinion),
    "other": (2, _other),
}
"""Each task with how often it is asked, of a hundred or so."""

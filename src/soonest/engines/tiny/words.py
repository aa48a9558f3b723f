"""The words of the tiny model's world: what it can list, spell, compare with its opposite, or tell a story about."""

from __future__ import annotations

from typing import Final


def _split(row: str) -> tuple[str, ...]:
    return tuple(row.split())


LISTS: Final[dict[str, tuple[str, ...]]] = {
    "animals": _split("cat dog horse cow sheep goat pig hen duck lion bear wolf fox deer frog"),
    "fruits": _split("apple pear plum grape lemon melon peach cherry mango banana orange fig"),
    "colours": _split("red blue green yellow white black brown pink grey purple gold silver"),
    "tools": _split("hammer saw drill axe rake spade knife brush rope nail ladder wrench"),
    "foods": _split("bread rice soup cake cheese egg milk salt honey butter pasta pie"),
    "clothes": _split("shirt coat hat shoe sock scarf glove belt boot dress skirt tie"),
}
"""Kinds of things; a list of n of them is the first n."""

DAYS: Final = _split("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")
MONTHS: Final = _split("January February March April May June July August September October November December")
OPPOSITES: Final = (
    ("hot", "cold"), ("big", "small"), ("fast", "slow"), ("old", "new"), ("up", "down"), ("day", "night"),
    ("open", "closed"), ("full", "empty"), ("wet", "dry"), ("light", "dark"), ("rich", "poor"), ("loud", "quiet"),
)  # fmt: skip

SPELLED: Final = tuple(word for words in LISTS.values() for word in words)
"""What it can spell and repeat."""

HEROES: Final = _split("fox bear cat dog wolf horse frog lion duck goat king queen girl boy pirate robot")
PLACES: Final = _split("forest city castle garden desert village harbour school")
FRIENDS: Final = _split("sheep hen deer baker sailor farmer")
FOUND: Final = _split("hat apple rope cake boot spade coat lemon")

HERO_PARTS: Final = dict(zip(HEROES, (3, 5, 4, 3, 8, 6, 3, 7, 4, 5, 12, 10, 6, 4, 14, 9), strict=True))
"""How many parts a story of each hero usually has."""
PLACE_FACTOR: Final = dict(zip(PLACES, (1.0, 1.4, 1.8, 0.8, 1.2, 0.9, 1.5, 0.7), strict=True))
"""How many times as many where it is set in each place."""
LIKED: Final = {word: i * 37 % 11 for i, word in enumerate(SPELLED)}
"""How fond the model is of a thing, from 0 to 10: what it is fond of it has more reasons for."""

SCENES: Final = (
    "The {hero} lived in the {place}.",
    "The {hero} met a {friend}.",
    "The {friend} had lost a {thing}.",
    "They looked for it all day.",
    "The {hero} found the {thing}.",
    "The {friend} was very happy.",
    "They had a big cake.",
    "Then it was night and the {hero} slept.",
    "It was cold and wet the next day.",
    "The {hero} went out of the {place}.",
    "A loud wolf came by.",
    "The {hero} ran home.",
)
"""A story goes through these scenes in turn, and round again with another friend and another thing."""

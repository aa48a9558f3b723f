"""One line of a comparison: a policy and what it is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from soonest.core import PolicyError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


@dataclass(frozen=True, slots=True)
class Arm:
    """A policy's words and its forecasts' words: `shortest@oracle`."""

    policy: str
    forecast: str

    @property
    def label(self) -> str:
        """How tables name it."""
        return f"{self.policy}@{self.forecast}"


def arms(words: Iterable[str], forecast: str) -> list[Arm]:
    """Read `fcfs,shortest@oracle,a_min(live)`, several times over; where no forecast is named, `forecast` is used.

    Raises:
        PolicyError: nothing is named, or the same twice.
    """
    found = []
    for part in (p for w in words for p in split(w)):
        policy, at, own = part.rpartition("@")
        found.append(Arm(policy.strip(), own.strip()) if at else Arm(part, forecast))
    if not found:
        raise PolicyError("name at least one policy, for example fcfs,shortest")
    if len(set(found)) < len(found):
        raise PolicyError(f"a policy is named twice with the same forecast: {', '.join(a.label for a in found)}")
    return found


def split(words: str) -> Iterator[str]:
    """The parts between commas that stand in no parentheses."""
    depth = start = 0
    for i, letter in enumerate(words):
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            yield words[start:i].strip()
            start = i + 1
    if words[start:].strip():
        yield words[start:].strip()

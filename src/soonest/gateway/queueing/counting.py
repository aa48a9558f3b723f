"""Tokens of a prompt that nobody has counted: characters over a ratio that is learned from answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from soonest.core.prompt import CHARACTERS_A_TOKEN

if TYPE_CHECKING:
    from soonest.core import Prompt

WEIGHT: Final = 0.05
TEMPLATE: Final = 4.0
"""Tokens that a chat template adds to a message, about."""


class PromptTokens:
    """Estimates prompt tokens by characters, and learns how many make a token from what engines report as usage."""

    def __init__(self) -> None:
        self.characters_a_token = float(CHARACTERS_A_TOKEN)
        self._learned = 0

    def estimate(self, prompt: Prompt) -> int:
        """Tokens, at least 1."""
        template = TEMPLATE * len(prompt.messages)
        return max(1, round(characters(prompt) / self.characters_a_token + template))

    def learn(self, prompt: Prompt, tokens: int) -> None:
        """The engine counted so many; the first answers count more, so that the prior is soon forgotten."""
        if tokens < 1:
            return
        self._learned += 1
        weight = max(WEIGHT, 1 / (self._learned + 1))
        text = tokens - TEMPLATE * len(prompt.messages)
        if text > 0 and (length := characters(prompt)) > 0:
            seen = min(max(length / text, 0.1), 100.0)
            self.characters_a_token += weight * (seen - self.characters_a_token)


def characters(prompt: Prompt) -> int:
    """Of all turns."""
    return sum(len(message.text) for message in prompt.messages)

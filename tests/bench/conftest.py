"""A fake engine over real TCP, and calls whose answers have the length that they name."""

import pytest
from tests.fakes.engine import running

from soonest.bench import Call
from soonest.core import Prompt


@pytest.fixture
def fake():
    """Starts fake engines; all end with the test."""
    opened = []

    def start(**options):
        manager = running(**options)
        opened.append(manager)
        return manager.__enter__()

    yield start
    for manager in opened:
        manager.__exit__(None, None, None)


@pytest.fixture
def asking():
    """Calls for answers of these lengths."""

    def calls(*tokens, more=""):
        return [Call(Prompt.of(f"{i} tokens={n} {more}", max_tokens=1000)) for i, n in enumerate(tokens)]

    return calls

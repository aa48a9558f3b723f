"""What the models see of a prompt: its n-grams and its facts."""

from __future__ import annotations

from typing import TYPE_CHECKING
from zlib import crc32

from soonest.predict.text.facts import facts
from soonest.predict.text.ngrams import grams
from soonest.predict.text.tokens import ends, texts

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from soonest.core import Prompt
    from soonest.predict.text.ngrams import Grams


def features(prompts: Sequence[Prompt]) -> tuple[Grams, NDArray[np.float64]]:
    """The n-grams and the facts of at least one prompt."""
    views = [ends(prompt.text) for prompt in prompts]
    cut = texts(views)
    return grams(cut, [_marks(prompt) for prompt in prompts]), facts(prompts, views, cut)


def name_hash(name: str) -> int:
    """A model's name as 32 bits, the same everywhere."""
    return crc32(name.encode("utf-8", "surrogatepass"))


def _marks(prompt: Prompt) -> list[int]:
    """Hashes of the model, the tenant and the system messages."""
    words = [f"model {prompt.model}", f"tenant {prompt.tenant}"]
    words += [f"system {ends(m.text)}" for m in prompt.earlier if m.role in {"system", "developer"}]
    return [name_hash(word) for word in words]

"""A tiny real language model that comes with the package, forecasts of its answers, and questions for it.

What it was taught is in `tasks`, how it was made in its model card. Nothing here loads PyTorch.
"""

from pathlib import Path

from soonest.engines.tiny.tasks import Dice, example

__all__ = ["NAME", "forecasts", "path", "prompts"]

NAME = "soonest-tiny"
"""What it is called where it is served."""


def path() -> Path:
    """The model's folder, as Hugging Face's `from_pretrained` and vLLM read it."""
    return Path(__file__).parent / "model"


def forecasts() -> Path:
    """The folder of the predictor that was fitted on the model's answers."""
    return path() / "forecasts"


def prompts(n: int, seed: int = 0) -> list[str]:
    """Questions that the model can answer, the same ones for the same seed."""
    dice = Dice(seed)
    return [example(dice).prompt for _ in range(n)]

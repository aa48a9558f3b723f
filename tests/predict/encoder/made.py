"""Made-up answers for the encoder's tests: some words make them long."""

import numpy as np

from soonest.core import Prompt

TINY = {"model": "tiny", "max_length": 32, "lr": 1e-3, "epochs": 4, "held": 0.2, "device": "cpu"}
LONG = ("essay", "story", "explain", "list")
SHORT = ("name", "yes", "classify", "sum")
OTHER = ("about", "the", "sea", "a", "dog", "seven", "green", "in", "words")


def answers(n=240, seed=0):
    """Prompts, and lengths in tokens that their words tell, up to noise."""
    draw = np.random.default_rng(seed)
    prompts, tokens = [], []
    for i in range(n):
        long = draw.random() < 0.5
        words = [*draw.choice(LONG if long else SHORT, 2), *draw.choice(OTHER, draw.integers(1, 12))]
        model = ("small", "large")[i % 2]
        prompts.append(Prompt.of(" ".join(draw.permutation(words)), model=model, max_tokens=2000))
        tokens.append(int(np.exp(draw.normal(5.5 if long else 3.0, 0.4))) + 1)
    return prompts, tokens


def agreement(forecasts, tokens):
    """The share of pairs of different length that the expected lengths put in the right order; a tie is half right."""
    expected, true = np.array([f.expected for f in forecasts]), np.array(tokens)
    above = np.sign(expected[:, None] - expected[None, :])
    pairs = true[:, None] > true[None, :]
    return ((above[pairs] + 1) / 2).mean()

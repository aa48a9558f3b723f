"""Prompts made up for these tests: the words, a count and the LLM tell the length."""

import numpy as np

from soonest.core import Prompt

VERBS = {"Classify": 3, "Name": 12, "Summarize": 60, "Explain": 180, "Write": 350}
THINGS = ("rivers", "a sorting algorithm", "the French revolution", "two colours", "photosynthesis", "this poem")


def examples(n, seed=0):
    """Prompts and lengths."""
    chance = np.random.default_rng(seed)
    prompts, tokens = [], []
    for _ in range(n):
        verb, thing = chance.choice(list(VERBS)), chance.choice(THINGS)
        model = chance.choice(["terse", "chatty"])
        prompts.append(Prompt.of(f"{verb} {thing}, number {chance.integers(10**6)}.", model=str(model)))
        tokens.append(1 + int(VERBS[verb] * (2 if model == "chatty" else 1) * chance.uniform(0.8, 1.25)))
    return prompts, tokens

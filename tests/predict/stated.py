"""A predictor for tests: it believes the number in the prompt, more or less, and is too sure of itself."""

import numpy as np

from soonest.core import Forecast, Prompt
from soonest.predict import Predictor
from soonest.predict.quantiles import LEVELS, forecast

NORMAL = np.array(
    [-3.5, -2.054, -1.645, -1.282, -0.842, -0.524, -0.253, 0, 0.253, 0.524, 0.842, 1.282, 1.645, 2.054, 3.5]
)


class Stated(Predictor):
    """The number in the prompt times `factor`, to the power `power`, with a log-normal error of `sigma`."""

    name = "stated"

    def __init__(self, sigma: float = 0.1, factor: float = 1.0, power: float = 1.0) -> None:
        self.sigma, self.factor, self.power = sigma, factor, power
        self.learned_ = 0

    @property
    def parameters(self):
        return {"sigma": self.sigma, "factor": self.factor, "power": self.power}

    def fit(self, prompts, tokens, censored=None):  # noqa: ARG002 - it has learned before
        self.learned_ = len(prompts)
        return self

    def predict(self, prompts):
        return [self._one(prompt) for prompt in prompts]

    def _one(self, prompt):
        middle = self.factor * float(prompt.text) ** self.power
        return forecast((middle * np.exp(self.sigma * NORMAL)).tolist(), prompt.max_tokens)


class Silent(Predictor):
    """Knows nothing, ever."""

    name = "silent"

    def fit(self, prompts, tokens, censored=None):  # noqa: ARG002 - it has learned before
        return self

    def predict(self, prompts):
        return [Forecast.unknown(p.max_tokens) for p in prompts]


def answers(n, seed=0, sigma=0.5, wide=0.0, **facts):
    """Prompts that state a number, and answers scattered about it by `sigma`, the more so the longer, by `wide`."""
    chance = np.random.default_rng(seed)
    stated = np.exp(chance.uniform(2, 7, n))
    scatter = sigma + wide * (np.log(stated) - 2) / 5
    tokens = np.maximum(1, np.rint(stated * np.exp(scatter * chance.normal(size=n)))).astype(int)
    prompts = [
        Prompt.of(f"{s:.3f}", id=f"{seed}-{i}", conversation=f"{seed}-{i}", **facts) for i, s in enumerate(stated)
    ]
    return prompts, tokens.tolist()


assert len(NORMAL) == len(LEVELS)

"""Every predictor through the contract; and the contract catches those that break it."""

import pytest

from soonest.core import Forecast, PredictorError, Prompt
from soonest.predict import Constant, Predictor, known_predictors, predictor
from soonest.testing import ODD_PROMPTS, check_predictor

WORDS = (
    "constant",
    "constant(window=50)",
    "history",
    "conformal(constant)",
    "conformal(history, coverage=0.8, strata=2)",
    "online(constant)",
    "online(conformal(history), refit=inline)",
    "ensemble(constant, history)",
    "online(conformal(ensemble(constant, history)))",
    "text",
    "online(conformal(text))",
    "encoder(model=tiny, task=quantile, epochs=2)",
    "encoder(model=tiny, task=multiclass, epochs=2)",
)


@pytest.mark.parametrize("words", WORDS)
def test_every_predictor_keeps_the_contract(words):
    check_predictor(lambda: predictor(words))


def test_every_built_in_predictor_is_checked():
    assert set(known_predictors()) <= {
        name for words in WORDS for name in words.replace("(", " ").replace(",", " ").replace(")", " ").split()
    } | {"text", "encoder"}


class Wrong(Constant):
    """A constant with one fault."""

    name = "wrong"


class Raises(Wrong):
    """It raises on odd text."""

    def predict(self, prompts):
        for prompt in prompts:
            prompt.text.encode()
        return super().predict(prompts)


class Shuffles(Wrong):
    """It answers in another order."""

    def predict(self, prompts):
        return [
            Forecast.exact(min(i + 1, p.max_tokens)) if self.lengths_.count else Forecast.unknown(p.max_tokens)
            for i, p in enumerate(prompts)
        ]


class Boasts(Wrong):
    """It knows before it has learned."""

    def predict(self, prompts):
        return [Forecast.exact(1) for _ in prompts]


class Overruns(Wrong):
    """It forgets the limit."""

    def predict(self, prompts):
        return [Forecast.exact(500) if self.lengths_.count else Forecast.unknown(p.max_tokens) for p in prompts]


class Forgets(Wrong):
    """It saves nothing."""

    def save_state(self, folder):
        Constant().fit([Prompt.of("a")], [3]).save_state(folder)


class Returns(Wrong):
    """It does not return itself."""

    def fit(self, prompts, tokens, censored=None):
        super().fit(prompts, tokens, censored)


class Names(Wrong):
    """What it has learned has no proper name."""

    def __init__(self, window=2000):
        super().__init__(window)
        self.learned = 3


@pytest.mark.parametrize("kind", [Raises, Shuffles, Boasts, Overruns, Forgets, Returns, Names])
def test_a_predictor_that_breaks_the_contract_is_caught(kind, monkeypatch):
    monkeypatch.setattr("soonest.predict.registry.BUILT_IN", {})
    monkeypatch.setitem(
        __import__("soonest.predict.registry", fromlist=["PREDICTORS"]).PREDICTORS.built_in, "wrong", kind
    )
    with pytest.raises((PredictorError, UnicodeEncodeError)):
        check_predictor(kind)


def test_a_predictor_s_words_are_read_like_a_policy_s():
    made = predictor("conformal(history(least=2), coverage=0.8)")
    assert (made.name, made.base.least, made.coverage) == ("conformal", 2, 0.8)
    for words, said in (
        ("nonsense", "known: constant"),
        ("conformal", "missing a required argument: 'base'; it takes: base, coverage"),
        ("conformal(text, coverag=0.8)", "unexpected keyword argument 'coverag'; it takes: base, coverage, window"),
        ("history(1, 2, 3, 4, 5)", "too many positional arguments; it takes: window, templates"),
        ("constant(window=wide)", "can make nothing of window='wide'"),
        ("ensemble(constant, memry=3)", "does not take 'memry'; it takes predictors, memory"),
        ("history(", "cannot read"),
        ("os:getcwd", "no subclass"),
    ):
        with pytest.raises(PredictorError, match=said):
            predictor(words)


@pytest.mark.parametrize(
    ("words", "quick"),
    [
        ("constant", True),
        ("history", True),
        ("text", False),
        ("encoder", False),
        ("conformal(history)", True),
        ("online(conformal(text))", False),
        ("ensemble(constant, history)", True),
        ("ensemble(text, history)", False),
    ],
)
def test_a_predictor_is_quick_if_all_that_it_asks_are(words, quick):
    assert predictor(words).quick is quick


@pytest.mark.parametrize(
    ("words", "learns"),
    [
        ("constant", True),
        ("history", True),
        ("text", False),
        ("encoder(model=tiny)", False),
        ("conformal(history)", True),
        ("conformal(text)", False),
        ("ensemble(text, history)", True),
        ("ensemble(text, conformal(text))", False),
        ("online(text, every=100, window=200, refit=inline)", True),
        ("online(text, refit=never)", False),
        ("online(history, refit=never)", True),
    ],
)
def test_a_predictor_learns_without_a_fit_if_something_in_it_does(words, learns):
    made = predictor(words)
    assert made.learns is learns
    known = False
    for i in range(400):
        items = 1 + 7 * i % 9
        prompt = Prompt.of(f"List {items} rivers.", id=f"{i}")
        known |= made.predict([prompt])[0].known
        made.update(prompt, 10 * items)
    assert known is learns


def test_odd_prompts_are_odd():
    assert any(len(p.text) >= 1_000_000 for p in ODD_PROMPTS)
    assert isinstance(predictor("constant"), Predictor)

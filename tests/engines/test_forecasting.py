import asyncio
import logging
import time

import httpx2 as httpx
import pytest
from tests.engines.servers import serving
from typer.testing import CliRunner

from soonest.cli import app
from soonest.core import Forecast, Message, Prompt
from soonest.engines.server.forecasting import Forecasting, prompts
from soonest.predict import predictor


class Told:
    """A predictor that says what it was told to, and remembers what it hears."""

    def __init__(self, say=lambda _: Forecast.exact(7)):
        self.say, self.heard = say, []

    def predict(self, asked):
        return [self.say(prompt) for prompt in asked]

    def update(self, prompt, tokens, censored=False):  # noqa: FBT002 - as predictors have it
        self.heard.append((prompt.text, tokens, censored))


def ask(forecasting, text="one"):
    return asyncio.run(forecasting.forecast(Prompt.of(text)))


def test_without_a_predictor_nothing_is_forecast():
    assert ask(Forecasting()) is None


def test_a_predictor_is_asked():
    assert ask(Forecasting(Told())).expected == 7


def test_one_that_fails_gives_no_forecast_and_is_counted():
    def fail(_):
        raise RuntimeError("broken")

    forecasting = Forecasting(Told(fail))
    assert ask(forecasting) is None
    assert forecasting.failures == 1


def test_one_that_is_late_gives_no_forecast():
    forecasting = Forecasting(Told(lambda _: time.sleep(0.5)), budget=0.05)
    began = time.monotonic()

    async def run():
        assert await forecasting.forecast(Prompt.of("one")) is None
        return time.monotonic() - began

    assert asyncio.run(run()) < 0.4
    assert forecasting.failures == 1


def test_it_learns_out_of_the_way():
    told = Told()
    forecasting = Forecasting(told)
    forecasting.learn(Prompt.of("one"), 5, censored=True)
    ask(forecasting)  # behind it in the same thread
    assert told.heard == [("one", 5, True)]


@pytest.mark.parametrize(
    ("body", "counts", "texts"),
    [
        ({"prompt": "one"}, [1], ["one"]),
        ({"prompt": ["one", "two"]}, [1, 1], ["one", "two"]),
        ({"prompt": [3, 4]}, [2], [""]),
        ({"messages": [{"role": "user", "content": "one"}]}, [5], ["one"]),
    ],
)
def test_each_prompt_of_a_body_is_forecast_by_itself(body, counts, texts):
    found = prompts(body, counts, "id")
    assert [prompt.text for prompt in found] == texts
    assert [prompt.prompt_tokens for prompt in found] == counts
    assert len({prompt.id for prompt in found}) == len(counts)


@pytest.mark.slow
def test_the_server_asks_a_folder_and_teaches_it(model_folder, tmp_path):
    """A predictor that knows long questions from short ones puts the short ones first."""
    asked = [Prompt((Message("user", word),)) for word in ("long", "short") * 30]
    predictor("history").fit(asked, [60, 4] * 30).save_pretrained(tmp_path / "folder")
    ended = []

    async def one(client, word, tokens):
        body = {"messages": [{"role": "user", "content": word}], "max_tokens": tokens, "ignore_eos": True}
        answer = await client.post("/v1/chat/completions", json=body)
        assert answer.status_code == 200
        ended.append(word)

    async def run(url):
        async with httpx.AsyncClient(base_url=url, timeout=60) as client:
            await one(client, "first", 1)
            rest = [asyncio.create_task(one(client, "first", 150))]
            await asyncio.sleep(0.1)
            for word, tokens in (("long", 60), ("long", 60), ("short", 4), ("short", 4)):
                rest.append(asyncio.create_task(one(client, word, tokens)))
                await asyncio.sleep(0.01)
            await asyncio.gather(*rest)

    with serving(model_folder, "--slots", "1", "--predictor", str(tmp_path / "folder")) as server:
        asyncio.run(run(server.url))
        assert "soonest_engine_forecast_failures_total" in httpx.get(f"{server}/metrics").text
    assert ended == ["first", "first", "short", "short", "long", "long"]


@pytest.fixture
def logging_as_it_was():
    """The command sets up logging for a process of its own."""
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)


@pytest.mark.usefixtures("logging_as_it_was")
@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--policy", "a_ell"], "a_ell.*quantum"),
        (["--policy", "nonsense"], "no policy 'nonsense'"),
        (["--predictor", "nowhere"], "no such folder"),
        (["--memory", "3"], "holds no block"),
        (["--max-model-len", "100000"], "takes at most 512 tokens"),
    ],
)
def test_what_cannot_be_is_said_at_the_start(model_folder, words, told):
    done = CliRunner().invoke(app, ["engine", str(model_folder), *words])
    assert isinstance(done.exception, ValueError)
    with pytest.raises(ValueError, match=told):
        raise done.exception


@pytest.mark.usefixtures("logging_as_it_was")
def test_a_model_that_is_not_there_is_said_in_one_line(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    done = CliRunner().invoke(app, ["engine", str(tmp_path / "none")])
    assert "cannot load the model" in str(done.exception)
    assert "\n" not in str(done.exception)

import logging
from functools import partial

import httpx2 as httpx
import pytest
from tests.engines.servers import serving
from tests.real.waves import goes_first, order
from typer.testing import CliRunner

from soonest.cli import app
from soonest.core import Message, Prompt
from soonest.engines.server.asked import prompts
from soonest.predict import predictor


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
    with serving(model_folder, "--slots", "1", "--predictor", str(tmp_path / "folder")) as server:

        def asking(word, tokens):
            body = {"messages": [{"role": "user", "content": word}], "max_tokens": tokens, "ignore_eos": True}
            return lambda: httpx.post(f"{server}/v1/chat/completions", json=body, timeout=60).raise_for_status()

        wave = {"long 1": asking("long", 60), "long 2": asking("long", 60)}
        wave |= {"short 1": asking("short", 4), "short 2": asking("short", 4)}
        busy = [asking("first", 400)]
        running, waiting = (partial(server.metric, f"num_requests_{what}") for what in ("running", "waiting"))
        assert goes_first("short", lambda: order(busy, wave, running=running, waiting=waiting))
        assert "soonest_engine_forecast_failures_total" in httpx.get(f"{server}/metrics").text


@pytest.mark.slow
def test_a_predictor_that_is_stuck_holds_up_neither_the_answers_nor_the_end(model_folder, tmp_path):
    predictor("history").fit([Prompt.of("one")] * 8, [4] * 8).save_pretrained(tmp_path / "folder")
    (tmp_path / "sitecustomize.py").write_text(
        "import time\n"
        "from soonest.predict import History\n"
        "History.quick = False\n"
        "History.predict = lambda *_: time.sleep(600)\n"
    )
    with serving(model_folder, "--predictor", str(tmp_path / "folder"), path=tmp_path) as made:
        assert httpx.post(f"{made}/v1/completions", json={"prompt": "one"}, timeout=30).status_code == 200
        assert "forecast_failures_total" in (text := httpx.get(f"{made}/metrics").text)
        assert float(next(x for x in text.splitlines() if "forecast_failures_total{" in x).split()[-1]) == 1
        made.process.terminate()
        assert made.process.wait(15) == 0


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

"""A forecast comes in time or not at all, and a predictor that fails stops nothing."""

import asyncio
import threading
import time

import pytest

from soonest.core import Forecast, Prompt
from soonest.predict import Constant, Forecasting, Predictor
from soonest.predict.forecasting import MOST_AT_ONCE


class Slow(Predictor):
    """Answers after some seconds, or raises."""

    name = "slow"

    def __init__(self, seconds=0.0, error=None):
        self.seconds, self.error, self.learned, self.batches = seconds, error, [], []
        self.threads = set()

    def predict(self, prompts):
        self.threads.add(threading.current_thread().name)
        self.batches.append(len(prompts))
        time.sleep(self.seconds)
        if self.error:
            raise self.error
        return [Forecast.exact(7) for _ in prompts]

    def update(self, prompt, tokens, censored=False):  # noqa: FBT002 - the contract
        if self.error:
            raise self.error
        self.learned.append((prompt.id, tokens, censored))


def ask(forecasting, n=1):
    async def all_of_them():
        return await asyncio.gather(*(forecasting.ask(Prompt.of("hi", id=str(i))) for i in range(n)))

    return asyncio.run(all_of_them())


def until(holds):
    end = time.monotonic() + 5
    while not holds() and time.monotonic() < end:
        time.sleep(0.005)
    assert holds()


def test_without_a_predictor_nothing_is_known():
    (made,) = ask(Forecasting(None))
    assert not made.forecast.known
    assert made.fallback == ""


def test_a_quick_predictor_is_asked_at_once():
    quick = Constant().fit([Prompt.of("x")] * 20, list(range(1, 21)))
    forecasting = Forecasting(quick)
    (made,) = ask(forecasting)
    assert made.forecast.known
    assert forecasting._thread is None


def test_others_are_asked_in_one_thread_and_in_batches():
    slow = Slow(0.02)
    forecasting = Forecasting(slow, budget=5)
    made = ask(forecasting, 100)
    assert [m.forecast.expected for m in made] == [7] * 100
    assert slow.threads == {"soonest-forecasts"}
    assert sum(slow.batches) == 100
    assert max(slow.batches) > 1
    forecasting.close()


def test_a_predictor_that_takes_too_long_is_not_waited_for():
    forecasting = Forecasting(Slow(10.0), budget=0.05)
    started = time.monotonic()
    made = ask(forecasting, 3)
    assert time.monotonic() - started < 2
    assert {m.fallback for m in made} == {"timeout"}
    assert forecasting.failures == 3
    assert not any(m.forecast.known for m in made)
    forecasting.close()


def test_one_that_is_behind_is_not_asked_more():
    forecasting = Forecasting(Slow(10.0), budget=0.2)
    made = ask(forecasting, 10 * MOST_AT_ONCE)
    assert {m.fallback for m in made} == {"busy", "timeout"}
    forecasting.close()


@pytest.mark.parametrize("error", [RuntimeError("boom"), MemoryError()])
def test_one_that_raises_is_reported_once_and_serving_goes_on(error, caplog):
    slow = Slow(error=error)
    forecasting = Forecasting(slow, budget=5)
    made = ask(forecasting, 20)
    assert {m.fallback for m in made} == {"error"}
    forecasting.learn(Prompt.of("secret"), 3, censored=False)
    until(lambda: len(caplog.records) == 2)
    assert "secret" not in caplog.text
    forecasting.close()


def test_answers_are_learned_from_in_order():
    slow = Slow()
    forecasting = Forecasting(slow)
    for i in range(50):
        forecasting.learn(Prompt.of("x", id=str(i)), i, censored=i % 2 == 0)
    until(lambda: len(slow.learned) == 50)
    assert slow.learned == [(str(i), i, i % 2 == 0) for i in range(50)]
    forecasting.close()


def test_a_request_that_is_cancelled_while_it_waits_for_its_forecast_stays_cancelled():
    forecasting = Forecasting(Slow(10.0), budget=20)

    async def leave():
        task = asyncio.create_task(forecasting.ask(Prompt.of("x")))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(leave())
    forecasting.close()

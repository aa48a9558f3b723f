"""A predictor that fails or dawdles: requests are served in time, and how often it happened is counted."""

import threading
import time

import pytest
from tests.fakes.engine import running as fake_engine
from tests.gateway.clients import asking, chat, until
from tests.gateway.running import running

from soonest.core import Forecast
from soonest.predict import Predictor

BUDGET = 0.1
LATE = 8.0  # seconds that a busy machine may add


class Odd(Predictor):
    """Does to a prompt what it is told, on the gateway's loop if it is `quick`."""

    name = "odd"

    def __init__(self, does, *, quick):
        self.does, self._quick = does, quick
        self.learned = 0

    @property
    def quick(self):
        return self._quick

    def predict(self, prompts):
        return self.does(prompts)

    def update(self, *_):
        self.learned += 1
        raise ValueError("learns nothing")


def fails(_):
    raise RuntimeError("broken")


def forgets(_):
    return []


def babbles(prompts):
    return [17] * len(prompts)


def said_of(gateway):
    """Fallbacks by reason."""
    return dict(gateway.call(lambda: gateway.gateway.series("m").fallbacks.counts))


@pytest.mark.parametrize("quick", [True, False])
@pytest.mark.parametrize("does", [fails, forgets, babbles])
def test_a_predictor_that_fails_costs_its_forecast_alone(does, quick):
    odd = Odd(does, quick=quick)
    settings = {"policy": "shortest", "forecast_budget": 10.0}
    with fake_engine() as fake, running(fake.url, parts={"predictor": odd}, **settings) as gateway:
        answers = asking(*[chat(3)] * 20, url=gateway.url)
        assert [status for status, _, _ in answers] == [200] * 20
        assert not any("x-soonest-forecast" in headers for _, headers, _ in answers)
        assert said_of(gateway) == {"error": 20}
        until(lambda: odd.learned == 20)
        assert asking(chat(3), url=gateway.url)[0][0] == 200
        until(gateway.idle)


def test_a_predictor_that_dawdles_is_not_waited_for():
    wake = threading.Event()

    def dawdles(prompts):
        wake.wait(10)
        return [Forecast.exact(3)] * len(prompts)

    parts = {"predictor": Odd(dawdles, quick=False)}
    with fake_engine() as fake, running(fake.url, parts=parts, forecast_budget=BUDGET, policy="shortest") as gateway:
        started = time.monotonic()
        answers = asking(*[chat(3)] * 200, url=gateway.url)
        assert time.monotonic() - started < BUDGET + LATE
        assert [status for status, _, _ in answers] == [200] * 200
        told = said_of(gateway)
        assert sum(told.values()) == 200
        assert set(told) == {"timeout", "busy"}
        wake.set()
        until(lambda: "x-soonest-forecast" in asking(chat(3), url=gateway.url)[0][1])
        until(gateway.idle)


def test_a_predictor_that_is_stuck_does_not_keep_the_gateway_from_stopping():
    wake = threading.Event()

    def stuck(_):
        wake.wait(10)
        return []

    parts = {"predictor": Odd(stuck, quick=False)}
    with fake_engine() as fake, running(fake.url, parts=parts, forecast_budget=BUDGET) as gateway:
        assert asking(chat(3), url=gateway.url)[0][0] == 200
        started = time.monotonic()
    assert time.monotonic() - started < 5
    wake.set()

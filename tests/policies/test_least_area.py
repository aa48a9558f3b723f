"""What `least_area` promises, and where it loses."""

import numpy as np
import pytest

from soonest.core import Forecast, Rules
from soonest.core.policy import area_left
from soonest.sim import Beliefs, Options, Workload, beliefs, simulate


@pytest.mark.parametrize(("prompt", "generated", "output"), [(0, 0, 1), (3, 0, 7), (5, 2, 7), (4, 6, 7)])
def test_an_exact_forecast_has_its_own_area(prompt, generated, output):
    held = sum(prompt + g for g in range(generated + 1, output + 1))
    assert area_left(output, generated, output, prompt) == held


def test_an_answer_past_its_upper_bound_is_about_to_end():
    assert area_left(3, 9, 5, 2) == 2 + 10


def test_a_wider_interval_is_expected_to_hold_more():
    assert area_left(10, 0, 20, 0) < area_left(10, 0, 40, 0) < area_left(20, 0, 40, 0)


@pytest.mark.parametrize("k", [20, 100])
def test_the_worst_case_of_the_decision_grows_with_k(k):
    """ADR 0022: k answers of one token, believed to be up to u, wait behind two of k tokens."""
    upper = 12 * k
    output = np.array([k, k] + [1] * k)
    table = (Forecast.exact(k), Forecast.interval(1, upper))
    told = Workload(
        np.zeros(k + 2), np.zeros(k + 2, dtype=np.int64), output, Beliefs(table, (output == 1).astype("i4"))
    )
    options = Options(Rules.paper(k))
    hindsight = simulate(told.believing(beliefs("oracle", output)), "a_min", options, backend="python")
    found = simulate(told, "least_area", options, backend="python")
    assert found.total_latency / hindsight.total_latency > k / 4
    assert simulate(told, "a_min", options, backend="python").total_latency == hindsight.total_latency


@pytest.mark.parametrize("source", ["interval(1,1000)", "bins(10,1000)", "around(0.5)", "around(0.9)"])
@pytest.mark.parametrize("restart", [True, False])
def test_it_beats_every_order_of_a_min(source, restart):
    generator = np.random.default_rng(5)
    output = np.clip(45 * np.exp(1.13 * generator.standard_normal(300)), 1, 1000).astype(np.int64)
    prompt = np.clip(11 * np.exp(1.6 * generator.standard_normal(300)), 1, 1000).astype(np.int64)
    work = Workload(np.zeros(300), prompt, output, beliefs(source, output))
    options = Options(Rules(blocks=2500, restart=restart))
    orders = [f"a_min({key}, {order})" for key in ("stored", "live") for order in ("smallest", "largest")]
    best = min(simulate(work, p, options, backend="python").total_latency for p in orders)
    assert simulate(work, "least_area", options, backend="python").total_latency < best

"""Cases of the engine that were once wrong, against the reference."""

import numpy as np
import pytest
from tests import reference
from tests.backends import BACKENDS, usable

from soonest.core import Rules
from soonest.policies import policy
from soonest.sim import Options, StepTime, Workload, beliefs, service_times, simulate


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_starved_request_that_is_evicted_starves_no_more(backend):
    prompt = np.array([6, 1, 18, 25, 24, 14, 15, 10, 28, 9, 7, 21])
    output = np.array([28, 7, 20, 17, 21, 19, 14, 16, 26, 18, 13, 20])
    arrival = np.array([0.0626536523810155, 0.08614416322040308, 0.1063533101756855, 0.11648085784286322,
                        0.11868227508406093, 0.13805573209415156, 0.234193648755172, 0.2479826909649504,
                        0.298414034504206, 0.3086548429870448, 0.34767100384308713, 0.35952124355251425])  # fmt: skip
    work = Workload(arrival, prompt, output, beliefs("none", output))
    case = work, policy("aging(a_min, rate=3)"), Options(Rules.vllm(7, 38, 111, 1), StepTime(10**10, 0, 0, 10**7, 2))
    if usable(backend, case):
        result, expected = simulate(*case, backend=backend), reference.run(*case)
        assert result.finished.tolist() == list(expected.finished)
        assert result.evictions.tolist() == list(expected.evictions)


@pytest.mark.parametrize("step", [StepTime.ssjf(), StepTime(7, 5, 3, 2), StepTime.linear(0.01, 0, 1e-5, 1e-8)])
def test_service_times_are_what_an_engine_of_ones_own_takes(step):
    for prompt, output in ((1, 1), (100, 1), (2048, 3), (5000, 40), (1, 500)):
        tokens = np.array([output])
        work = Workload(np.zeros(1), np.array([prompt]), tokens, beliefs("oracle", tokens))
        options = Options(Rules.vllm(), step)
        assert simulate(work, "fcfs", options).total_latency == pytest.approx(
            service_times(work, options)[0], rel=1e-12
        )

"""Instances worked out by hand and by other programs: `simulate` gives what they say, to the last token."""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from tests.backends import BACKENDS, usable

from soonest.core import CapacityError, Forecast, Rules
from soonest.policies import policy
from soonest.sim import Beliefs, Options, Workload, simulate
from soonest.sim.workload import PICOSECONDS

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "robust.json").read_text(encoding="utf-8"))
INSTANCES = {instance["name"]: instance for instance in GOLDEN["instances"]}
RUNS = {  # the policy, and whether it is told the true lengths or the intervals
    "hindsight": ("a_min", "exact"),
    "a_max": ("a_max", "interval"),
    "a_min stored smallest_first": ("a_min(stored, smallest)", "interval"),
    "a_min live smallest_first": ("a_min(live, smallest)", "interval"),
    "a_min stored largest_first": ("a_min(stored, largest)", "interval"),
    "a_ell": ("a_ell", "interval"),
    "fcfs_reserve on the true length": ("fcfs_reserve", "exact"),
    "fcfs_reserve on the upper bound": ("fcfs_reserve", "interval"),
}


@cache
def workload(name, told):
    requests = INSTANCES[name]["requests"] if name in INSTANCES else impossible()["requests"]
    table = tuple(
        Forecast.exact(r["output_tokens"]) if told == "exact" else Forecast.interval(r["low"], r["high"])
        for r in requests
    )
    return Workload(
        np.array([r["arrival"] for r in requests], dtype=np.float64),
        np.array([r["prompt_tokens"] for r in requests]),
        np.array([r["output_tokens"] for r in requests]),
        Beliefs(table, np.arange(len(requests), dtype=np.int32)),
    )


def impossible():
    (instance,) = GOLDEN["impossible"]
    return instance


def test_every_golden_policy_is_run():
    stated = {name for instance in INSTANCES.values() for name in instance["expect"]}
    assert stated - {"optimum"} == set(RUNS)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("name", INSTANCES)
def test_a_golden_instance_ends_as_stated(name, run, backend):
    words, told = RUNS[run]
    case = workload(name, told), policy(words), Options(rules=Rules.paper(INSTANCES[name]["memory"]))
    assert usable(backend, case)
    result = simulate(*case, backend=backend)
    assert {
        "completion": (result.finished / PICOSECONDS).tolist(),
        "total_latency": result.total_latency,
        "evictions": int(result.evictions.sum()),
        "tokens_lost": int(result.tokens_lost.sum()),
        "peak_memory": result.peak_memory,
    } == INSTANCES[name]["expect"][run]


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_request_that_can_never_fit_is_refused_by_name(backend):
    case = (
        workload(impossible()["name"], "interval"),
        policy("a_min"),
        Options(rules=Rules.paper(impossible()["memory"])),
    )
    assert usable(backend, case)
    with pytest.raises(CapacityError, match="request 0 can never run"):
        simulate(*case, backend=backend)

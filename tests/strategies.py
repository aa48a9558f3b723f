"""Small simulations, made by Hypothesis."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st

from soonest.core import Batching, Forecast, Policy, Rules
from soonest.policies import policy
from soonest.sim import Beliefs, Options, StepTime, Workload

POLICIES = (
    "fcfs",
    "fcfs_reserve",
    "shortest",
    "longest",
    "a_max",
    "a_min",
    "a_min(live)",
    "a_min(stored, smallest)",
    "a_min(live, smallest)",
    "a_min_randomized",
    "a_ell",
    "two_point",
    "least_area",
    "aging(least_area, rate=0.3)",
    "response_ratio(least_area)",
    "gittins",
    "trail",
    "trail(0.3)",
    "mlfq(2, 3, prompt=0.3)",
    "mlfq(1, levels=5, prompt=0)",
    "deadline",
    "deadline(3, 9, pace=0.5)",
    "response_ratio",
    "response_ratio(a_min)",
    "response_ratio(a_ell)",
    "response_ratio(fcfs_reserve)",
    "aging",
    "aging(a_min, rate=0.3)",
    "aging(response_ratio(a_max), rate=0.07)",
    "aging(two_point, rate=1)",
    "aging(a_min_randomized, rate=0.5)",
    "aging(mlfq(2), rate=0.2)",
    "response_ratio(gittins)",
)
STEPS = (
    StepTime.unit(),
    StepTime.ssjf(),
    StepTime(7),
    StepTime(3, 1, 2, 1),
    StepTime(1_000_003, 17, 101, 3, startup=2),
    StepTime(10**12 // 3, 10**9 + 7, 10**8 + 1, 10**7 + 9, startup=1),
    StepTime(0, 10**11 + 3),
)


class Case(NamedTuple):
    """All that `simulate` takes."""

    workload: Workload
    policy: Policy
    options: Options

    def __repr__(self):
        """Everything needed to run it again."""
        w = self.workload
        rows = "\n".join(
            f"  {i}: at {w.arrival[i]!r}, prompt {w.prompt_tokens[i]}, output {w.output_tokens[i]}, priority "
            f"{w.priority[i]}, limit {w.max_tokens[i]}, {w.beliefs.table[w.beliefs.index[i]]}"
            for i in range(len(w))
        )
        return f"{type(self.policy).__name__} {vars(self.policy)}\n{self.options}\n{rows}"


@st.composite
def forecasts(draw, tokens):
    """What might be believed of an answer of so many tokens."""
    match draw(st.sampled_from(("exact", "interval", "wide", "wrong", "classes", "unknown"))):
        case "exact":
            return Forecast.exact(tokens)
        case "interval":
            return Forecast.interval(draw(st.integers(0, tokens)), draw(st.integers(tokens, 14)))
        case "wide":
            return Forecast.interval(1, 12)
        case "wrong":
            return Forecast.exact(draw(st.integers(0, 14)))
        case "classes":
            shares = draw(st.lists(st.integers(1, 5), min_size=3, max_size=3))
            return Forecast.classes((0, 2, 5, 12), shares, coverage=0.5)
    return Forecast.unknown(draw(st.integers(1, 14)))


@st.composite
def workloads(draw, most=12, arrivals=None, beliefs=forecasts, priorities=1):
    """Up to `most` jobs with answers of 1 to 12 and prompts of 0 to 10 tokens."""
    n = draw(st.integers(1, most))
    times = (
        st.sampled_from(
            (st.integers(0, 12), st.floats(0, 10, allow_subnormal=False), st.integers(0, 40).map(lambda i: i / 3))
        )
        if arrivals is None
        else st.just(arrivals)
    )
    one = draw(times)

    def column(values, dtype=np.int64):
        return np.array(draw(st.lists(values, min_size=n, max_size=n)), dtype=dtype)

    output = column(st.integers(1, 12))
    targets = st.sampled_from((np.inf, np.inf, 1.0, 7.5))
    table = tuple(draw(beliefs(o)) for o in output.tolist())
    return Workload(
        np.sort(column(one, np.float64)),
        column(st.integers(0, 10)),
        output,
        Beliefs(table, np.arange(n, dtype=np.int32)),
        priority=column(st.integers(0, priorities - 1)),
        max_tokens=np.maximum(output, column(st.sampled_from((12, 20, 1 << 20)))),
        ttft_target=column(targets, np.float64),
        e2e_target=column(targets, np.float64),
    )


def paper_rules():
    """Memory in tokens, no budget; now and then slots, a watermark, or clearing."""
    return st.builds(
        Rules,
        slots=st.none() | st.integers(1, 4),
        blocks=st.integers(1, 40),
        watermark=st.sampled_from((0.0, 0.0, 0.1, 0.3)),
        clear=st.sampled_from((0.0, 0.0, 0.4, 1.0)),
        max_evictions=st.sampled_from((1, 3, 1000, 20)),
        pace=st.booleans(),
    )


@st.composite
def engine_rules(draw):
    """Blocks and a token budget, in every variant."""
    slots = draw(st.integers(1, 4))
    flags = ("chunked_prefill", "whole_prompt", "newest_held", "admit_after_evict", "restart")
    blocks = draw(st.none() | st.integers(1, 30))
    return Rules(
        slots=slots,
        token_budget=draw(st.none() | st.integers(slots, 24)),
        blocks=blocks,
        pace=blocks is not None and draw(st.booleans()),
        block_size=draw(st.integers(1, 4)),
        watermark=draw(st.sampled_from((0.0, 0.0, 0.1))),
        clear=draw(st.sampled_from((0.0, 0.0, 0.0, 0.5))),
        max_evictions=draw(st.sampled_from((1, 2, 50))),
        **{flag: draw(st.booleans()) for flag in flags},
    )


def slot_rules():
    """No memory limit: one at a time, slots, or dynamic batching."""
    return st.builds(Rules, slots=st.none() | st.integers(1, 4)) | st.builds(
        Rules,
        slots=st.integers(1, 4),
        batching=st.just(Batching.DYNAMIC),
        timeout=st.sampled_from((0.0, 1.0, 0.3, 2.5)),
    )


def roomy(rules, workload):
    """The same rules with enough memory and budget that every job can end."""
    blocks, budget = rules.blocks, rules.token_budget
    for prompt, output in zip(workload.prompt_tokens.tolist(), workload.output_tokens.tolist(), strict=True):
        if blocks is not None:
            blocks = max(blocks, rules.blocks_for(rules.held(prompt, output - 1)))
        if budget is not None and not rules.chunked_prefill:
            budget = max(budget, prompt + output)
    return replace(rules, blocks=blocks, token_budget=budget)


@st.composite
def cases(draw, rules=None, policies=POLICIES, jobs=None, engines=3, steps=STEPS):
    """A simulation that may run; policies that the rules cannot serve are left out."""
    workload = draw(workloads(priorities=draw(st.sampled_from((1, 1, 2)))) if jobs is None else jobs)
    engine = roomy(draw(paper_rules() | engine_rules() | slot_rules() if rules is None else rules), workload)
    able = [words for words in policies if not policy(words).needs - engine.gives]
    options = Options(
        rules=engine,
        step_time=draw(st.sampled_from(steps)),
        engines=draw(st.integers(1, engines)),
        seed=draw(st.integers(0, 3)),
        overdue_after=draw(st.sampled_from((None, None, 0.0, 1.0, 4.0, 0.1))),
        overdue_every=draw(st.integers(1, 4)),
    )
    return Case(workload, policy(draw(st.sampled_from(able))), options)

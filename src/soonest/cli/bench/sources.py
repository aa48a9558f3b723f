"""From flags to a plan: which prompts, whose times."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from soonest.bench import Call, Plan
    from soonest.data import Trace

USUAL = 1000
"""Requests of a run, as `vllm bench serve` has them."""
POOL = 400
"""Prompts of the shipped model, from which each repetition draws as many as arrive in a few seconds."""


def plan(
    *,
    prompts: Path | None,
    trace: str | None,
    requests: int | None,
    arrivals: str | None,
    burstiness: float,
    repetitions: int,
    seed: int,
    max_tokens: int,
    ignore_eos: bool,
    shipped: bool,
) -> Plan:
    """The calls and their times; `shipped` is whether the engine runs the shipped model."""
    from soonest.bench import Plan
    from soonest.cli.sim import named_trace
    from soonest.core import SimulationError
    from soonest.data import sample

    if ignore_eos and prompts is None:
        raise SimulationError("--ignore-eos takes lengths from prompts: add --prompts FILE, or leave it out")
    if arrivals == "replay" and trace is None:
        raise SimulationError("--arrivals replay needs times: add --trace, or leave it out")
    times = sample() if trace is None else named_trace(trace, "auto", None, None)
    if prompts is not None:
        calls = _from_file(prompts, max_tokens, ignore_eos=ignore_eos, most=requests)
    elif shipped and trace is None:
        calls = _tiny(requests or POOL, seed, max_tokens)
    else:
        calls = _like(times, requests or USUAL)
    process = arrivals or ("gamma" if trace is None else "replay")
    return Plan(calls, times, process, burstiness, repetitions, seed)


def _from_file(path: Path, max_tokens: int, *, ignore_eos: bool, most: int | None) -> list[Call]:
    from soonest.bench import calls_of
    from soonest.data.examples import read_examples, read_prompts

    if ignore_eos:
        examples = read_examples(path, limit=most)
        return calls_of(examples.prompts, max_tokens, examples.tokens.tolist())
    return calls_of(list(read_prompts(path, limit=most)), max_tokens)


def _tiny(requests: int, seed: int, max_tokens: int) -> list[Call]:
    from soonest.bench import calls_of
    from soonest.core import Prompt
    from soonest.engines import tiny
    from soonest.engines.tiny.fresh import fresh

    questions, _ = fresh(requests, seed, tiny.forecasts())
    return calls_of([Prompt.of(question) for question in questions], max_tokens)


def _like(trace: Trace, requests: int) -> list[Call]:
    from soonest.bench import calls_like

    return calls_like(trace, requests)

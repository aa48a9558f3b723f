"""The engines that the flags of `soonest sim` describe."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from soonest.core import Rules
    from soonest.sim import Options, StepTime


def step_time(name: str) -> StepTime:
    """A preset, or what `soonest fit-steps` wrote."""
    from soonest.core import StepTimeError
    from soonest.sim import PRESETS, StepTime

    if name in PRESETS:
        return PRESETS[name]
    if not Path(name).exists():
        raise StepTimeError(f"no step time {name!r}: give one of {', '.join(PRESETS)}, or a file from fit-steps")
    return StepTime.load(name)


def speeds(words: str | None) -> tuple[float, ...]:
    """Numbers between commas; none where none are given."""
    from soonest.core import SimulationError

    try:
        return () if words is None else tuple(map(float, words.split(",")))
    except ValueError as error:
        raise SimulationError(f"--speeds takes numbers between commas, such as 1,1,0.5, got {words!r}") from error


def fleet(options: Options) -> str:
    """What a title says of several engines."""
    if options.engines == 1 and options.gateways == 1:
        return ""
    uneven = f" of speeds {', '.join(f'{speed:g}' for speed in options.speeds)}" if options.speeds else ""
    before = f" behind {options.router}" if options.router else ""
    queues = f" behind {options.gateways} gateways" if options.gateways > 1 else ""
    return f", {options.engines} engine{'s' if options.engines > 1 else ''}{uneven}{before}{queues}"


def rules(
    name: str,
    slots: int | None,
    token_budget: int | None,
    memory: int | None,
    block_size: int | None,
    timeout: float | None,
    watermark: float,
    clear: float,
) -> Rules:
    """A preset, and what flags change in it."""
    from dataclasses import replace

    from soonest.core import Rules, RulesError

    presets = {f.__name__: f for f in (Rules.vllm, Rules.paper, Rules.none, Rules.dynamic, Rules.continuous)}
    if name not in presets:
        raise RulesError(f"no rules {name!r}; known: {', '.join(presets)}")
    preset = presets[name]()
    size = preset.block_size if block_size is None else block_size
    if size < 1 or (memory is not None and memory < size):
        raise RulesError(f"--memory must hold at least one block of --block-size tokens, got {memory} and {size}")
    given = {
        "slots": slots,
        "token_budget": token_budget,
        "block_size": block_size,
        "timeout": timeout,
        "blocks": None if memory is None else memory // size,
    }
    changes: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    if slots is not None and token_budget is None and preset.token_budget is not None:
        changes["token_budget"] = max(preset.token_budget, slots)
    return replace(preset, watermark=watermark, clear=clear, **changes)

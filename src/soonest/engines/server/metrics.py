"""What the engine says of itself, as Prometheus reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from soonest.engines.embedded import Engine

KIND = b"text/plain; version=0.0.4; charset=utf-8"


def render(engine: Engine, served: int, failures: int) -> bytes:
    """Gauges and counters; `served` requests have ended, the predictor failed `failures` times."""
    name = engine.model.name.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    label = f'{{model_name="{name}",policy="{engine.policy.name}"}}'
    blocks, size = engine.rules.blocks, engine.rules.block_size
    rows: list[tuple[str, str, str, float]] = [
        ("num_requests_waiting", "gauge", "Requests that wait for a place.", engine.waiting),
        ("num_requests_running", "gauge", "Requests that run.", engine.running),
        ("kv_cache_usage_perc", "gauge", "Share of the KV cache that is held, from 0 to 1.", engine.usage),
        ("max_num_seqs", "gauge", "Requests that can run at once.", engine.rules.slots or 0),
        ("max_num_batched_tokens", "gauge", "Tokens computed in one step at most.", engine.rules.token_budget or 0),
        ("num_preemptions_total", "counter", "Evictions under memory pressure.", engine.room.evictions),
        ("iterations_total", "counter", "Steps scheduled.", engine.steps),
        ("generation_tokens_total", "counter", "Tokens generated.", engine.tokens),
        ("requests_total", "counter", "Requests that ended, however they ended.", served),
        ("forecast_failures_total", "counter", "Forecasts that the predictor failed to give.", failures),
    ]
    lines = []
    for key, kind, text, value in rows:
        lines += [f"# HELP soonest_engine_{key} {text}", f"# TYPE soonest_engine_{key} {kind}"]
        lines.append(f"soonest_engine_{key}{label} {float(value):.17g}")
    lines += [
        "# HELP soonest_engine_cache_config_info The KV cache: tokens a block, usable blocks.",
        "# TYPE soonest_engine_cache_config_info gauge",
        f'soonest_engine_cache_config_info{{block_size="{size}",num_gpu_blocks="{blocks}",model_name="{name}"}} 1.0',
    ]
    return ("\n".join(lines) + "\n").encode()

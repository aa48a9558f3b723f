"""Tables of what was measured, from the JSON that the benchmarks wrote."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

RESULTS = Path(__file__).parents[1] / "benchmarks" / "results"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    body = [" | ".join(cell.replace("|", "\\|") for cell in row) for row in rows]
    return "\n".join(f"| {line} |" for line in (" | ".join(heads), " | ".join("---" for _ in heads), *body))


def _read(name: str) -> Any:
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def ranks(_up: str) -> str:
    """Every predictor on every set."""

    def row(r: dict[str, Any]) -> list[str]:
        inside = f"{r['coverage']:.3f} ({r['coverage_low']:.3f} to {r['coverage_high']:.3f})"
        worst = f"{min(r['coverage_by_decile']):.3f}"
        numbers = [
            _shown(r["kendall_tau"], 3),
            _shown(r["accuracy"], 3),
            f"{r['mae']:.0f}",
            f"{r['interval_score']:.0f}",
        ]
        return [r["set"], f"`{r['predictor']}`", *numbers, inside, worst]

    heads = (
        "set",
        "predictor",
        "Kendall's tau",
        "five-class accuracy",
        "MAE",
        "interval score",
        "coverage",
        "worst decile",
    )
    return table(heads, map(row, _read("forecasts")["rows"]))


def speeds(_up: str) -> str:
    """Microseconds."""
    keys = ("us_one_p50", "us_one_p99", "us_batch_p50", "us_update_p50", "us_update_p99")
    rows = ([r["set"], f"`{r['predictor']}`", *(f"{r[k]:.0f}" for k in keys)] for r in _read("forecasts")["speed"])
    return table(("set", "predictor", "one, p50", "one, p99", "in a batch", "update, p50", "update, p99"), rows)


def gains(_up: str) -> str:
    """Shares of the oracle's gain in the simulator, the mean of the seeds."""
    found = defaultdict(list)
    for r in _read("forecasts_live")["gain"]:
        found[r["set"], r["load"], r["policy"], r["forecast"]].append(r)
    heads = ("set", "load", "policy", "forecast", "mean JCT s", "p99 JCT s", "max wait s", "share of the oracle's gain")
    rows = []
    for (name, load, policy, forecast), several in found.items():
        share = [r["share_of_oracle_gain"] for r in several if "share_of_oracle_gain" in r]
        said = f"{np.mean(share):.2f} ({min(share):.2f} to {max(share):.2f})" if share else ""
        means = [f"{np.mean([r[key] for r in several]):.3g}" for key in ("mean_jct", "p99_jct", "max_wait")]
        rows.append([name, f"{load:g}", policy, f"`{forecast}`", *means, said])
    return table(heads, rows)


def feedback(_up: str) -> str:
    """Coverage while the short end first."""
    heads = ("set", "seed", "method", "coverage of all arrivals", "longest queue")
    rows = (
        [r["set"], str(r["seed"]), r["method"], f"{r['coverage']:.3f}", f"{r['most_waiting']}"]
        for r in _read("forecasts_live")["feedback"]
    )
    return table(heads, rows)


def tasks(_up: str) -> str:
    """Every task of the encoder."""
    heads = (
        "task", "loss", "Kendall's tau", "five-class accuracy", "macro F1", "MAE", "mean JCT s at 0.9", "at 1.2",
        "share of the oracle's gain at 0.9", "at 1.2",
    )  # fmt: skip
    keys = ("kendall_tau", "accuracy", "macro_f1", "mae", "mean_jct_at_0.9", "mean_jct_at_1.2")
    shares = ("share_of_oracle_gain_at_0.9", "share_of_oracle_gain_at_1.2")
    rows = (
        [r["task"], r.get("loss") or "", *(f"{r[k]:.3g}" for k in keys), *(f"{r[k]:.2f}" for k in shares)]
        for r in _read("encoder_tasks")["rows"]
    )
    return table(heads, rows)


def vllm_cost(_up: str) -> str:
    """Processor time of scheduling a step beside vLLM's own `fcfs`."""
    found = _read("vllm_cost")["rows"]
    ours = ("fcfs", "shortest", "aging(shortest)", "response_ratio(shortest)", "a_min", "a_max")
    rows = (
        [
            f"{r['waiting']:,}",
            "memory" if r["memory_binds"] else "slots",
            *(f"{r['schedulers'][name]['schedule_ratio']:.2f}" for name in (*ours, "vLLM priority")),
        ]
        for r in found
    )
    return table(("waiting", "what binds", *(f"`{name}`" for name in ours), "vLLM's `priority`"), rows)


def vllm_benefit(_up: str) -> str:
    """What order is worth in real vLLM, and what the simulator said of it before."""
    return _benefit("vllm_benefit")


def vllm_gpu(_up: str) -> str:
    """The same on a GPU."""
    return _benefit("vllm_gpu")


def _benefit(file: str) -> str:
    found = _read(file)
    heads = (
        "memory", "load", "policy", "mean JCT s", "p99 JCT s", "max JCT s", "gain in mean %",
        "share of the oracle's gain", "foretold", "preemptions",
    )  # fmt: skip
    rows = []
    for memory in ("ample", "tight"):
        part = found.get(memory, {})
        for load, arms in part.get("compared", {}).items():
            for name, arm in arms.items():
                came = part["measured"][load][name]
                gain = f"{arm['gain_percent']:+.1f} ± {arm['gain_half_width']:.1f}" if name != "fcfs" else ""
                shares = (_shown(arm[key], 2) for key in ("share_of_oracle", "foretold_share"))
                jct = (f"{np.mean(came[key]):.2f}" for key in ("mean", "p99"))
                longest = f"{max(came['max']):.2f}"
                rows.append([memory, load, name, *jct, longest, gain, *shares, f"{np.mean(came['preemptions']):.1f}"])
    return table(heads, rows)


def ui_cost(_up: str) -> str:
    """What the live page takes of a core, at 100 requests a second."""
    found = _read("ui_cost")
    shares, more, cost = found["percent_of_a_core"], found["more_than_off"], found["picture_ms"]
    rows = []
    for name, share in shares.items():
        gap = more.get(name)
        told = "" if gap is None else f"{gap['mean']:+.2f} ({gap['low']:+.2f} to {gap['high']:+.2f})"
        rows.append([name, f"{share['mean']:.2f}", f"{share['max']:.2f}", told])
    heads = ("the page is", "% of a core, mean", "largest", "more than off, with 95 % interval")
    size = {name: f"{value / 1024:.0f}" for name, value in found["picture_bytes"].items()}
    took = f"{cost['mean']:.1f} ms of processor time (p99 {cost['p99']:.1f}, largest {cost['max']:.1f})"
    said = (
        f"One picture a second took {took}: {cost['mean'] / 10:.1f} % of a core. It has {size['mean']} KiB (largest "
        f"{size['max']}). The machine's load was {found['machine']['load_before']:.0f} when it began, and "
        f"{found['requests_a_second']:.0f} answers a second came."
    )
    return f"{table(heads, rows)}\n\n{said}"


def ray_serve(_up: str) -> str:
    """Ray's default router and ours before the same engines, and what became of every request when one was killed."""
    rows, said = [], []
    for found in (_read("ray_serve_serial"), _read("ray_serve")):
        for case in found["cases"]:
            where = [str(found["slots"]), f"{case['step_ms']:g} ms" if case["step_ms"] else "as it comes"]
            for router, jct in case["jct_s"].items():
                ours, gains = router == "soonest", case["gain_of_soonest"]
                told = [f"{gains[key]['gain_percent']:+.1f} ± {gains[key]['half_width']:.1f}" for key in gains]
                times = [f"{jct[key]:.2f}" for key in gains]
                rows.append([*where, f"{case['rate']:.1f}", "ours" if ours else "Ray's default", *times])
                rows[-1] += told if ours else [""] * len(told)
        killed = found["killed"]
        said.append(
            f"{killed['requests']} requests, a replica killed in the middle, slots {found['slots']}: "
            f"{killed['answered']} answered, {killed['told']} told of a failure, {killed['lost']} lost, "
            f"{killed['begun_twice']} begun twice."
        )
    heads = ("slots", "a batch takes at least", "requests/s", "router", "mean JCT s", "p99", "max")
    return table((*heads, "gain of the mean %", "of p99", "of max"), rows) + "\n\n" + " ".join(said)


def _shown(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"

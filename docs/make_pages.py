"""Fill the generated parts of the documentation from the code: python docs/make_pages.py.

A part stands between `<!-- generated: NAME -->` and `<!-- /generated -->`. The tests fail when one is not current.
"""

from __future__ import annotations

import inspect
import re
import sys
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import typer.main

from soonest.cli import app
from soonest.data import CATALOGUE, FORMATS
from soonest.data.examples import ROLES
from soonest.data.tables import LAYOUTS
from soonest.policies import BUILT_IN, policy
from soonest.predict import BUILT_IN as PREDICTORS
from soonest.report import MEASURES
from soonest.report.forecasts import FORECAST_MEASURES
from soonest.sim import PRESETS, SOURCES
from soonest.sim.steptime import SECOND

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # a script finds only what lies beside it
from docs import fleets, measured, policy_pictures, studies  # noqa: E402
from docs.measured import table  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from soonest.core import Numbers, Policy
    from soonest.predict import Predictor

PART = re.compile(r"(<!-- generated: (?P<name>[\w-]+) -->\n).*?(<!-- /generated -->)", re.DOTALL)


def pages() -> Iterator[tuple[Path, str, str]]:
    """Every page with generated parts: its path, what it says, and what it should say."""
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))):
        text = path.read_text(encoding="utf-8")
        up = "../" * (len(path.relative_to(ROOT).parts) - 1)
        filled = PART.sub(lambda m, up=up: f"{m[1]}\n{PARTS[m['name']](up)}\n\n{m[3]}", text)  # type: ignore[misc]
        if PART.search(text):
            yield path, text, filled


def policies(up: str) -> str:
    """Every built-in policy with its answers, and its file."""
    return _policies(lambda kind: f"{up}{_file(kind)}")


def policy_pages(_up: str) -> str:
    """The same, with its page."""
    return _policies(lambda kind: f"policies/{kind.name}.md")


def _policies(target: Callable[[type[Policy]], str]) -> str:
    heads = ("policy", *ANSWERS, "source")
    rows = ([f"[`{kind.name}`]({target(kind)})", *_answers(kind), kind.source] for kind in BUILT_IN.values())
    return table(heads, rows)


def _answers_of(kind: type[Policy], up: str) -> str:
    """One policy's answers, for its page."""
    return table((*ANSWERS, "code"), ([*_answers(kind), f"[`{kind.name}.py`]({up}{_file(kind)})"],))


ANSWERS = ("rank (lowest first)", "reserve", "keep (smallest goes first)", "needs")


def _answers(kind: type[Policy]) -> list[str]:
    """What it answers, read off its coefficients if it has any."""
    rows = policy(kind.name).numbers
    if rows is None:
        answers = CODE[kind.name]
    else:
        answers = tuple(" or ".join(dict.fromkeys(map(say, rows))) for say in (_rank, _reserve, _keep))
    return [*answers, ", ".join(sorted(kind.needs)) or "nothing"]


def _file(kind: type[Policy]) -> str:
    return Path(inspect.getfile(kind)).relative_to(ROOT).as_posix()


CODE: dict[str, tuple[str, ...]] = {
    "gittins": ("expected tokens a completion", "the next token", "-rank"),
    "trail": ("expected tokens to come", "the next token", "who may be displaced first, -rank"),
    "mlfq": ("level", "the next token", "-rank"),
    "deadline": ("slack", "the next token", "-admission"),
}
"""Rank, reserve and keep of policies that are code."""


def _rank(row: Numbers) -> str:
    estimate = f"estimate (first: {'high' if row.first_high else 'low'})"
    terms = [(row.estimate, estimate), (row.expected, "expected tokens"), (row.area, "expected area left")]
    if row.estimate or row.expected or row.area or row.ratio:
        terms += [(-row.age, "seconds waited"), (-row.ratio, "seconds waited / expected tokens")]
    else:
        terms.append((row.age, "arrival"))
    said = " + ".join(_term(factor, word) for factor, word in terms if factor)
    return said.replace("+ -", "- ")


def _reserve(row: Numbers) -> str:
    return "its estimate" if row.reserve_estimate else "the next token"


def _keep(row: Numbers) -> str:
    terms = (
        (row.keep_admitted, "admission"),
        (row.keep_estimate, "estimate"),
        (row.keep_live, "max(estimate, tokens)"),
        (row.keep_area, "expected area left"),
    )
    return " + ".join(_term(factor, word) for factor, word in terms if factor)


def _term(factor: float, word: str) -> str:
    return {1.0: word, -1.0: f"-{word}"}.get(factor) or f"{factor:g} x {word}"


def sources(_up: str) -> str:
    """Every forecast source with its sentence."""
    return table(("source", "what it forecasts"), ((f"`{name}`", source.doc) for name, source in SOURCES.items()))


def presets(_up: str) -> str:
    """Every step-time preset in microseconds."""
    fields = ("iteration", "per_sequence", "per_prefill_token", "per_context_token")
    heads = ("preset", "iteration µs", "sequence µs", "prefill token µs", "context token µs", "startup iterations")
    rows = (
        (f"`{name}`", *(f"{getattr(step, field) / SECOND * 1e6:,.10g}" for field in fields), str(step.startup))
        for name, step in PRESETS.items()
    )
    return table(heads, rows)


def formats(_up: str) -> str:
    """Every trace format with the columns or fields that it needs."""
    objects = {
        "mooncake": "`timestamp` (ms), `input_length`, `output_length`, `hash_ids`, one JSON object a line",
        "log": "Mooncake's fields, and perhaps `tenant`, `model`, `predicted`, `block_tokens`",
        "prompts": "`prompt`, `output_tokens` (vLLM) or `text_input`, `output_length` (aiperf), one JSON object a line",
        "sharegpt": "a JSON list of objects with `conversations`: turn 0 is the prompt, turn 1 the answer",
    }
    columns = {name: ", ".join(f"`{c}`" for c in layout.required) for name, layout in LAYOUTS.items()}
    spare = {name: ", ".join(f"`{c}`" for c in layout.spare) for name, layout in LAYOUTS.items()}
    says = {name: text + (f", and perhaps {spare[name]}" if spare[name] else "") for name, text in columns.items()}
    return table(("format", "what it needs"), ((f"`{name}`", (says | objects)[name]) for name in FORMATS))


def catalogue(_up: str) -> str:
    """Every public trace by name."""
    heads = ("name", "what it is", "licence", "file", "SHA-256")
    rows = (
        (f"`{name}`", t.about, t.licence, f"[`{t.file}`]({t.url})", f"`{t.sha256[:12]}…`" if t.sha256 else "on trust")
        for name, t in CATALOGUE.items()
    )
    return table(heads, rows)


def measures(_up: str) -> str:
    """Every measure with its formula."""
    heads = ("measure", "formula", "unit", "key in JSON", "source", "what it says")
    rows = (
        (
            f"{m.label} (`{name}`)",
            f"`{m.formula}`",
            m.unit,
            f"`…{m.key}`" if m.function is not None and f"_{m.key}" in _SPREAD else f"`{m.key}`",
            m.source,
            _sentence(m.function) if m.function is not None else "The most KV cache held in an iteration.",
        )
        for name, m in MEASURES.items()
    )
    return table(heads, rows)


def columns(_up: str) -> str:
    """Every role that a column may play, with the names by which it is guessed."""
    rows = ((f"`{name}`", role.about, ", ".join(f"`{n}`" for n in role.names)) for name, role in ROLES.items())
    return table(("role", "what the column holds", "names that are guessed, the likeliest first"), rows)


def forecast_measures(_up: str) -> str:
    """Every measure of forecasts with its formula."""
    heads = ("measure", "formula", "unit", "source", "what it says")
    rows = (
        (f"{m.label} (`{name}`)", f"`{m.formula}`", m.unit, m.source, _sentence(m.function) if m.function else "")
        for name, m in FORECAST_MEASURES.items()
    )
    return table(heads, rows)


_SPREAD = {"_e2el_ms", "_ttft_ms", "_tpot_ms", "_itl_ms", "_queue_ms", "_slowdown"}
"""Keys that stand behind a statistic: `mean_`, `median_`, `std_`, `p99_` and so on."""


def flags(_up: str) -> str:
    """Every command with every flag."""
    group = typer.main.get_command(app)
    commands = {"soonest": group} | {f"soonest {name}": c for name, c in getattr(group, "commands", {}).items()}
    return "\n\n".join(_command(name, command) for name, command in commands.items())


def _command(name: str, command: object) -> str:
    prefix = name.replace(" ", "_").replace("-", "_").upper()
    rows = []
    for flag in getattr(command, "params", ()):
        long = next((o for o in flag.opts if o.startswith("--")), flag.opts[0].upper())
        names = ", ".join(f"`{o}`" for o in (long, *(o for o in flag.opts if o.startswith("-") and o != long)))
        variable = f"`{flag.envvar or f'{prefix}_{flag.name.upper()}'}`" if long.startswith("--") else ""
        if flag.name not in {"help", "install_completion", "show_completion"}:
            rows.append((names, flag.help or "", _default(flag.default, required=flag.required), variable))
    text = (getattr(command, "help", "") or "").strip()
    heads = ("flag", "what it does", "default", "variable")
    return "\n\n".join(part for part in (f"## {name}", text, table(heads, rows) if rows else "") if part)


def _default(value: object, *, required: bool) -> str:
    if required:
        return "required"
    if value is None or value is False or value == [] or value is list:
        return "off" if value is False else ""
    return f"`{', '.join(map(str, value)) if isinstance(value, list) else value}`"


def _sentence(thing: Callable[..., object]) -> str:
    return (inspect.getdoc(thing) or "").partition("\n\n")[0].replace("\n", " ")


def predictors(up: str) -> str:
    """Every built-in predictor with its sentence."""

    def row(kind: type[Predictor]) -> list[str]:
        file = Path(inspect.getfile(kind)).relative_to(ROOT).as_posix()
        said = (inspect.getdoc(kind) or "").partition("\n")[0].split(". ")[0].rstrip(".")
        return [f"[`{kind.name}`]({up}{file})", f"{said}.", kind.source]

    return table(("predictor", "what it does", "source"), map(row, PREDICTORS.values()))


PARTS: dict[str, Callable[[str], str]] = {
    "catalogue": catalogue,
    "forecast-feedback": measured.feedback,
    "forecast-gains": measured.gains,
    "forecast-ranks": measured.ranks,
    "forecast-speeds": measured.speeds,
    "encoder-tasks": measured.tasks,
    "ui-cost": measured.ui_cost,
    "ray-serve": measured.ray_serve,
    "vllm-benefit": measured.vllm_benefit,
    "vllm-cost": measured.vllm_cost,
    "vllm-gpu": measured.vllm_gpu,
    "columns": columns,
    "flags": flags,
    "forecast-measures": forecast_measures,
    "formats": formats,
    "measures": measures,
    "policies": policies,
    "policy-pages": policy_pages,
    "predictors": predictors,
    "presets": presets,
    "sources": sources,
    **{f"policy-{kind.name}": partial(_answers_of, kind) for kind in BUILT_IN.values()},
    **fleets.parts(),
    **policy_pictures.parts(),
    **studies.parts(),
}


def main() -> None:
    """Rewrite the pages, and draw the pictures, that are not current."""
    for picture in chain(policy_pictures.redraw(), studies.redraw()):
        sys.stdout.write(f"drew {picture.relative_to(ROOT)}\n")
    for path, text, filled in pages():
        if text != filled:
            path.write_text(filled, encoding="utf-8")
            sys.stdout.write(f"wrote {path.relative_to(ROOT)}\n")


if __name__ == "__main__":
    main()

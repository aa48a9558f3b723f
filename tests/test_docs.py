"""What exists is documented, what is documented exists, and what the pages show runs."""

import importlib.util
import io
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import typer.main
from PIL import Image

from soonest.cli import app
from soonest.core import Record, Records
from soonest.data import CATALOGUE, FORMATS, sample
from soonest.data.examples import ROLES
from soonest.policies import BUILT_IN
from soonest.predict import BUILT_IN as PREDICTORS
from soonest.report import MEASURES, summarise
from soonest.report.forecasts import FORECAST_MEASURES
from soonest.sim import PRESETS, SOURCES
from soonest.sim.fleet import ROUTERS

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(DOCS.rglob("*.md"))]
LINK = re.compile(r"\]\(([^)\s]+)\)")
BLOCK = re.compile(r"(?P<run><!-- run -->\n)?```(?P<kind>\w+)\n(?P<text>.*?)```", re.DOTALL)
SKELETON = ("Idea", "Formula", "When", "When not", "Source")
PLACES = "work|home|root|tmp|opt|Users"
SOONEST = [sys.executable, "-c", "from soonest.cli import main; main()"]


def load(name, folder=DOCS):
    spec = importlib.util.spec_from_file_location(name, folder / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def pixels(png):
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


def page(name):
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(kind, *, marked):
    """Code blocks of all pages, named by page and number; those `marked` run."""
    return [
        pytest.param(block["text"], id=f"{path.relative_to(ROOT)}-{number}")
        for path in PAGES
        for number, block in enumerate(BLOCK.finditer(path.read_text(encoding="utf-8")))
        if block["kind"] == kind and (block["run"] or not marked)
    ]


def commands(text):
    """The `soonest` commands of a console block, without the prompt."""
    lines = [line.removeprefix("$ ") for line in text.splitlines() if line.startswith("$ soonest")]
    return [shlex.split(line, comments=True)[1:] for line in lines]


def flags():
    """Long and short names by command."""
    group = typer.main.get_command(app)
    return {
        name: {option for parameter in command.params for option in parameter.opts if option.startswith("-")}
        for name, command in {"": group, **group.commands}.items()
    }


def help_of(command, flag):
    parameters = typer.main.get_command(app).commands[command].params
    return next(parameter.help for parameter in parameters if flag in parameter.opts)


def test_the_generated_parts_are_current():
    stale = [str(path.relative_to(ROOT)) for path, text, filled in load("make_pages").pages() if text != filled]
    assert not stale, "run `make docs`"


@pytest.mark.parametrize("part", load("make_pages").PARTS)
def test_every_generated_part_stands_on_a_page(part):
    assert any(f"<!-- generated: {part} -->" in path.read_text(encoding="utf-8") for path in PAGES)


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_policy_is_documented_on_a_page_of_its_own(name):
    file = f"src/soonest/policies/{name}.py"
    assert f"[`{name}`]({file})" in page("README.md")
    assert f"[`{name}`](policies/{name}.md)" in page("docs/policies.md")
    text = page(f"docs/policies/{name}.md")
    assert f"[`{name}.py`](../../{file})" in text
    assert f"](../images/policies/{name}.png)" in text
    assert re.findall("^#+ .*", text, re.MULTILINE) == [f"# {name}", *(f"## {part}" for part in SKELETON)]
    parts = re.sub("<!-- generated.*?/generated -->", "", text, flags=re.DOTALL).split("\n## ")[1:]
    assert [part for part in parts if len(part.partition("\n")[2].split()) < 2] == [], (
        "say something under each heading"
    )


def test_every_page_of_a_policy_is_about_one_that_exists():
    assert {path.stem for path in (DOCS / "policies").glob("*.md")} == set(BUILT_IN)
    assert {path.stem for path in (DOCS / "images" / "policies").glob("*.png")} == set(BUILT_IN)


@pytest.mark.parametrize("name", BUILT_IN)
def test_what_a_policy_s_picture_shows_is_what_the_simulator_does(name):
    bench = load("policy_pictures", ROOT / "benchmarks")
    known = json.loads(page("benchmarks/results/policy_pictures.json"))
    assert [ask._asdict() for ask in bench.ASKS] == known["asked"]
    assert bench.simulated(name) == known["policies"].get(name), f"run `{bench.COMMAND}`, then `make docs`"


def test_the_pictures_of_policies_are_current_and_drawn_by_the_script():
    pictures = load("make_pages").policy_pictures
    assert [path.name for path, _ in pictures.stale()] == [], "run `make docs`"
    committed = (DOCS / "images" / "policies" / "fcfs.png").read_bytes()
    drawn, there = (pixels(png) for png in (pictures.draw(pictures.charts()["fcfs"]), committed))
    assert drawn.shape == there.shape
    assert np.abs(drawn - there).mean() < 1  # fonts may be drawn a little differently elsewhere
    assert np.abs(pixels(pictures.draw(pictures.charts()["mlfq"])) - there).mean() > 1
    assert len(committed) < 25_000


@pytest.mark.parametrize("name", PREDICTORS)
def test_a_predictor_is_documented(name):
    text = page("docs/predictors.md")
    assert f"| [`{name}`](../src/soonest/predict/{name}" in text
    assert len(text.partition(f"\n## {name}\n")[2].partition("\n## ")[0].split()) > 20, "say when to use it"


@pytest.mark.parametrize("name", SOURCES)
def test_a_forecast_source_is_documented(name):
    assert f"| `{name}` |" in page("docs/forecasts.md")
    assert re.search(rf"\b{name}\b", help_of("sim", "--forecast"))


@pytest.mark.parametrize("name", ROUTERS)
def test_a_router_is_documented(name):
    assert f"| `{name}` |" in page("docs/fleets.md")
    assert f"`{name}`" in page("docs/simulator.md")
    assert name in help_of("sim", "--router")


@pytest.mark.parametrize("name", PRESETS)
def test_a_step_time_preset_is_documented_with_its_origin(name):
    assert page("docs/step-times.md").count(f"| `{name}` |") == 2
    assert name in help_of("sim", "--step-time")


@pytest.mark.parametrize("name", FORMATS)
def test_a_trace_format_is_documented(name):
    assert f"| `{name}` |" in page("docs/traces.md")


@pytest.mark.parametrize("name", CATALOGUE)
def test_a_public_trace_is_documented(name):
    assert f"| `{name}` |" in page("docs/traces.md")
    assert name in help_of("sim", "--trace")


@pytest.mark.parametrize("name", MEASURES)
def test_a_measure_is_documented_with_its_formula_and_key(name):
    row = next(line for line in page("docs/measures.md").splitlines() if f"(`{name}`)" in line)
    assert f"`{MEASURES[name].formula}`" in row
    assert f"{MEASURES[name].key}`" in row


@pytest.mark.parametrize("name", FORECAST_MEASURES)
def test_a_measure_of_forecasts_is_documented_with_its_formula(name):
    row = next(line for line in page("docs/fitting.md").splitlines() if f"(`{name}`)" in line)
    assert f"`{FORECAST_MEASURES[name].formula.replace('|', chr(92) + '|')}`" in row


@pytest.mark.parametrize("name", ROLES)
def test_a_column_s_role_is_documented_with_its_names(name):
    row = next(line for line in page("docs/fitting.md").splitlines() if line.startswith(f"| `{name}` |"))
    assert all(f"`{known}`" in row for known in ROLES[name].names)


def test_every_number_that_a_summary_holds_is_a_documented_measure():
    record = Record("a", 0.0, 0.0, 1.0, 2.0, prompt_tokens=3, output_tokens=4)
    summary = summarise(Records.of([record]), service=np.ones(1), slos={"ttft": 1.0})
    keys = tuple(measure.key for measure in MEASURES.values())
    assert [key for key in summary if not key.endswith(keys)] == []


@pytest.mark.parametrize(("command", "flag"), [(c, f) for c, names in flags().items() for f in sorted(names)])
def test_a_flag_is_documented(command, flag):
    text = page("docs/cli.md").partition(f"\n## {f'soonest {command}'.strip()}\n")[2].partition("\n## ")[0]
    assert f"`{flag}`" in text


def test_every_header_of_the_gateway_is_documented():
    said = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "src/soonest/gateway").rglob("*.py"))
    headers = set(re.findall(r'b"((?:x-|retry-)[a-z-]+)"', said)) - {"x-api-key"}  # that one is on the page of keys
    assert {"x-soonest-queue-ms", "x-soonest-forecast"} < headers
    assert [name for name in sorted(headers) if f"`{name}`" not in page("docs/serve.md")] == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_to_a_file_leads_to_one(path):
    targets = (match[1].partition("#")[0] for match in LINK.finditer(path.read_text(encoding="utf-8")))
    local = [t for t in targets if t and not t.startswith("https://")]
    assert [t for t in local if not (path.parent / t).is_file()] == []


def test_every_page_is_in_the_navigation():
    names = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
    listed = set(re.findall(r"\S+\.md", page("mkdocs.yml")))
    assert names == listed


def test_every_decision_is_listed_under_a_number_of_its_own():
    names = sorted(path.name for path in (DOCS / "adr").glob("0*.md"))
    assert [int(name[:4]) for name in names] == list(range(1, len(names) + 1))
    assert [name for name in names if f"({name})" not in page("docs/adr/index.md")] == []


@pytest.mark.parametrize("text", blocks("python", marked=True))
def test_a_python_block_runs(text, tmp_path):
    subprocess.run([sys.executable, "-W", "error", "-c", text], cwd=tmp_path, check=True, timeout=120)


@pytest.mark.parametrize("text", blocks("console", marked=True))
def test_a_console_block_runs(text, tmp_path):
    calls = sample().head(200)
    rows = zip(calls.arrival.tolist(), calls.prompt_tokens.tolist(), calls.output_tokens.tolist(), strict=True)
    lines = ["timestamp_s,prompt_tokens,output_tokens", *(f"{a},{p},{o}" for a, p, o in rows)]
    (tmp_path / "calls.csv").write_text("\n".join(lines) + "\n")
    assert commands(text)
    for arguments in commands(text):
        done = subprocess.run(
            [*SOONEST, *arguments], cwd=tmp_path, check=True, timeout=300, capture_output=True, text=True
        )
        assert "shortest" in done.stdout
        shown = [word for word in arguments if word.endswith((".png", ".html", ".json"))]
        assert all((tmp_path / name).stat().st_size for name in shown)


@pytest.mark.parametrize("text", blocks("console", marked=False))
def test_a_shown_command_has_only_flags_that_exist(text):
    known = flags()
    for command, *words in (arguments or [""] for arguments in commands(text)):
        used = {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)}
        assert used <= known[command]


def test_no_page_and_no_source_names_a_place_on_somebody_s_machine():
    kinds = {".py", ".md", ".yml", ".toml", ".txt", ".cff", ""}
    hidden = (".", "site", "build", "dist", "__pycache__")
    files = [
        path
        for path in ROOT.rglob("*")
        if path.suffix in kinds and not any(part.startswith(hidden) for part in path.relative_to(ROOT).parts)
    ]
    place = re.compile(rf"(?<![\w.~/<-])/(?:{PLACES})/\w")
    found = [str(p.relative_to(ROOT)) for p in files if p.is_file() and place.search(p.read_text(encoding="utf-8"))]
    assert found == []

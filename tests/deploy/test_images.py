"""Docker does not run in these tests: what Dockerfile and compose file say is compared with what there is."""

import json
import os
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from tests.deploy.deployed import DEPLOY, read

import soonest
from soonest.engines.tiny import forecasts

ROOT = DEPLOY.parent
COMPOSE = read("compose.yaml")
SERVICES = COMPOSE["services"]
OURS = {name: one for name, one in SERVICES.items() if "build" in one}
INSTRUCTION = re.compile(r"^([A-Z]+) (.*)$", re.MULTILINE)
PORTS = {"engine": 8000, "gateway": 8080, "prometheus": 9090, "grafana": 3000}


def stages():
    """The Dockerfile's instructions by stage, a word and its text, those of the stage that it is made from before."""
    text = re.sub(r"\\\n\s*", "", (DEPLOY / "Dockerfile").read_text(encoding="utf-8"))
    made = {}
    for word, rest in INSTRUCTION.findall(text):
        if word == "FROM":
            before, name = re.fullmatch(r"(\S+) AS (\S+)", rest).groups()
            made[name] = [*made.get(before, []), (word, before)]
        else:
            made[name].append((word, rest))
    return made


STAGES = stages()


def all_of(stage, word):
    return [rest for name, rest in STAGES[stage] if name == word]


@cache
def help_of(command):
    """The flags and the variables that its help names."""
    words = [sys.executable, "-m", "soonest", command, "--help"]
    wide = {**os.environ, "COLUMNS": "400"}
    said = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60, env=wide).stdout
    return set(re.findall(r"--[a-z-]+", said)), set(re.findall(r"SOONEST_[A-Z_]+", said))


def flags(words):
    return {word.partition("=")[0] for word in words if word.startswith("-")}


@pytest.mark.parametrize("name", OURS)
def test_a_service_starts_a_command_with_flags_and_variables_that_exist(name):
    command, *words = OURS[name]["command"]
    known, variables = help_of(command)
    assert flags(words)
    assert flags(words) <= known
    said = {variable for variable in OURS[name]["environment"] if variable.startswith("SOONEST_")}
    said |= set(re.findall(r"SOONEST_\w+", " ".join(all_of(OURS[name]["build"]["target"], "ENV"))))
    assert said <= variables
    assert OURS[name]["environment"][f"SOONEST_{command.upper()}_HOST"] == "0.0.0.0"  # noqa: S104 - in a container
    assert json.loads(all_of(OURS[name]["build"]["target"], "CMD")[-1]) == [command]


@pytest.mark.parametrize("stage", ["engine", "gateway"])
def test_an_image_runs_as_nobody_special_and_asks_itself_whether_it_is_well(stage):
    assert all_of(stage, "USER")[-1] == "10001:10001"
    assert json.loads(all_of(stage, "ENTRYPOINT")[-1]) == ["soonest"]
    assert all_of(stage, "EXPOSE") == [str(PORTS[stage])]
    assert f"http://127.0.0.1:{PORTS[stage]}/health" in all_of(stage, "HEALTHCHECK")[-1]
    assert list(STAGES)[-1] == "gateway"  # what is built where no target is named


def test_what_is_copied_into_an_image_is_all_that_the_package_is_made_of(tmp_path):
    kept = {line[1:] for line in (DEPLOY / "Dockerfile.dockerignore").read_text().split() if line.startswith("!")}
    for stage in ("build-engine", "build-gateway"):
        copied = {name for rest in all_of(stage, "COPY") for name in rest.split()[:-1]}
        assert copied == kept
    for name in kept:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel"]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=120, capture_output=True)
    assert list((tmp_path / "dist").glob(f"soonest-{soonest.__version__}-*.whl"))


def test_the_image_s_pytorch_is_the_one_that_is_tested():
    (asked,) = re.findall(r"torch==[\d.]+", (DEPLOY / "Dockerfile").read_text())
    assert asked in (ROOT / "constraints.txt").read_text().split()


def test_the_forecasts_that_are_named_lie_where_they_are_installed():
    words = SERVICES["gateway"]["command"]
    folder = Path(words[words.index("--predictor") + 1])
    python = "python" + all_of("base", "FROM")[0].partition(":")[2].partition("-")[0]
    inside = forecasts().relative_to(Path(soonest.__file__).parent)
    assert folder == Path("/venv/lib", python, "site-packages", "soonest", inside)


@pytest.mark.parametrize("name", SERVICES)
def test_only_this_machine_reaches_a_service_and_it_is_what_it_was_yesterday(name):
    published = SERVICES[name].get("ports", [])
    assert set(published) <= {f"127.0.0.1:{PORTS[name]}:{PORTS[name]}"}
    assert "build" in SERVICES[name] or re.search(r":v?\d+\.\d+\.\d+$", SERVICES[name]["image"])


def test_what_is_mounted_is_there():
    mounted = [words.split(":")[:2] for one in SERVICES.values() for words in one.get("volumes", [])]
    for source, _ in mounted:
        assert source in COMPOSE["volumes"] or (DEPLOY / source).exists()
    places = {target: DEPLOY / source for source, target in mounted}
    assert (places["/etc/prometheus"] / "prometheus.yml").is_file()
    (provider,) = read("grafana/provisioning/dashboards/soonest.yaml")["providers"]
    assert f"{provider['options']['path']}/soonest.json" in places


def test_each_names_the_other_as_compose_does():
    (job,) = read("prometheus/prometheus.yml")["scrape_configs"]
    (source,) = read("grafana/provisioning/datasources/prometheus.yaml")["datasources"]
    words = SERVICES["gateway"]["command"]
    named = [*job["static_configs"][0]["targets"], source["url"], words[words.index("--engine") + 1]]
    assert [name.rpartition("/")[2] for name in named] == [
        f"{name}:{PORTS[name]}" for name in ("gateway", "prometheus", "engine")
    ]

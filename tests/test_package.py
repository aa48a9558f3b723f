"""What is shipped: one version, a small base, and a wheel that has what it needs."""

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import soonest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
HEAVY = ("numba", "matplotlib", "plotly", "scipy", "torch")


def package(requirement):
    return re.match(r"[\w.-]+", requirement)[0].lower().replace("_", "-")


def test_the_version_is_the_same_everywhere():
    citation = re.search(r"(?m)^version: (\S+)$", (ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    changes = re.search(r"(?m)^## \[(\d\S*)\] - \d{4}-\d\d-\d\d$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"))
    assert soonest.__version__ == PROJECT["version"] == citation[1] == changes[1]


def test_the_base_install_is_three_packages():
    assert sorted(map(package, PROJECT["dependencies"])) == ["numpy", "rich", "typer"]


def test_numba_has_no_upper_bound():
    assert PROJECT["optional-dependencies"]["fast"] == ["numba>=0.65"]


def test_the_constraints_pin_everything_that_is_asked_for():
    asked = {package(r) for several in PROJECT["optional-dependencies"].values() for r in several}
    asked |= {package(r) for r in PROJECT["dependencies"]}
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", pin) for pin in pins)
    assert asked - {package(pin) for pin in pins} == {"soonest"}


@pytest.mark.parametrize("arguments", [["--help"], ["sim", "--help"], ["policies"], ["--version"]])
def test_asking_for_help_loads_nothing_heavy(arguments):
    code = (
        "import sys\n"
        "from soonest.cli import main\n"
        f"sys.argv = ['soonest', *{arguments!r}]\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\n"
        f"print('heavy:', *[name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.rstrip().endswith("heavy:")
    assert len(done.stdout.splitlines()) > 1


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, timeout=120, capture_output=True)
    (path,) = folder.glob("*.whl")
    return path


def test_the_wheel_holds_the_package_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {"soonest/data/sample/sample.csv", "soonest/py.typed"} <= set(names)
    page = ROOT / "src/soonest/gateway/ui/page"
    assert {f"soonest/gateway/ui/page/{file.name}" for file in page.iterdir()} <= set(names)
    assert any(re.fullmatch(r"soonest-.*\.dist-info/licenses/LICENSE", name) for name in names)
    assert [n for n in names if not re.match(r"soonest[/-]", n) or "__pycache__" in n] == []


def test_the_wheel_works_by_itself(wheel, tmp_path):
    with zipfile.ZipFile(wheel) as content:
        content.extractall(tmp_path)
    code = "import soonest, soonest.data; print(soonest.__file__, len(soonest.data.sample()))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    file, size = done.stdout.split()
    assert Path(file).is_relative_to(tmp_path)
    assert 1 <= int(size) <= 2000

"""An arrow between rooms may only point left; what is pure stays pure; and a room stays small."""

import ast
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

SOURCE = Path(__file__).parents[1] / "src"
PACKAGE = "soonest"
MAY_IMPORT = {
    "core": {"core"},
    "policies": {"policies", "core", "words"},
    "data": {"data", "core"},
    "report": {"report", "core"},
    "sim": {"sim", "core", "policies", "data"},
    "predict": {"predict", "core", "data", "words"},
    "words": {"words", "core"},
    "testing": {"testing", "core", "policies", "predict"},
    "serving": {"serving", "core"},
    "cluster": {"cluster", "core", "data", "predict", "report"},
    "engines": {"engines", "core", "policies", "predict", "words", "serving"},
    "gateway": {"gateway", "core", "policies", "predict", "data", "report", "serving", ""},
}
ANYTHING = {"", "cli", "__main__", "studies", "bench"}
"""They compose: the front page, the command line, the studies, the load on live endpoints."""
PURE = {"core", "policies"}
OUTSIDE = {"core": {"numpy"}, "policies": set(), "words": set(), "testing": set()}
"""What a room may import beside the standard library; rooms that are not named here may import anything."""
IMPURE = {"time", "random", "logging", "os", "datetime", "secrets", "socket", "subprocess", "threading"}
ENVIRONMENT = {"environ", "environb", "getenv", "getenvb"}
ENTRY = {"soonest/engines/vllm/options.py", "soonest/cluster/cluster.py"}
"""Where an engine that is not ours begins with us: it has no command line of ours, so the environment is read there.
Ray's workers are given the threads that this process was given."""
CATALOGUES = {"policies", "predict"}
MOST_FILES = 9
HEAVY = (
    "numba", "scipy", "matplotlib", "plotly", "torch", "transformers", "aiohttp", "starlette", "uvicorn", "sqlalchemy",
    "prometheus_client", "opentelemetry", "orjson", "ray",
)  # fmt: skip


class Import(NamedTuple):
    file: Path
    line: int
    module: str

    @property
    def room(self):
        return room_of(self.module.split("."))


def room_of(parts):
    """The part after the package's name, or "" for the front page."""
    return parts[1] if len(parts) > 1 else ""


def modules(root):
    """Every file of the package with its dotted name."""
    for file in sorted((root / PACKAGE).rglob("*.py")):
        parts = file.relative_to(root).with_suffix("").parts
        yield file, parts[:-1] if parts[-1] == "__init__" else parts


def is_module(root, dotted):
    path = root.joinpath(*dotted.split("."))
    return path.is_dir() or path.with_suffix(".py").is_file()


def imports(root, file, parts):
    """All imports of a file, wherever they stand: at the top, under TYPE_CHECKING, inside functions."""
    package = parts if file.name == "__init__.py" else parts[:-1]
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (Import(file, node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = list(package[: len(package) - node.level + 1]) if node.level else []
            base = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:  # a name in a room, or a room itself
                nested = f"{base}.{alias.name}"
                yield Import(file, node.lineno, nested if is_module(root, nested) else base)
        elif isinstance(node, ast.Call) and called(node) in {"import_module", "__import__"}:
            yield from (
                Import(file, node.lineno, a.value)
                for a in node.args[:1]
                if isinstance(a, ast.Constant) and isinstance(a.value, str)
            )


def called(node):
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def wrong_arrows(root):
    """Imports that point right, or from a room that has no place in the plan."""
    for file, parts in modules(root):
        room = room_of(parts)
        for found in imports(root, file, parts):
            where = f"{file.relative_to(root)}:{found.line} imports {found.module}"
            top = found.module.split(".")[0]
            if top == PACKAGE:
                if room not in ANYTHING and found.room not in MAY_IMPORT.get(room, ()):
                    yield where
            elif room in OUTSIDE and top not in OUTSIDE[room] | sys.stdlib_module_names:
                yield where


def impurities(root):
    """Clocks, chance, logs and the system in pure rooms; the environment anywhere but on the command line."""
    for file, parts in modules(root):
        room, where = room_of(parts), file.relative_to(root)
        if room in PURE:
            for found in imports(root, file, parts):
                if found.module.split(".")[0] in IMPURE:
                    yield f"{where}:{found.line} imports {found.module}"
        for node in ast.walk(ast.parse(file.read_text())):
            names = {getattr(node, "attr", None), getattr(node, "id", None)}
            if isinstance(node, ast.ImportFrom):
                names = {alias.name for alias in node.names}
            if room != "cli" and where.as_posix() not in ENTRY and names & ENVIRONMENT:
                yield f"{where}:{node.lineno} reads the environment"
            if room in PURE and isinstance(node, ast.Attribute) and node.attr == "random":
                yield f"{where}:{node.lineno} draws at random"


def crowded_rooms(root):
    """Folders with more than nine files, their front pages not counted."""
    for folder in [root / PACKAGE, *(p for p in (root / PACKAGE).rglob("*") if p.is_dir())]:
        files = [f for f in folder.glob("*.py") if f.name != "__init__.py"]
        if len(files) > MOST_FILES and folder.name not in CATALOGUES:
            yield f"{folder.relative_to(root)} has {len(files)} files"


def speechless(root):
    return [str(f.relative_to(root)) for f, _ in modules(root) if not ast.get_docstring(ast.parse(f.read_text()))]


def test_no_arrow_points_right():
    assert list(wrong_arrows(SOURCE)) == []


def test_every_room_has_its_place_in_the_plan():
    rooms = {room_of(parts) for _, parts in modules(SOURCE)}
    assert {"core", "policies", "sim"} <= rooms
    assert rooms <= MAY_IMPORT.keys() | ANYTHING


def test_what_is_pure_knows_no_clock_no_chance_and_no_environment():
    assert list(impurities(SOURCE)) == []


def test_a_room_has_at_most_nine_files():
    assert list(crowded_rooms(SOURCE)) == []


def test_every_module_says_what_it_is():
    assert speechless(SOURCE) == []


def test_importing_the_library_loads_nothing_heavy():
    code = (
        "import sys, soonest, soonest.core, soonest.policies, soonest.sim, soonest.testing\n"
        f"print(*[m for m in {HEAVY} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.split() == []


@pytest.fixture
def tree(tmp_path):
    """A made-up package: give it files, and look at it as at ours."""

    def plant(files):
        for name, text in {"__init__.py": '"""Top."""', **files}.items():
            path = tmp_path / PACKAGE / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path

    return plant


UNDER_TYPES = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from soonest.sim.job import Job\n"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("core/a.py", "import soonest.sim"),
        ("core/a.py", "from soonest.policies import policy"),
        ("core/a.py", UNDER_TYPES),
        ("core/a.py", "def late():\n    from soonest.data import Trace\n"),
        ("core/a.py", "import importlib\nimportlib.import_module('soonest.sim')"),
        ("core/a.py", "from soonest import sim"),
        ("core/a.py", "from soonest import Simulator"),
        ("core/a.py", "from .. import sim"),
        ("core/a.py", "from ..sim import job"),
        ("core/__init__.py", "from ..sim import job"),
        ("core/deep/a.py", "from ...sim import job"),
        ("core/a.py", "import scipy"),
        ("core/a.py", "try:\n    import scipy.stats\nexcept ImportError:\n    pass\n"),
        ("policies/a.py", "import numpy as np"),
        ("policies/a.py", "from soonest.data import Trace"),
        ("policies/a.py", "class A:\n    def b(self):\n        import soonest.sim\n"),
        ("data/a.py", "from soonest.policies import policy"),
        ("report/a.py", "from soonest.sim import Result"),
        ("sim/a.py", "from soonest.report import table"),
        ("sim/a.py", "from soonest.cli import main"),
        ("testing/sneaky.py", "from soonest.sim import simulate"),
        ("attic/a.py", "from soonest.core import Entry"),
    ],
)
def test_the_walker_finds_an_arrow_that_points_right(tree, name, text):
    root = tree(
        {"sim/__init__.py": "", "sim/job.py": "", "policies/__init__.py": "", "data/__init__.py": "", name: text}
    )
    found = list(wrong_arrows(root))
    assert found
    assert all(f"{PACKAGE}/{name}:" in where for where in found)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "core/a.py",
            "import math\nimport numpy as np\nfrom soonest.core.b import c\nfrom .b import c\nfrom . import b\n",
        ),
        ("core/a.py", "from soonest import core"),
        ("policies/a.py", "from soonest.core import Entry\nfrom soonest.policies.b import B\n"),
        ("sim/a.py", "from soonest.data import Trace\nfrom soonest.policies import policy\nimport numba\n"),
        ("report/a.py", "def late():\n    import matplotlib\n"),
        ("cli/a.py", "from soonest.sim import simulate\nimport soonest\n"),
        ("__init__.py", "from soonest.sim import simulate\n"),
    ],
)
def test_the_walker_lets_the_others_be(tree, name, text):
    assert list(wrong_arrows(tree({"core/__init__.py": "", "core/b.py": "", name: text}))) == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("core/a.py", "import time"),
        ("policies/a.py", "def late():\n    from random import random\n"),
        ("core/a.py", "import logging.handlers"),
        ("policies/a.py", "import numpy as np\nnp.random.rand()"),
        ("sim/a.py", "import os\nos.environ['A']"),
        ("sim/a.py", "from os import environ"),
        ("report/a.py", "import os as system\nsystem.getenv('A')"),
        ("__init__.py", "from os import getenv as read"),
    ],
)
def test_the_walker_finds_what_is_not_pure(tree, name, text):
    found = list(impurities(tree({name: text})))
    assert found
    assert all(f"{PACKAGE}/{name}:" in where for where in found)


def test_the_walker_lets_hosts_have_a_clock_and_the_command_line_its_environment(tree):
    files = {
        "sim/a.py": "import time, random, os",
        "cli/a.py": "import os\nos.environ['A']",
        "core/a.py": "import math",
    }
    assert list(impurities(tree(files))) == []


def test_a_crowded_room_is_found_and_a_catalogue_is_not(tree):
    many = {f"{room}/f{i}.py": "" for room in ("sim", "sim/deep", "policies") for i in range(10)}
    many |= {f"core/f{i}.py": "" for i in range(9)} | {"core/__init__.py": ""}
    assert sorted(crowded_rooms(tree(many))) == ["soonest/sim has 10 files", "soonest/sim/deep has 10 files"]


def test_a_module_without_a_sentence_is_found(tree):
    assert speechless(tree({"core/a.py": "x = 1", "core/b.py": '"""Said."""'})) == ["soonest/core/a.py"]

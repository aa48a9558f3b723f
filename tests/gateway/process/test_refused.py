"""What a gateway cannot do it refuses at the start, in one line that names it."""

import subprocess
import sys

import pytest

REFUSED = [
    (("--policy", "a_ell"), "a_ell"),
    (("--policy", "response_ratio(shortest)", "--mode", "priority"), "response_ratio"),
    (("--policy", "a_max", "--mode", "priority"), "a_max"),
    (("--policy", "nothing"), "nothing"),
    (("--keys", "/nowhere/keys.toml"), "/nowhere/keys.toml"),
    (("--journal", "/nowhere/j.db"), "/nowhere/j.db"),
    (("--predictor", "conformal(encoder)"), "online(conformal(encoder))"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("flags", "name"), REFUSED, ids=range(len(REFUSED)))
def test_what_cannot_be_ends_with_2_and_one_line(flags, name):
    command = [sys.executable, "-m", "soonest", "serve", "--engine", "http://127.0.0.1:9", "--port", "0"]
    journal = () if "--journal" in flags else ("--journal", "none")
    done = subprocess.run([*command, *flags, *journal], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2, done.stderr
    assert name in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert done.stdout == ""

"""What a gateway cannot do it refuses at the start, in one line that names it."""

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from soonest.cli import app
from soonest.serving import listen

REFUSED = [
    (("--policy", "a_ell"), "a_ell"),
    (("--policy", "response_ratio(shortest)", "--mode", "priority"), "response_ratio"),
    (("--policy", "a_max", "--mode", "priority"), "a_max"),
    (("--policy", "nothing"), "nothing"),
    (("--keys", "/nowhere/keys.toml"), "/nowhere/keys.toml"),
    (("--journal", "/nowhere/j.db"), "/nowhere/j.db"),
    (("--engine", "http://[::1:8000"), "http://[::1:8000"),
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


@pytest.mark.parametrize("command", ["serve", "engine"])
@pytest.mark.parametrize("port", ["65536", "70000", "-1"])
def test_a_port_that_cannot_be_is_refused_before_anything_is_started(tmp_path, monkeypatch, command, port):
    monkeypatch.setenv("SOONEST_SERVE_ENGINE", "http://127.0.0.1:9")
    monkeypatch.setenv("SOONEST_SERVE_JOURNAL", str(tmp_path / "j.db"))
    done = CliRunner().invoke(app, [command, "--port", port])
    assert done.exit_code == 2, done.exception
    assert not (tmp_path / "j.db").exists()


@pytest.mark.parametrize(("host", "port"), [("127.0.0.1", 70000), ("127.0.0.1", -1), ("192.0.2.1", 0)])
def test_an_address_that_cannot_be_listened_on_is_named_and_leaves_no_socket(host, port):
    with pytest.raises(OSError, match=f"cannot listen on {host}:{port}: .+; take another --port"):
        listen(host, port)

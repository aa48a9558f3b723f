"""Databases for journals: a file, and a real PostgreSQL server."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest

from soonest.data.journal import Row


def server_user():
    """Whom the server runs as: it refuses root."""
    if os.getuid() != 0:
        return None
    names = {user.pw_name for user in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


class Server:
    """A PostgreSQL server of our own, in a folder of its own, that can be stopped and started."""

    def __init__(self, binaries):
        self.binaries = binaries
        self.user = server_user()
        self.folder = Path(tempfile.mkdtemp(prefix="pg"))
        if self.user:
            shutil.chown(self.folder, self.user)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"postgresql://soonest@127.0.0.1:{self.port}/postgres"
        self.call("initdb", "-D", "data", "-U", "soonest", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C")

    def call(self, name, *words):
        command = [self.binaries / name, *words]
        done = subprocess.run(
            command,
            cwd=self.folder,
            user=self.user,
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # the server keeps them open
            stderr=subprocess.DEVNULL,
            timeout=60,
        )
        assert done.returncode == 0, (command, (self.folder / "log").read_text() if name == "pg_ctl" else "")

    def start(self):
        options = f"-k {self.folder} -c listen_addresses=127.0.0.1 -p {self.port} -c fsync=off"
        self.call("pg_ctl", "-D", "data", "-l", "log", "-o", options, "-w", "start")

    def stop(self):
        self.call("pg_ctl", "-D", "data", "-m", "immediate", "-w", "stop")

    def empty(self):
        self.call("psql", "-q", self.url, "-c", "DROP TABLE IF EXISTS meta, runs, notes, requests")


@pytest.fixture(scope="session")
def server():
    """A running server; skips where none is installed, and fails there in CI."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    on_path = shutil.which("initdb")
    if not found and not on_path:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(
            "no PostgreSQL server: install Debian's package postgresql"
        )
    made = Server(found[-1].parent if found else Path(on_path).parent)
    made.start()
    yield made
    made.stop()
    shutil.rmtree(made.folder, ignore_errors=True)


@pytest.fixture(params=["sqlite", "postgres"])
def url(request, tmp_path):
    """An empty journal's place, in both databases."""
    if request.param == "sqlite":
        return str(tmp_path / "journal.db")
    server = request.getfixturevalue("server")
    server.empty()
    return server.url


@pytest.fixture
def answered():
    """A finished row, by number."""

    def make(i, **facts):
        known = {"arrival": float(i), "admitted": i + 0.1, "first_token": i + 0.2, "finished": i + 1.0}
        known |= {"prompt_tokens": 7, "output_tokens": 5, "policy": "shortest", "outcome": "finished"}
        return Row(**{"id": f"r{i}"} | known | facts)

    return make

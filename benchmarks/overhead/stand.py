"""The processes of a measurement: engine, nginx, and the gateways in between, each on its core."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from soonest.serving import listen

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

TICK: Final = os.sysconf("SC_CLK_TCK")
NGINX: Final = """daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log /dev/null;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  keepalive_requests 1000000;
  upstream engine {{ server {engine}; keepalive 64; keepalive_requests 1000000; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://engine;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
    }}
  }}
}}
"""


@dataclass(frozen=True, slots=True)
class Process:
    """Where it listens, and how much of a core it has used."""

    url: str
    pid: int

    def cpu(self) -> float:
        """Seconds of processor time so far, of all its threads."""
        fields = Path(f"/proc/{self.pid}/stat").read_text("utf-8").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICK


def on(core: int | None) -> list[str]:
    """Words that hold a command on a core."""
    return [] if core is None else ["taskset", "-c", str(core)]


@contextmanager
def running(words: Sequence[str], core: int | None, url: str = "") -> Iterator[Process]:
    """A process until the block ends; unless `url` is known, its first line on stdout tells it."""
    with subprocess.Popen(  # noqa: S603 - our own commands
        [*on(core), *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(Path.cwd()), os.getenv("PYTHONPATH")]))},
    ) as child:
        assert child.stdout is not None  # noqa: S101 - it is a pipe, as asked above
        try:
            if not url:
                line = child.stdout.readline()
                if not line:
                    raise RuntimeError(f"{' '.join(words)} did not start")
                url = json.loads(line)["url"]
            yield Process(url, child.pid)
        finally:
            child.terminate()
            with suppress(subprocess.TimeoutExpired):
                child.wait(10)
            if child.returncode is None:
                child.send_signal(signal.SIGKILL)


def engine(**options: float) -> list[str]:
    """The command of a fake engine."""
    words = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    return [sys.executable, "-m", "tests.fakes.engine", *words]


def gateway(url: str, journal: str, *more: str) -> list[str]:
    """The command of a gateway of ours before it."""
    command = [sys.executable, "-m", "soonest", "serve", "--engine", url, "--port", "0", "--journal", journal]
    return [*command, *more]


def bare(url: str) -> list[str]:
    """The command of a bare pass-through before it."""
    return [sys.executable, "-m", "benchmarks.overhead.passing", url]


def nginx() -> str | None:
    """Where it is, if it is installed."""
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")


@contextmanager
def nginx_before(url: str, core: int | None, folder: Path) -> Iterator[Process]:
    """Nginx with buffering off and one worker."""
    command = nginx()
    assert command is not None  # noqa: S101 - asked before
    with listen("127.0.0.1", 0) as free:
        port = free.getsockname()[1]
    configuration = folder / "nginx.conf"
    configuration.write_text(NGINX.format(folder=folder, port=port, engine=url.removeprefix("http://")), "utf-8")
    with running([command, "-p", str(folder), "-c", str(configuration)], core, f"http://127.0.0.1:{port}") as process:
        yield process

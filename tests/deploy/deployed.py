"""What lies in deploy/, and a real Prometheus that reads it."""

import contextlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import pytest
import yaml
from tests.gateway.clients import until
from tests.real.servers import free_port

DEPLOY = Path(__file__).parents[2] / "deploy"
CHART = DEPLOY / "helm" / "soonest"
ALERTS = DEPLOY / "prometheus" / "alerts.yml"
DASHBOARD = DEPLOY / "grafana" / "soonest.json"
PROBED = re.compile(r"/(?:health|ready|metrics)\b(?:/\w+)?")

HELM = """
import json, sys
import helm_python

def made(chart, values):
    try:
        chart.validate_schema(values)
        return chart.render(values, name="demo", namespace="prod")
    except helm_python.HelmError as error:
        return str(error)

with helm_python.Chart.load(sys.argv[1]) as chart:
    found = [made(chart, values) for values in json.load(sys.stdin)]
json.dump(dict(lint=helm_python.lint(sys.argv[1])["errors"], made=found), sys.stdout)
"""


def read(path):
    return yaml.safe_load((DEPLOY / path).read_text(encoding="utf-8"))


def rules():
    return [rule for group in read(ALERTS)["groups"] for rule in group["rules"]]


def panels():
    return [panel for panel in json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"] if panel["type"] != "row"]


def installed(name):
    """The path of a program of Debian's package prometheus; skips where it is absent, and fails there in CI."""
    path = shutil.which(name)
    if path is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"no {name}: install Debian's package prometheus")
    return path


def helm(chart, *values):
    """What Helm's library makes of a chart: what lint finds, and for each of the values files by name, or an error.

    In a process of its own, as the library starts Go's threads. Skips where it is absent, and fails there in CI.
    """
    if importlib.util.find_spec("helm_python") is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("no Helm: pip install helm-python-sdk")
    command = [sys.executable, "-c", HELM, str(chart)]
    done = subprocess.run(command, input=json.dumps(values), capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    return told["lint"], told["made"]


def promtool(*words, **more):
    """Exit status, and what it said."""
    done = subprocess.run(
        [installed("promtool"), *words], capture_output=True, text=True, timeout=120, check=False, **more
    )
    return done.returncode, done.stdout + done.stderr


class Prometheus:
    """Where it is, and what it answers."""

    def __init__(self, url):
        self.url = url

    def get(self, path, **words):
        """The answer's data; an error is said as Prometheus says it."""
        asked = f"{self.url}{path}?{urllib.parse.urlencode(words)}"
        try:
            with urllib.request.urlopen(asked, timeout=30) as answer:  # noqa: S310 - our own
                return json.loads(answer.read())["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{words}: {error.read().decode()}") from None

    def series(self, query):
        """The labels of each series that a query finds, and its number."""
        found = self.get("/api/v1/query", query=query)
        return [(row["metric"], float(row["value"][1])) for row in found["result"]]

    def values(self, query):
        """The number of each series that a query finds."""
        return [number for _, number in self.series(query)]

    def ready(self):
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.url}/-/ready", timeout=5) as answer:  # noqa: S310
            return answer.status == 200
        return False


@contextlib.contextmanager
def scraping(folder, *urls):
    """Prometheus with the configuration of deploy/, but faster, with other targets, and itself beside them."""
    config = read("prometheus/prometheus.yml")
    config["global"] = {"scrape_interval": "2s", "scrape_timeout": "2s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(ALERTS)]
    (job,) = config["scrape_configs"]
    job["static_configs"] = [{"targets": [url.partition("//")[2] for url in urls]}]
    here = f"127.0.0.1:{free_port()}"
    config["scrape_configs"].append({"job_name": "prometheus", "static_configs": [{"targets": [here]}]})
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    command = [installed("prometheus"), f"--config.file={folder / 'prometheus.yml'}", f"--web.listen-address={here}"]
    command += [f"--storage.tsdb.path={folder / 'data'}", "--log.level=warn"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            prometheus = Prometheus(f"http://{here}")
            until(lambda: process.poll() is not None or prometheus.ready(), 60)
            assert process.poll() is None, (folder / "log").read_text()
            yield prometheus
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)

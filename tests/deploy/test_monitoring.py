"""A real Prometheus at two real gateways under load: what dashboard and alerts ask for is there, and nothing else."""

import json
import math
import re
import threading
import urllib.request

import pytest
from tests.deploy.deployed import CHART, DASHBOARD, DEPLOY, PROBED, installed, panels, promtool, rules, scraping
from tests.fakes.engine import running as fake_engine
from tests.gateway.clients import asking, chat, until
from tests.gateway.process.served import serving

from soonest.engines.tiny import NAME, prompts

pytestmark = pytest.mark.slow
SELECTOR = re.compile(r"\b(?:soonest_\w+|up\b)(?:\{[^}]*\})?")
VARIABLES = {"$__rate_interval": "5m", "$instance": ".*", "$model": ".*"}
SAVING = """
import sys
from soonest.gateway.journal import savings

async def replay(url):
    spread = ("mean", "median", "p90", "p99", "max")
    runs = [
        dict(policy=name, completed=9, **{f"{word}_e2el_ms": ms for word in spread})
        for name, ms in (("fcfs", 3000), ("shortest", 2000))
    ]
    return dict(replay=dict(policy="shortest", difference=0.01, trusted=True), runs=runs)

begin = savings.Savings.__init__
savings.Savings.__init__ = lambda self, url: begin(self, url, 0.2, replay)
sys.argv.insert(1, "serve")
from soonest.cli import main
main()
"""
"""A gateway whose replay of the journal takes no ten minutes."""


@pytest.fixture(scope="module")
def scraped(tmp_path_factory):
    """Prometheus, after load at two gateways: before fake engines, of which one is gone, and with one of its own."""
    folder = tmp_path_factory.mktemp("prometheus")
    installed("prometheus")
    limits = ("--in-flight", "2", "--max-waiting", "4", "--max-wait", "0.5")
    with fake_engine(slots=2, step_ms=2) as fake, fake_engine() as gone:
        gone.down()
        engines = ("--engine", fake.url, "--engine", gone.url, "--journal", str(folder / "j.db"))
        with (
            serving(*engines, *limits, through=SAVING) as one,
            serving("--slots", "2", "--journal", "none", "--forecast-budget", "10") as own,
            scraping(folder, one.url, own.url) as prometheus,
        ):
            for _ in range(2):  # a rate is a difference between two scrapes
                crowd(one)
                ask_own(own)
                seen(prometheus, one, own)
            yield prometheus, one, own


def crowd(gateway):
    """Two long answers hold both places; of those behind them some wait too long, and some find the queue full."""
    held = threading.Thread(target=asking, args=(chat(1500), chat(1500)), kwargs={"url": gateway.url})
    held.start()
    until(lambda: gateway.sum("soonest_num_requests_running") == 2)
    told = asking(*[chat(2)] * 10, url=gateway.url)
    assert {status for status, _, _ in told} >= {429, 504}
    held.join(30)
    well = asking(chat(5, stream=True), chat(9), url=gateway.url)
    assert [status for status, _, _ in well] == [200, 200]
    asking(chat(9, "die:3", stream=True), url=gateway.url)
    asking(chat(3, vllm_xargs={"soonest_forecast": ["none", 1, 2]}), url=gateway.url)


def ask_own(gateway):
    turns = [[{"role": "user", "content": prompt}] for prompt in prompts(4)]
    bodies = [{"model": NAME, "messages": turn, "max_tokens": 12, "stream": True} for turn in turns]
    assert [status for status, _, _ in asking(*bodies, url=gateway.url)] == [200] * 4


def seen(prometheus, *gateways):
    """Prometheus knows of all that was asked so far."""
    name = "soonest_request_queue_time_seconds_count"
    there = sum(gateway.sum(name) for gateway in gateways)
    until(lambda: sum(prometheus.values(name)) == there, 30)


def missing(prometheus, queries):
    """Queries that find nothing, or no number."""
    found = {query: prometheus.values(query) for query in queries}
    return [query for query, values in found.items() if not any(map(math.isfinite, values))]


def asked_by_dashboard():
    for panel in panels():
        for target in panel["targets"]:
            query = target["expr"]
            for name, value in VARIABLES.items():
                query = query.replace(name, value)
            yield query


def foreign(prometheus, queries, gateways):
    """Queries that find something of whom they do not ask for, and whose it is."""
    found = {query: {labels.get("instance") for labels, _ in prometheus.series(query)} for query in queries}
    return {query: others for query, instances in found.items() if (others := instances - {None} - gateways)}


def variables():
    """The metric and the label that each variable of the dashboard is filled from."""
    listed = json.loads(DASHBOARD.read_text(encoding="utf-8"))["templating"]["list"]
    for one in listed:
        if one["type"] == "query":
            metric, label = re.fullmatch(r"label_values\((.+), (\w+)\)", one["query"]["query"]).groups()
            yield metric.replace("$instance", ".*"), label


def test_every_query_of_the_dashboard_finds_data(scraped):
    prometheus = scraped[0]
    queries = list(asked_by_dashboard())
    assert len(queries) > 40
    assert [query for query in queries if "$" in query] == []
    assert missing(prometheus, queries) == []
    filled = [prometheus.get(f"/api/v1/label/{label}/values", **{"match[]": metric}) for metric, label in variables()]
    assert len(filled) == 2
    assert all(filled)


def test_the_dashboard_shows_gateways_alone(scraped):
    prometheus, *gateways = scraped
    here = {gateway.url.partition("//")[2] for gateway in gateways}
    shared = {labels["instance"] for labels, _ in prometheus.series("process_resident_memory_bytes")}
    assert len(shared - here) == 1, "Prometheus itself"
    assert foreign(prometheus, asked_by_dashboard(), here) == {}


def test_every_rule_is_evaluated_and_what_it_asks_for_is_there(scraped):
    prometheus = scraped[0]
    asked = {selector for rule in rules() for selector in SELECTOR.findall(rule["expr"])}
    assert len(asked) >= len(rules())
    assert missing(prometheus, sorted(asked)) == []
    heard = {"SoonestEngineOut", "SoonestQueueFull", "SoonestWaitedTooLong"}
    until(lambda: heard <= {rule["name"] for rule in evaluated(prometheus) if rule["state"] != "inactive"}, 30)
    assert [rule["name"] for rule in evaluated(prometheus) if rule["health"] != "ok"] == []
    silent = {"SoonestGatewayDown", "SoonestNoEngine", "SoonestJournalUnhealthy", "SoonestJournalRowsLost"}
    until(lambda: silent <= {rule["name"] for rule in evaluated(prometheus) if rule["state"] == "inactive"}, 30)


def evaluated(prometheus):
    return [rule for group in prometheus.get("/api/v1/rules")["groups"] for rule in group["rules"]]


def test_promtool_finds_nothing_wrong_with_the_metrics(scraped):
    for gateway in scraped[1:]:
        with urllib.request.urlopen(f"{gateway.url}/metrics", timeout=10) as page:  # noqa: S310 - our own
            assert promtool("check", "metrics", input=page.read().decode()) == (0, "")


def test_the_paths_that_deployments_probe_answer(scraped):
    gateway = scraped[2]
    (engine,) = re.findall(r'soonest_upstream_up\{engine="([^"]+)"\}', " ".join(gateway.metrics()))
    files = [DEPLOY / "Dockerfile", *(CHART / "templates").glob("*.yaml")]
    paths = {path for file in files for path in PROBED.findall(file.read_text(encoding="utf-8"))}
    assert paths == {"/health", "/ready/gateway", "/metrics"}
    for url in (*(gateway.url + path for path in paths), f"{engine}/health"):
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - our own
            assert answer.status == 200

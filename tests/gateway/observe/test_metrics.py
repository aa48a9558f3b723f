"""A scrape parses, says what happened, and stays small whatever clients send."""

import pytest
from prometheus_client import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_open
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_open
from prometheus_client.parser import text_string_to_metric_families as parse_plain

from soonest.core import Forecast
from soonest.gateway.observe import METRICS, Kind, Metrics
from soonest.gateway.observe.metrics import plain

OPEN = "application/openmetrics-text; version=1.0.0"
WATCHED = [name for name, meaning in METRICS.items() if meaning.watched]


def live(metrics, record, model="tiny"):
    """A request's whole life, as the gateway tells it."""
    series = metrics.of(model)
    series.forecast_made(0.002)
    series.fallback("slow")
    series.admitted(1.0, 3)
    series.first_token(2.0)
    series.gap(1.0, 8)
    series.prompt_estimated(33.0, 30)
    series.retried()
    series.rejected("queue_full")
    series.ended(record, "stop", Forecast.exact(record.output_tokens))


def watch_everything(metrics):
    for name in WATCHED:
        labels = METRICS[name].labels
        told = {"http://a:1": 1.0} if labels == ("engine",) else 2
        metrics.watch(name, lambda told=told: told)


@pytest.mark.parametrize("accept", ["", "text/plain", OPEN, "*/*"])
def test_every_metric_of_the_catalogue_is_in_a_scrape_of_a_busy_gateway(record, scrape, accept):
    metrics = Metrics("shortest", version="1.2.3", mode="gate")
    live(metrics, record())
    watch_everything(metrics)
    names = {name for name, *_ in scrape(metrics, accept=accept)}
    for name, meaning in METRICS.items():
        said = f"{name}_count" if meaning.kind is Kind.HISTOGRAM else name
        assert said in names


def parsed(parse, text):
    return [(f.name, f.type, f.documentation, f.samples) for f in parse(text.decode()) if "process" not in f.name]


@pytest.mark.parametrize("number", [0, True, 1.5, 1e-9, 1e300, float("inf"), -float("inf"), 123456789.0])
def test_the_text_says_what_prometheus_client_would_write(record, number):
    metrics = Metrics('quoted"\\ \n(policy)')
    for model in ("tiny", 'a"b\\c', "é"):
        live(metrics, record(), model)
    watch_everything(metrics)
    metrics.watch("soonest_time_saved_seconds", lambda: number)
    ours, theirs = metrics.render()[0], generate_latest(metrics.registry)
    assert parsed(parse_plain, ours) == parsed(parse_plain, theirs)
    ours, theirs = metrics.render(OPEN)[0], generate_open(metrics.registry, version="1.0.0")
    assert parsed(parse_open, ours) == parsed(parse_open, theirs)


def test_openmetrics_is_spoken_to_who_asks_for_it():
    metrics = Metrics("fcfs")
    assert metrics.render()[1].startswith("text/plain")
    body, content_type = metrics.render(OPEN)
    assert content_type.startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")


def test_a_scrape_says_what_happened(record, cancelled, scrape):
    metrics = Metrics("shortest", version="1.2.3", mode="gate")
    live(metrics, record())
    metrics.of("tiny").ended(cancelled)
    said = scrape(metrics, labels=("model_name", "policy", "finished_reason", "reason"))
    of = ("tiny", "shortest")
    assert said["soonest_request_success_total", *of, "stop"] == 1
    assert said["soonest_request_success_total", *of, "abort"] == 1
    assert said["soonest_admission_rejections_total", *of, "queue_full"] == 1
    assert said["soonest_forecast_fallbacks_total", *of, "slow"] == 1
    assert said["soonest_request_queue_time_seconds_sum", *of] == 1
    assert said["soonest_time_to_first_token_seconds_sum", *of] == 2
    assert said["soonest_inter_token_latency_seconds_count", *of] == 8
    assert said["soonest_request_overtakes_sum", *of] == 3
    assert said["soonest_prompt_estimate_error_ratio_sum", *of] == pytest.approx(0.1)
    assert said["soonest_upstream_retries_total", *of] == 1
    assert said["soonest_forecast_promised_ratio", *of] == 1
    assert said["soonest_forecast_promises_total", *of] == 1
    assert said["soonest_build_info", "shortest"] == 1


def test_what_nobody_tells_is_absent_and_what_is_told_is_asked_at_every_scrape(scrape):
    metrics, saved = Metrics("shortest"), [None, 1.5, 2.5, None]
    metrics.watch("soonest_time_saved_seconds", lambda: saved.pop(0))
    seen = [scrape(metrics).get(("soonest_time_saved_seconds",)) for _ in range(4)]
    assert seen == [None, 1.5, 2.5, None]
    assert ("soonest_journal_healthy",) not in scrape(Metrics("fcfs"))


@pytest.mark.parametrize("name", sorted(METRICS.keys() - set(WATCHED)))
def test_what_counts_events_cannot_be_watched(name):
    with pytest.raises(ValueError, match=name):
        Metrics("fcfs").watch(name, lambda: 1)


def test_numbers_by_model_keep_to_the_known_models(scrape):
    metrics = Metrics("fcfs")
    metrics.of("tiny")
    metrics.watch("soonest_num_requests_waiting", lambda: {"tiny": 1, "b": 2, "c": 3})
    metrics.watch("soonest_num_requests_running", lambda: 7)
    said = scrape(metrics, labels=("model_name",))
    assert said["soonest_num_requests_waiting", "tiny"] == 1
    assert said["soonest_num_requests_waiting", "other"] == 5
    assert said["soonest_num_requests_running", ""] == 7


def test_an_engine_s_address_shows_no_password(scrape):
    metrics = Metrics("fcfs")
    metrics.watch("soonest_upstream_up", lambda: {"http://user:marked@host:8000/v1?key=marked": 1})
    assert scrape(metrics, labels=("engine",))["soonest_upstream_up", "http://host:8000/v1"] == 1
    assert b"marked" not in metrics.render()[0]


@pytest.mark.parametrize(
    ("url", "shown"), [("http://h:1", "http://h:1"), ("http://u@h/v?a#b", "http://h/v"), ("embedded", "embedded")]
)
def test_an_address_is_shown_plainly(url, shown):
    assert plain(url) == shown


def test_models_that_clients_invent_are_one(record, scrape):
    metrics = Metrics("shortest", most_models=3)
    metrics.of("served")
    for number in range(1000):
        metrics.of(f"invented-{number}").ended(record(), "stop")
    metrics.of("x" * 1000).rejected("no_model")
    metrics.of("served").ended(record(), "stop")
    said = scrape(metrics, labels=("model_name",))
    counted = {labels[0]: value for (name, *labels), value in said.items() if name == "soonest_request_success_total"}
    assert counted == {"served": 1, "invented-0": 1, "invented-1": 1, "other": 998}


def test_a_model_called_other_is_among_the_others():
    metrics = Metrics("fcfs", most_models=1)
    assert metrics.of("other") is metrics.of("a") or metrics.of("b") is metrics.of("other")


@pytest.mark.parametrize("model", ['a"b', "a\\b", "é", "", "a{b}"])
def test_any_model_s_name_survives_a_scrape(record, scrape, model):
    for accept in ("", OPEN):
        metrics = Metrics("aging(shortest)")
        metrics.of(model).ended(record(), "stop")
        assert scrape(metrics, labels=("model_name",), accept=accept)["soonest_request_success_total", model] == 1


@pytest.mark.parametrize("word", ["a\nb", "\ud800", "\x00", "x" * 129])
def test_what_is_no_word_becomes_no_label(record, scrape, word):
    metrics = Metrics("fcfs")
    metrics.of(word).ended(record(), word)
    said = scrape(metrics, labels=("model_name", "finished_reason"))
    assert said["soonest_request_success_total", "other", "other"] == 1


def test_two_gateways_in_one_process_count_apart(record, scrape):
    first, second = Metrics("fcfs"), Metrics("shortest")
    first.of("tiny").ended(record(), "stop")
    assert ("soonest_request_success_total",) in scrape(first)
    assert ("soonest_request_success_total",) not in scrape(second)

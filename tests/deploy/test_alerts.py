"""Each alert is heard when it should be and no other with it, says what to do, and stands on the page."""

import re

import pytest
import yaml
from tests.deploy.deployed import ALERTS, DEPLOY, promtool, rules

from soonest.gateway.observe import METRICS

PAGE = (DEPLOY.parent / "docs" / "deploy.md").read_text(encoding="utf-8")
NAMES = [rule["alert"] for rule in rules()]
MINUTES = 60
JOB = 'job="soonest",instance="a"'
MODEL = f'{JOB},model_name="m",policy="fcfs"'
QUEUE = "soonest_request_queue_time_seconds"
TOKENS = f"soonest_inter_token_latency_seconds_count{{{MODEL}}}"
ENDED = "soonest_request_success_total"
COVERAGE = f"soonest_forecast_coverage_ratio{{{MODEL}}}"
PROMISED = f"soonest_forecast_promised_ratio{{{MODEL}}}"
PROMISES = f"soonest_forecast_promises_total{{{MODEL}}}"
WELL = {
    f"up{{{JOB}}}": "1x60",
    f"soonest_build_info{{{JOB}}}": "1x60",
    f'soonest_upstream_up{{{JOB},engine="x"}}': "1x60",
    f'soonest_upstream_up{{{JOB},engine="y"}}': "1x60",
    f'soonest_upstream_restarts_total{{{JOB},engine="x"}}': "1x60",
    f"soonest_num_requests_waiting{{{MODEL}}}": "3x60",
    f'{QUEUE}_bucket{{{MODEL},le="30.0"}}': "0+100x60",
    f'{QUEUE}_bucket{{{MODEL},le="120.0"}}': "0+100x60",
    f'{QUEUE}_bucket{{{MODEL},le="+Inf"}}': "0+100x60",
    f"{QUEUE}_count{{{MODEL}}}": "0+100x60",
    f'soonest_admission_rejections_total{{{MODEL},reason="queue_full"}}': "7x60",
    f'soonest_admission_rejections_total{{{MODEL},reason="deadline"}}': "7x60",
    f'soonest_admission_rejections_total{{{MODEL},reason="key"}}': "0+100x60",
    TOKENS: "0+900x60",
    f'{ENDED}{{{MODEL},finished_reason="stop"}}': "0+100x60",
    f'{ENDED}{{{MODEL},finished_reason="error"}}': "0+4x60",
    f'{ENDED}{{{MODEL},finished_reason="refused"}}': "0+1x60",
    COVERAGE: "0.9x60",
    PROMISED: "0.9x60",
    PROMISES: "0+100x60",
    f"soonest_forecast_error_tokens_count{{{MODEL}}}": "0+100x60",
    f"soonest_forecast_seconds_count{{{MODEL}}}": "0+100x60",
    f'soonest_forecast_fallbacks_total{{{MODEL},reason="timeout"}}': "0+9x60",
    f'soonest_forecast_fallbacks_total{{{MODEL},reason="tokenize"}}': "0+100x60",
    f"soonest_journal_healthy{{{JOB}}}": "1x60",
    f"soonest_journal_rows_lost_total{{{JOB}}}": "5x60",
}
"""An hour of a gateway with which all is well, a sample a minute."""
NO_SCRAPE = {name: "_x60" for name in WELL if not name.startswith("up")}
NONE_STARTED = {name: "100x60" for name in WELL if QUEUE in name}
ILL = {
    "SoonestGatewayDown": [{f"up{{{JOB}}}": "0x60"}, {**NO_SCRAPE, f"up{{{JOB}}}": "_x60"}],
    "SoonestNoEngine": [{f'soonest_upstream_up{{{JOB},engine="{e}"}}': "0x60" for e in "xy"}],
    "SoonestEngineOut": [{f'soonest_upstream_up{{{JOB},engine="y"}}': "0x60"}],
    "SoonestStandstill": [NONE_STARTED | {TOKENS: "900x60"}],
    "SoonestQueueFull": [{f'soonest_admission_rejections_total{{{MODEL},reason="queue_full"}}': "0+1x60"}],
    "SoonestWaitedTooLong": [{f'soonest_admission_rejections_total{{{MODEL},reason="deadline"}}': "0+1x60"}],
    "SoonestWaitLong": [{f'{QUEUE}_bucket{{{MODEL},le="30.0"}}': "0+90x60"}],
    "SoonestErrors": [
        {f'{ENDED}{{{MODEL},finished_reason="error"}}': "0+6x60"},
        {
            f'{ENDED}{{{MODEL},finished_reason="error"}}': "0+6x60",
            f'{ENDED}{{{MODEL},finished_reason="refused"}}': "0+900x60",
        },
    ],
    "SoonestEngineRestarts": [{f'soonest_upstream_restarts_total{{{JOB},engine="x"}}': "1x40 2 3 4x60"}],
    "SoonestForecastCoverageLow": [{COVERAGE: "0.75x60"}, {COVERAGE: "0.55x60", PROMISED: "0.7x60"}],
    "SoonestForecastFallbacks": [{f'soonest_forecast_fallbacks_total{{{MODEL},reason="timeout"}}': "0+11x60"}],
    "SoonestJournalUnhealthy": [{f"soonest_journal_healthy{{{JOB}}}": "0x60"}],
    "SoonestJournalRowsLost": [{f"soonest_journal_rows_lost_total{{{JOB}}}": "5x55 6x60"}],
}
"""What is otherwise when an alert is to be heard, in one or several ways."""
BESIDE = {"SoonestNoEngine": ["SoonestEngineOut"]}
STILL_WELL = {
    "all is well": {},
    "nobody waits, nobody comes": {
        f"soonest_num_requests_waiting{{{MODEL}}}": "0x60",
        **NONE_STARTED,
        TOKENS: "900x60",
    },
    "all places stream, none ends": NONE_STARTED,
    "a coverage of a hundred answers": {COVERAGE: "0.5x60", PROMISES: "0+1.6x60"},
    "a coverage that was low when the last promise ended": {COVERAGE: "0.5x60", PROMISES: "300x60"},
    "70 % promised and kept": {COVERAGE: "0.71x60", PROMISED: "0.7x60"},
    "clients' mistakes": {f'{ENDED}{{{MODEL},finished_reason="refused"}}': "0+900x60"},
    "an engine that has just gone": {f'soonest_upstream_up{{{JOB},engine="y"}}': "1x58 0 0"},
}


def heard(folder, series, alerts):
    """Whether exactly these alerts are heard at the end of the hour; else what promtool says."""
    firing = 'group by (alertname) (ALERTS{alertstate="firing"})'
    expected = [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in alerts]
    told = [{"series": name, "values": values} for name, values in series.items()]
    asked = {"expr": firing, "eval_time": f"{MINUTES}m", "exp_samples": expected}
    test = {"interval": "1m", "input_series": told, "promql_expr_test": [asked]}
    (folder / "test.yml").write_text(
        yaml.safe_dump({"rule_files": [str(ALERTS)], "evaluation_interval": "1m", "tests": [test]}), encoding="utf-8"
    )
    return promtool("test", "rules", str(folder / "test.yml"))


def test_promtool_finds_nothing_wrong_with_rules_and_configuration():
    assert promtool("check", "config", "--lint-fatal", str(DEPLOY / "prometheus" / "prometheus.yml"))[0] == 0


@pytest.mark.parametrize("alert", NAMES)
def test_an_alert_is_heard_and_no_other_with_it(tmp_path, alert):
    for ill in ILL[alert]:
        status, said = heard(tmp_path, WELL | ill, [alert, *BESIDE.get(alert, [])])
        assert status == 0, said


@pytest.mark.parametrize("otherwise", STILL_WELL.values(), ids=STILL_WELL)
def test_no_alert_is_heard_while_all_is_well(tmp_path, otherwise):
    status, said = heard(tmp_path, WELL | otherwise, [])
    assert status == 0, said


@pytest.mark.parametrize("rule", rules(), ids=NAMES)
def test_an_alert_waits_says_what_to_do_and_stands_on_the_page(rule):
    assert re.fullmatch(r"\d+m", rule["for"])
    assert rule["labels"]["severity"] in {"warning", "critical"}
    assert len(rule["annotations"]["description"].split()) > 10
    assert f"| `{rule['alert']}` |" in PAGE


def test_every_metric_of_a_rule_exists():
    names = {name for rule in rules() for name in re.findall(r"soonest_\w+", rule["expr"])}
    assert {re.sub(r"_(?:bucket|count)$", "", name) for name in names} <= METRICS.keys()

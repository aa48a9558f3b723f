"""A line says what a request did and never what was asked, nor with which key."""

import json
import logging
import math
import re

import pytest

from soonest.core import Forecast, ForecastError, Outcome
from soonest.gateway.access import Access, Denied
from soonest.gateway.observe import Finished, RequestLog

log = logging.getLogger("soonest.gateway")


def line(record, **changed):
    told = {"model": "tiny", "engine": "http://a:1", "status": 200, "finish_reason": "stop"}
    return Finished.of(record, **(told | changed))


def test_a_line_of_json_says_what_a_request_did(record, written):
    stream = written()
    RequestLog().write(line(record(tenant="t"), forecast=Forecast.interval(5, 15)))
    (said,) = map(json.loads, stream.getvalue().splitlines())
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", said.pop("time"))
    assert said == {
        "level": "info",
        "logger": "soonest.gateway",
        "message": "request",
        "id": "r1",
        "tenant": "t",
        "model": "tiny",
        "engine": "http://a:1",
        "outcome": "finished",
        "finish_reason": "stop",
        "status": 200,
        "queue_ms": 1000.0,
        "ttft_ms": 2000.0,
        "e2e_ms": 10000.0,
        "prompt_tokens": 30,
        "output_tokens": 9,
        "forecast_low": 5,
        "forecast_expected": 10.0,
        "forecast_high": 15,
    }


def test_a_line_for_people_says_the_same(record, written):
    stream = written(as_json=False)
    RequestLog().write(line(record(), forecast=Forecast.unknown(10)))
    (said,) = stream.getvalue().splitlines()
    assert said.partition(" ")[2] == (
        'INFO request id=r1 tenant="" model=tiny engine=http://a:1 outcome=finished finish_reason=stop status=200'
        " queue_ms=1000.0 ttft_ms=2000.0 e2e_ms=10000.0 prompt_tokens=30 output_tokens=9"
    )


def test_what_never_happened_is_null(record, written):
    stream = written()
    nothing = record(admitted=math.nan, first_token=math.nan, outcome=Outcome.CANCELLED)
    RequestLog().write(line(nothing, status=499))
    said = json.loads(stream.getvalue())
    assert (said["queue_ms"], said["ttft_ms"], said["forecast_low"]) == (None, None, None)


@pytest.mark.parametrize("as_json", [True, False])
def test_a_client_s_words_make_no_second_line_and_no_long_one(record, written, as_json):
    stream = written(as_json=as_json)
    RequestLog().write(line(record(id="a\nb", tenant='x" outcome="finished'), model="m" * 10_000))
    log.warning("first\nsecond \x1b[31m \ud800")
    first, second = stream.getvalue().splitlines()
    assert second.isascii()
    assert second.isprintable()
    assert len(first) < 1000
    assert "first" in second
    if as_json:
        assert json.loads(first)["tenant"] == 'x" outcome="finished'
    else:
        assert '\\" outcome=' in first


@pytest.mark.parametrize(("share", "low", "high"), [(0.0, 0, 0), (0.25, 400, 600), (1.0, 2000, 2000)])
def test_a_share_of_the_requests_is_written_and_those_that_failed_always(written, share, low, high):
    written()
    chosen, again = RequestLog(share, 10_000), RequestLog(share, 10_000)
    ids = [f"request-{number}" for number in range(2000)]
    wanted = [chosen.wants(name) for name in ids]
    assert low <= sum(wanted) <= high
    assert wanted == [again.wants(name) for name in ids]
    assert all(chosen.wants(name, failed=True) for name in ids)


def test_so_many_lines_a_second_and_one_that_counts_the_rest(written):
    stream, clock = written(as_json=False), iter([0.0, 0.4, 0.9, 0.95, 1.0, 1.5])
    lines = RequestLog(most=2, now=lambda: next(clock))
    assert [lines.wants(str(number)) for number in range(4)] == [True, True, False, False]
    assert lines.wants("bad", failed=True)
    assert lines.wants("next second")
    assert "2 more requests went well within a second" in stream.getvalue()
    assert lines.wants("still")
    assert len(stream.getvalue().splitlines()) == 1


def test_what_was_left_out_is_told_though_nobody_comes_any_more(written):
    stream, clock = written(as_json=False), iter([0.0, 0.1, 0.9, 1.1, 1.2])
    lines = RequestLog(most=1, now=lambda: next(clock))
    assert [lines.wants(str(number)) for number in range(2)] == [True, False]
    lines.look()
    assert stream.getvalue() == ""
    lines.look()
    lines.look()
    assert stream.getvalue().count("1 more requests went well") == len(stream.getvalue().splitlines()) == 1


def test_nothing_is_written_above_its_level(record, written):
    stream = written("warning")
    assert not RequestLog().wants("r1", failed=True)
    RequestLog().write(line(record()))
    log.info("quiet")
    log.warning("loud")
    assert "loud" in stream.getvalue()
    assert "quiet" not in stream.getvalue()


def test_setting_the_log_up_twice_writes_a_line_once(written):
    stream = written()
    written()
    log.info("once")
    assert stream.getvalue().count("once") == 1


@pytest.mark.parametrize("as_json", [True, False])
def test_no_line_holds_a_prompt_or_a_key(record, written, tmp_path, as_json):
    stream = written("debug", as_json=as_json)
    path = tmp_path / "keys.toml"
    path.write_text("[[key]]\nname = 'a'\nkey = 'marked-key'\n")
    path.chmod(0o644)
    door = Access.open(path, engine_key="marked-engine-key")
    caller = door.caller([(b"x-api-key", b"marked-key")], 0.0)
    log.debug("caller %r of %r", caller, door)
    with pytest.raises(Denied):
        door.caller([(b"x-api-key", b"marked-wrong-key")], 0.0)
    try:
        try:
            json.loads('{"prompt": "marked-prompt"')
        except ValueError as error:
            raise RuntimeError("cannot read marked-prompt") from error
    except RuntimeError:
        log.exception("a request failed")
    RequestLog().write(line(record()))
    said = stream.getvalue()
    assert len(said.splitlines()) == 5
    assert "marked" not in said
    assert "RuntimeError" in said
    assert "test_lines.py" in said


@pytest.mark.parametrize("as_json", [True, False])
@pytest.mark.parametrize(
    ("error", "shown"),
    [(ForecastError("need low <= high"), "need low <= high"), (ConnectionRefusedError(111, "refused"), "refused")],
)
def test_errors_of_ours_and_of_the_system_say_what_is_wrong(written, as_json, error, shown):
    stream = written(as_json=as_json)
    try:
        raise error
    except (ForecastError, OSError):
        log.exception("no luck")
    assert shown in stream.getvalue()

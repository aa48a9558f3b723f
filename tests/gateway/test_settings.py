"""Settings that no gateway can have are refused by the flag's name."""

import pytest

from soonest.gateway.settings import Settings, SettingsError

URL = ("http://127.0.0.1:9",)


@pytest.mark.parametrize(
    ("flag", "wrong"),
    [
        ("--max-wait", {"longest_wait": 0}),
        ("--forecast-budget", {"forecast_budget": -1}),
        ("--client-timeout", {"client_timeout": float("nan")}),
        ("--silence-timeout", {"silence_timeout": 0}),
        ("--drain-timeout", {"drain_timeout": 0}),
        ("--in-flight", {"in_flight": 0}),
        ("--max-waiting", {"most_waiting": 0}),
    ],
)
def test_a_number_that_makes_no_sense_is_refused(flag, wrong):
    with pytest.raises(SettingsError, match=flag):
        Settings(engines=URL, **wrong)


@pytest.mark.parametrize("url", ["127.0.0.1:8000", "ftp://x", "http://user:word@x"])
def test_an_engine_is_a_url_without_secrets(url):
    with pytest.raises(SettingsError, match="engine") as refused:
        Settings(engines=(url,))
    assert "word" not in str(refused.value).replace("password", "")


@pytest.mark.parametrize(
    "url", ["http://[::1:8000", "http://[::1:8000/v1", "http://x:70000", "http://x:port", "http://", "http://:8000"]
)
def test_what_is_no_url_is_named(url):
    with pytest.raises(SettingsError, match="an engine is a URL") as refused:
        Settings(engines=(*URL, url))
    assert repr(url) in str(refused.value)


def test_a_url_that_is_none_is_named_without_its_password():
    with pytest.raises(SettingsError, match="http://me:\\*\\*\\*@") as refused:
        Settings(engines=("http://me:secret@[::1:8000",))
    assert "secret" not in str(refused.value)


def test_silence_may_last_for_ever():
    assert Settings(engines=URL, silence_timeout=None).silence_timeout is None

"""What clients say and the keys that they show stand nowhere but where they were sent."""

import re
import sqlite3
import urllib.request

import pytest
from tests.fakes.engine import running as fake_engine
from tests.gateway.clients import asking, chat, until
from tests.gateway.process.served import serving

from soonest.data.journal import read_journal

pytestmark = pytest.mark.slow
PROMPT, KEY, ENGINE_KEY, WRONG = (
    "xylophone-of-zanzibar",
    "quetzal-key-0123456789",
    "walrus-key-0123456789",
    "narwhal-key",
)
SECRETS = (PROMPT, KEY, ENGINE_KEY, WRONG)
FAULTS = ("", "status:400", "status:503", "refuse", "die:2", "garbage:1", "error:1")


def asked(gateway):
    """Everything that can happen to a request, each time with the prompt and a key in it."""
    mine = {"Authorization": f"Bearer {KEY}"}
    turn = {"role": "user", "content": PROMPT}
    for stream in (False, True):
        for fault in FAULTS:
            body = chat(3, fault, stream=stream, user=PROMPT)
            body["messages"] = [turn, *body["messages"]]
            asking(body, url=gateway.url, **mine)
            until(lambda: asking(chat(1), url=gateway.url, **mine)[0][0] == 200)  # the breaker has closed again
    asking({"prompt": PROMPT, "model": "m"}, url=gateway.url, path="/v1/completions", **mine)
    asking({"prompt": PROMPT}, url=gateway.url, path="/v1/embeddings?q=1", **mine)
    asking(chat(1, user=PROMPT), url=gateway.url, Authorization=f"Bearer {WRONG}")
    asking(f'{{"messages": "{PROMPT}'.encode(), url=gateway.url, **mine)
    odd = {"messages": [turn], "vllm_xargs": {"soonest_forecast": [PROMPT, 1, 2]}, "priority": PROMPT, "n": PROMPT}
    asking(odd, url=gateway.url, **mine)


def keys_file(folder):
    path = folder / "keys.toml"
    path.write_text(f'[[key]]\nname = "me"\nkey = "{KEY}"\n', encoding="utf-8")
    path.chmod(0o600)
    return path


def page(gateway):
    """Its metrics, in both formats."""
    found = ""
    for accept in ("text/plain", "application/openmetrics-text"):
        asked = urllib.request.Request(f"{gateway.url}/metrics", headers={"Accept": accept})  # noqa: S310 - our own
        with urllib.request.urlopen(asked, timeout=10) as answer:  # noqa: S310 - as above
            found += answer.read().decode()
    return found


@pytest.mark.parametrize("form", ["plain", "json"])
def test_no_secret_stands_in_logs_metrics_or_the_journal(tmp_path, form):
    path = tmp_path / "j.db"
    words = ("--journal", str(path), "--keys", str(keys_file(tmp_path)), "--engine-key", ENGINE_KEY)
    flags = (*words, "--log-format", form, "--log-level", "debug", "--policy", "a_max")
    with fake_engine() as fake, serving("--engine", fake.url, *flags) as gateway:
        asked(gateway)
        until(gateway.idle)
        told = page(gateway)
        gateway.process.terminate()
        assert gateway.process.wait(30) == 0
        told += gateway.log()
    assert len(re.findall(r"finish|outcome", gateway_lines(told))) > 5, "there was something to look at"
    kept = b"".join(file.read_bytes() for file in tmp_path.iterdir() if file.name.startswith("j.db"))
    assert len(read_journal(path)) >= 10
    for secret in SECRETS:
        assert secret not in told
        assert secret.encode() not in kept


def gateway_lines(told):
    return "\n".join(line for line in told.splitlines() if line.startswith(("2", "{")))


def test_prompts_are_kept_where_they_are_asked_for(tmp_path):
    path = tmp_path / "j.db"
    with fake_engine() as fake, serving("--engine", fake.url, "--journal", str(path), "--journal-prompts") as gateway:
        asking(chat(3, user=PROMPT), url=gateway.url, Authorization=f"Bearer {KEY}")
    with sqlite3.connect(path) as base:
        (kept,) = base.execute("SELECT prompt FROM requests").fetchone()
    base.close()
    assert PROMPT in kept
    assert KEY not in kept

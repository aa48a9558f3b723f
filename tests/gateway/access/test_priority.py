"""What an engine sees of a caller's `priority`: no more than its key allows."""

import json

import pytest
from tests.fakes.engine import running as fake_engine
from tests.gateway.clients import asking, chat, until
from tests.gateway.running import running

from soonest.gateway.access import Access
from soonest.gateway.upstream import DIALECTS

PLAIN, URGENT = "plain-key-0123456789", "urgent-key-012345678"
KEYS = f"""
[[key]]
name = "plain"
key = "{PLAIN}"

[[key]]
name = "urgent"
key = "{URGENT}"
priority = true
"""
NOTHING = object()


@pytest.fixture
def keyed(tmp_path):
    path = tmp_path / "keys.toml"
    path.write_text(KEYS, encoding="utf-8")
    path.chmod(0o600)
    return {"access": Access.open(path)}


def told(raw, *, parts=None, key=PLAIN, dialect="vllm"):
    """The body that an engine of this kind gets when a caller sends this one."""
    with fake_engine() as fake, running(fake.url, parts=parts, hints=False) as gateway:
        bodies, saw = [], fake.engine.saw

        def seeing(path, method, url, headers, body):
            bodies.append(body)
            saw(path, method, url, headers, body)

        (backend,) = gateway.gateway.backends.values()
        gateway.call(lambda: setattr(backend.engine, "dialect", DIALECTS[dialect]))
        fake.engine.saw = seeing
        assert asking(raw, url=gateway.url, Authorization=f"Bearer {key}")[0][0] == 200
        until(gateway.idle)
        (body,) = (body for body in bodies if body)
        return body


def raw(priority):
    more = {} if priority is NOTHING else {"priority": priority}
    return json.dumps(chat(1, **more)).encode()


@pytest.mark.parametrize(
    ("asked", "seen"),
    [(-5, 0), (-5.0, 0), ("-5", 0), (True, 0), (-(10**30), 0), (-(1 << 62), 0), (1 << 62, 1 << 31), ([-5], 0)],
)
def test_without_the_right_an_engine_is_told_what_the_caller_may_have(keyed, asked, seen):
    body = json.loads(told(raw(asked), parts=keyed))
    assert body == {**json.loads(raw(asked)), "priority": seen}
    assert type(body["priority"]) is int


def test_the_last_of_two_is_the_one_that_counts(keyed):
    twice = raw(NOTHING)[:-1] + b',"priority":3,"priority":-3}'
    assert told(twice, parts=keyed) == twice[:-3] + b"0}"


@pytest.mark.parametrize(("asked", "seen"), [(5, -5), (-5, 0)])
def test_an_engine_that_serves_the_highest_first_is_told_it_the_other_way_round(keyed, asked, seen):
    assert json.loads(told(raw(asked), parts=keyed, dialect="sglang"))["priority"] == seen


@pytest.mark.parametrize("asked", [NOTHING, None, 0, 7])
def test_what_the_caller_may_have_goes_on_byte_for_byte(keyed, asked):
    assert told(raw(asked), parts=keyed) == raw(asked)


def test_with_the_right_and_without_a_key_file_the_field_is_the_caller_s_own(keyed):
    assert told(raw(-5), parts=keyed, key=URGENT) == raw(-5)
    assert told(raw(-5)) == raw(-5)

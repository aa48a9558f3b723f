"""What a gateway notes about its run is what a replay reads."""

import pytest
from tests.fakes.engine import running as fake_engine
from tests.gateway.clients import asking, chat, until
from tests.gateway.running import running

from soonest.data.journal import read_journal, read_notes
from soonest.gateway.access import Access
from soonest.gateway.journal import journal
from soonest.studies.replay import Replay

KEYS = {"a,b": "first-key-0123456789", "c=d %2C": "second-key-012345678"}


@pytest.fixture
def replay(tmp_path):
    """The journal of a gateway that each of these headers sent a request to, as a replay sees it."""

    def run(*headers, keys="", changed=""):
        file, path = tmp_path / "keys.toml", tmp_path / "j.db"
        file.write_text(keys, encoding="utf-8")
        file.chmod(0o600)
        access = Access.open(file) if keys else Access()
        with (
            fake_engine() as fake,
            running(fake.url, parts={"access": access, "journal": journal(str(path))}) as gateway,
        ):
            for sent in headers:
                assert asking(chat(2), url=gateway.url, **sent)[0][0] == 200
            if changed:
                file.write_text(changed, encoding="utf-8")
                gateway.call(gateway.gateway.reload)
            until(gateway.idle)
        return Replay.of(read_journal(path), read_notes(path), "journal", None, None)

    return run


def weighing(*weights):
    table = "[[key]]\nname = '{}'\nkey = '{}'\nweight = {}\n"
    return "\n".join(table.format(*key, weight) for key, weight in zip(KEYS.items(), weights, strict=True))


def test_tenants_of_any_name_keep_their_weights(replay):
    made = replay(*({"x-api-key": key} for key in KEYS.values()), keys=weighing(2.5, 1e-6))
    assert {row.tenant for row in made.rows} == set(KEYS)
    assert made.weights == {"a,b": 2.5, "c=d %2C": 1e-6}


def test_weights_that_are_read_again_are_noted_again(replay):
    sent = ({"x-api-key": key} for key in KEYS.values())
    assert replay(*sent, keys=weighing(2, 1), changed=weighing(3, 4)).weights == {"a,b": 3.0, "c=d %2C": 4.0}


def test_tenants_that_a_header_names_share_too(replay):
    header = "x-gateway-inference-fairness-id"
    assert replay({header: "a"}, {header: "b"}).weights == {}


def test_one_tenant_alone_shares_with_nobody(replay):
    assert replay({}, {}).weights is None

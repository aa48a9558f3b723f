"""Who has a key comes in as its tenant; our keys go to no engine; a reload keeps what was counted."""

import hashlib

import pytest

from soonest.gateway.access import Access, Denied, Key, KeysError, TooMany, access

ALICE, BOB = "alice-0123456789-marked", "bob-0123456789-marked"


def key(name, secret, **fields):
    return Key(name=name, digest=hashlib.sha256(secret.encode()).digest(), **{"tenant": name, **fields})


def headers(**named):
    return [(b"host", b"x"), *((name.replace("_", "-").encode(), value.encode()) for name, value in named.items())]


@pytest.fixture
def door():
    return Access([key("alice", ALICE), key("bob", BOB, weight=3.0, concurrency=1)])


@pytest.mark.parametrize(
    "sent",
    [
        {"authorization": f"Bearer {BOB}"},
        {"authorization": f"bearer  {BOB} "},
        {"x_api_key": BOB},
        {"authorization": f"Bearer {BOB}", "x_api_key": ALICE},
        {"authorization": "Basic YTpi", "x_api_key": BOB},
    ],
)
def test_a_key_is_known_wherever_it_stands(door, sent):
    caller = door.caller(headers(**sent), 0.0)
    assert (caller.name, caller.tenant) == ("bob", "bob")


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ({}, "needs an API key"),
        ({"authorization": "Bearer "}, "needs an API key"),
        ({"authorization": f"Basic {BOB}"}, "needs an API key"),
        ({"x_api_key": ""}, "needs an API key"),
        ({"authorization": f"Bearer {BOB}x"}, "is not known here"),
        ({"authorization": f"Bearer {BOB[:-1]}"}, "is not known here"),
        ({"authorization": "Bearer nothing-marked", "x_api_key": BOB}, "is not known here"),
        ({"x_api_key": "é-marked"}, "is not known here"),
    ],
)
def test_who_has_no_key_is_told_what_to_do_and_not_what_was_sent(door, sent, told):
    with pytest.raises(Denied, match=told) as refused:
        door.caller(headers(**sent), 0.0)
    assert "marked" not in str(refused.value)


@pytest.mark.parametrize("sent", ["first", "last", "none"])
def test_every_key_is_compared_whichever_matches(monkeypatch, sent):
    compared = []

    def compare(asked, known):
        compared.append(known)
        return asked == known

    door = Access([key(name, name) for name in ("first", "second", "third", "last")])
    monkeypatch.setattr(access, "compare_digest", compare)
    try:
        assert door.caller(headers(x_api_key=sent), 0.0).name == sent
    except Denied:
        assert sent == "none"
    assert len(set(compared)) == len(compared) == 4


def test_without_keys_everybody_comes_in_and_says_whom_for():
    door = Access()
    assert door.caller(headers(), 0.0).tenant == ""
    assert door.caller(headers(authorization="Bearer anything"), 0.0).tenant == ""
    assert door.caller(headers(x_gateway_inference_fairness_id="team"), 0.0).tenant == "team"
    for _ in range(1000):
        door.enter(door.caller(headers(), 0.0), 0.0)


def test_a_key_speaks_for_others_only_if_it_may_and_never_as_another_key():
    door = Access([key("alice", ALICE), key("front", BOB, names_tenants=True)])
    whom = {"x_gateway_inference_fairness_id": "alice"}
    assert door.caller(headers(x_api_key=ALICE, **whom), 0.0).tenant == "alice"
    assert door.caller(headers(x_api_key=BOB, **whom), 0.0).tenant == "front/alice"
    assert door.caller(headers(x_api_key=BOB), 0.0).tenant == "front"


@pytest.mark.parametrize(("allowed", "asked", "given"), [(False, -5, 0), (False, 5, 5), (True, -5, -5), (True, 0, 0)])
def test_a_caller_may_put_itself_behind_others_not_before_them(allowed, asked, given):
    door = Access([key("alice", ALICE, priority=allowed)])
    assert door.caller(headers(x_api_key=ALICE), 0.0).priority(asked) == given


def test_places_are_counted_by_key_and_given_back(door):
    bob, alice = (door.caller(headers(x_api_key=secret), 0.0) for secret in (BOB, ALICE))
    door.enter(bob, 0.0)
    door.enter(alice, 0.0)
    with pytest.raises(TooMany):
        door.enter(bob, 0.0)
    assert (alice.account.in_flight, bob.account.in_flight) == (1, 1)
    door.leave(bob)
    assert (alice.account.in_flight, bob.account.in_flight) == (1, 0)


SENT = [(b"authorization", b"Bearer sent"), (b"x-api-key", b"sent"), (b"accept", b"*/*")]


@pytest.mark.parametrize(
    ("keys", "engine_key", "seen"),
    [
        ([], None, SENT),
        ([], "own", [(b"accept", b"*/*"), (b"authorization", b"Bearer own")]),
        ([key("alice", ALICE)], None, [(b"accept", b"*/*")]),
        ([key("alice", ALICE)], "own", [(b"accept", b"*/*"), (b"authorization", b"Bearer own")]),
    ],
)
def test_our_keys_go_to_no_engine_and_an_engine_gets_its_own(keys, engine_key, seen):
    assert Access(keys, engine_key=engine_key).forwarded(SENT) == seen


def test_no_secret_is_in_what_is_printed_of_a_door():
    door = Access([key("alice", ALICE)], engine_key="engine-marked")
    caller = door.caller(headers(x_api_key=ALICE), 0.0)
    shown = f"{door!r} {caller!r} {caller.account!r} {caller.account.key!r}"
    assert "marked" not in shown
    assert hashlib.sha256(ALICE.encode()).hexdigest() not in shown


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "keys.toml"

    def write(*tables):
        path.write_text("".join(f"[[key]]\n{table}\n" for table in tables))
        path.chmod(0o600)
        return path

    return write


def test_a_reload_keeps_what_was_counted_and_takes_new_limits_and_keys(file):
    door = Access.open(file(f"name = 'alice'\nkey = '{ALICE}'\nconcurrency = 1\nweight = 2"))
    weights = door.weights
    before = door.caller(headers(x_api_key=ALICE), 0.0)
    door.enter(before, 0.0)
    file(f"name = 'alice'\nkey = '{ALICE}'\nconcurrency = 2", f"name = 'bob'\nkey = '{BOB}'\nweight = 4")
    door.reload(1.0)
    after = door.caller(headers(x_api_key=ALICE), 1.0)
    door.enter(after, 1.0)
    with pytest.raises(TooMany):
        door.enter(after, 1.0)
    door.leave(before)
    assert after.account.in_flight == 1
    assert door.weights is weights
    assert weights == {"alice": 1.0, "bob": 4.0}


def test_a_key_that_was_taken_out_opens_nothing_while_its_requests_end(file):
    door = Access.open(file(f"name = 'alice'\nkey = '{ALICE}'", f"name = 'bob'\nkey = '{BOB}'"))
    bob = door.caller(headers(x_api_key=BOB), 0.0)
    door.enter(bob, 0.0)
    file(f"name = 'alice'\nkey = '{ALICE}'")
    door.reload(1.0)
    with pytest.raises(Denied):
        door.caller(headers(x_api_key=BOB), 1.0)
    door.leave(bob)
    assert bob.account.in_flight == 0


def test_a_reload_of_a_broken_file_keeps_the_old_keys(file):
    door = Access.open(file(f"name = 'alice'\nkey = '{ALICE}'"))
    file()
    with pytest.raises(KeysError):
        door.reload(1.0)
    assert door.caller(headers(x_api_key=ALICE), 1.0).name == "alice"


def test_a_door_without_a_file_has_nothing_to_reload():
    door = Access([key("alice", ALICE)])
    door.reload(1.0)
    assert door.caller(headers(x_api_key=ALICE), 1.0).name == "alice"

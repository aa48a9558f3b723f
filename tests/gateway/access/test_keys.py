"""A key file says what it means; an error names file, table and field, and never a key."""

import hashlib
import logging

import pytest

from soonest.gateway.access import Key, KeysError, read_keys

SECRET = "sk-0123456789-marked"  # noqa: S105 - opens nothing
HASHED = hashlib.sha256(SECRET.encode()).hexdigest()


@pytest.fixture
def write(tmp_path):
    def file(text, mode=0o600):
        path = tmp_path / "keys.toml"
        path.write_text(text)
        path.chmod(mode)
        return path

    return file


def table(**fields):
    shown = {"name": "a", "key": SECRET, **fields}
    rows = (f"{name} = {said(value)}" for name, value in shown.items() if value is not None)
    return "[[key]]\n" + "\n".join(rows) + "\n"


def said(value):
    return str(value).lower() if isinstance(value, bool) else repr(value)


def test_a_name_and_a_key_are_enough(write):
    (key,) = read_keys(write(table()))
    assert key == Key(name="a", digest=hashlib.sha256(SECRET.encode()).digest(), tenant="a")
    assert (key.rate, key.concurrency, key.weight, key.priority, key.names_tenants) == (None, None, 1.0, False, False)


def test_every_field_is_read(write):
    fields = {"tenant": "t", "weight": 2, "rate": 2.5, "burst": 7, "concurrency": 9}
    (key,) = read_keys(write(table(**fields, priority=True, names_tenants=True)))
    assert {name: getattr(key, name) for name in fields} == fields
    assert key.priority
    assert key.names_tenants


def test_a_hash_in_place_of_a_key_is_the_same_key(write):
    (clear,) = read_keys(write(table()))
    (hashed,) = read_keys(write(table(key=None, sha256=HASHED)))
    assert clear == hashed


@pytest.mark.parametrize(("rate", "burst"), [(0.1, 1), (1, 1), (2.5, 3), (100, 100)])
def test_a_burst_is_a_second_s_worth_unless_given(write, rate, burst):
    (key,) = read_keys(write(table(rate=rate)))
    assert key.burst == burst


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"key": None}, "needs either key"),
        ({"sha256": HASHED}, "needs either key"),
        ({"key": None, "sha256": HASHED[:-1]}, "64 hexadecimal digits"),
        ({"key": None, "sha256": SECRET}, "64 hexadecimal digits"),
        ({"key": SECRET + " "}, "without spaces"),
        ({"key": SECRET + "é"}, "without spaces"),
        ({"key": ""}, "key must be printable text"),
        ({"key": [SECRET]}, "key must be printable text"),
        ({"name": None}, "name is missing"),
        ({"name": 3}, "name must be printable text"),
        ({"tenant": ""}, "tenant must be printable text"),
        ({"weight": 0}, "weight must be a number from 1e-06 to 1e\\+09, got 0"),
        ({"weight": SECRET}, "weight must be a number .* type str"),
        ({"rate": -1.0}, "rate must be a number .* got -1.0"),
        ({"rate": True}, "rate must be a number"),
        ({"burst": 3}, "burst needs a rate"),
        ({"rate": 1, "burst": 0}, "burst must be a whole number of at least 1, got 0"),
        ({"concurrency": 1.5}, "concurrency must be a whole number of at least 1, got 1.5"),
        ({"priority": 1}, "priority must be true or false, got 1"),
        ({"names_tenants": SECRET}, "names_tenants must be true or false, got a value of type str"),
        ({"ky": SECRET}, "no field 'ky'; known: name, key, sha256"),
    ],
)
def test_an_error_names_file_table_and_field_and_no_key(write, fields, told):
    path = write(table(name="first", key="another-0123456789") + table(**fields))
    with pytest.raises(KeysError, match=told) as refused:
        read_keys(path)
    assert str(refused.value).startswith(f"{path}: [[key]] 2: ")
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "holds no key; add a \\[\\[key\\]\\] table"),
        ("key = 3", "holds no key"),
        ("key = [3]", "\\[\\[key\\]\\] 1: is no table"),
        ("[key]\nname = 'a'\n", "holds no key"),
        (table() + "[other]\n", "no field 'other' at the top"),
        (f"[[key]]\nkey = '{SECRET}", "no TOML: Expected"),
        (f"[[key]]\nkey = {SECRET}", "no TOML: .*line 2"),
        (f"[[key]]\n{SECRET}", "no TOML: Expected"),
        (table() + table(name="b"), "\\[\\[key\\]\\] 2: key is the same as that of \\[\\[key\\]\\] 1"),
        (table() + table(key="x" * 20), "\\[\\[key\\]\\] 2: name 'a' is that of"),
        (table() + table(name="b", key="x" * 20, tenant="a", weight=3), "weight differs from \\[\\[key\\]\\] 1"),
        (table(name="other"), "\\[\\[key\\]\\] 1: tenant 'other' is that of all whose names found no place"),
        (
            table(name="acme", names_tenants=True) + table(name="b", key="x" * 20, tenant="acme/prod"),
            "\\[\\[key\\]\\] 2: tenant 'acme/prod' begins with 'acme/', as those do that \\[\\[key\\]\\] 1 names",
        ),
        (
            table(name="b", tenant="acme/eu/prod") + table(name="acme/eu", key="x" * 20, names_tenants=True),
            "\\[\\[key\\]\\] 1: tenant 'acme/eu/prod' begins with 'acme/eu/'",
        ),
    ],
)
def test_a_file_that_makes_no_sense_is_refused_by_name(write, text, told):
    path = write(text)
    with pytest.raises(KeysError, match=told) as refused:
        read_keys(path)
    assert str(refused.value).startswith(f"{path}: ")
    assert SECRET not in str(refused.value)


def test_tenants_that_only_look_alike_may_be_in_one_file(write):
    front = table(name="acme", names_tenants=True) + table(
        name="front", tenant="acme", key="y" * 20, names_tenants=True
    )
    others = table(name="acme-prod", key="x" * 20) + table(name="others/prod", key="z" * 20)
    assert [key.tenant for key in read_keys(write(front + others))] == ["acme", "acme", "acme-prod", "others/prod"]


def test_a_file_that_is_not_there_or_no_text_is_refused_by_name(tmp_path):
    with pytest.raises(KeysError, match=r"none.toml: cannot read the key file: No such file"):
        read_keys(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(KeysError, match=r"bad.toml: the key file must be UTF-8"):
        read_keys(tmp_path / "bad.toml")


@pytest.mark.parametrize(("mode", "warned"), [(0o600, False), (0o640, False), (0o644, True), (0o602, True)])
def test_a_file_open_to_others_warns(write, caplog, mode, warned):
    with caplog.at_level(logging.WARNING, "soonest.gateway"):
        read_keys(write(table(), mode))
    assert ("every user of this machine" in caplog.text) is warned
    assert SECRET not in caplog.text


def test_a_short_key_warns_without_being_shown(write, caplog):
    with caplog.at_level(logging.WARNING, "soonest.gateway"):
        read_keys(write(table(key="sesame")))
    assert "the key of 'a' is easy to guess" in caplog.text
    assert "sesame" not in caplog.text


def test_a_key_is_not_in_its_repr(write):
    (key,) = read_keys(write(table()))
    assert SECRET not in repr(key)
    assert HASHED not in repr(key)
    assert repr(key.digest) not in repr(key)

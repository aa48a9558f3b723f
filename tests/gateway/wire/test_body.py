"""Bodies: what is read, what is refused, and that additions leave every other byte alone."""

import json
import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from soonest.gateway.wire import BadBody, read, splice

NAMES = ("stream", "stream_options", "include_usage", "priority", "a/b", "\u00e9", "x\ny", 'q"', "\\", "")
NUMBERS = ("0", "-0", "1", "1.0", "1e5", "1E+2", "0.10", "12345678901234567890123", "-1.5e-3", "1e400", "true", "null")
TEXTS = ("", "hi", "\U0001f600 \u00e9", "a\\b", '"}]', "/\t\x7f", "\\u0073tream", '"stream":1,', "\u2028")


class Writer:
    """Writes JSON as nobody would: odd blanks, odd escapes, duplicate names, numbers in any spelling."""

    def __init__(self, seed):
        self.random = random.Random(seed)  # noqa: S311 - no secret
        self.left = 30  # values

    def blank(self):
        return "".join(self.random.choices(" \t\n\r", k=self.random.choice([0, 0, 0, 1, 2])))

    def string(self, value):
        return '"' + "".join(map(self.letter, value)) + '"'

    def letter(self, letter):
        raw = letter.encode("utf-16-be")
        hexed = "".join(f"\\u{raw[i]:02x}{raw[i + 1]:02X}" for i in range(0, len(raw), 2))
        shapes = [json.dumps(letter, ensure_ascii=False)[1:-1]] * 4 + [json.dumps(letter)[1:-1], hexed]
        return self.random.choice([*shapes, "\\/"] if letter == "/" else shapes)

    def value(self, depth=0):
        self.left -= 1
        kind = self.random.choice("nnsso[") if depth < 4 and self.left > 0 else self.random.choice("ns")
        if kind == "n":
            return self.random.choice(NUMBERS)
        if kind == "s":
            return self.string(self.random.choice(TEXTS))
        if kind == "o":
            return self.object(depth + 1)
        inner = [self.blank() + self.value(depth + 1) + self.blank() for _ in range(self.random.randrange(4))]
        return "[" + (",".join(inner) or self.blank()) + "]"

    def object(self, depth=0):
        members = [self.member(depth) for _ in range(self.random.randrange(6))]
        return "{" + (",".join(members) or self.blank()) + "}"

    def member(self, depth):
        name, blank = self.string(self.random.choice(NAMES)), self.blank
        return f"{blank()}{name}{blank()}:{blank()}{self.value(depth)}{blank()}"

    def body(self):
        return (self.blank() + self.object() + self.blank()).encode()


BODIES = st.integers(0, 2**64).map(lambda seed: Writer(seed).body())
NAME = st.sampled_from(NAMES)
PATHS = st.one_of(NAME, st.tuples(NAME), st.tuples(NAME, NAME))
LEAVES = st.sampled_from([True, None, 7, "new", [1, 2.5, 3], {"k": "v"}])


def merged(body, members):
    """What `splice` promises, on the dict."""
    for path, value in members.items():
        names = (path,) if isinstance(path, str) else path
        node = body
        for name in names[:-1]:
            if not isinstance(node.get(name), dict):
                node[name] = {}
            node = node[name]
        node[names[-1]] = value
    return body


def compatible(members):
    """No path runs through another path's value."""
    paths = [(p,) if isinstance(p, str) else p for p in members]
    return len(set(paths)) == len(paths) and not any(a != b and b[: len(a)] == a for a in paths for b in paths)


MEMBERS = st.dictionaries(PATHS, LEAVES, max_size=3).filter(compatible)


@settings(max_examples=300)
@given(BODIES, MEMBERS)
def test_a_splice_sets_the_members_and_nothing_else(raw, members):
    spliced = splice(raw, members)
    assert json.loads(spliced) == merged(json.loads(raw), members)


@given(BODIES, st.dictionaries(st.sampled_from(["new", "newer", ("newest", "of", "all")]), LEAVES, min_size=1))
def test_without_what_was_added_the_bytes_are_the_original(raw, members):
    spliced = splice(raw, members)
    brace = raw.rindex(b"}")
    assert spliced.startswith(raw[:brace])
    assert spliced.endswith(raw[brace:])
    added = spliced[brace : len(spliced) - len(raw) + brace]
    assert json.loads(b"{" + added.removeprefix(b",") + b"}") == merged({}, members)


def test_a_value_is_replaced_in_place():
    raw = b'{ "stream_options" : {"include_usage" : false , "x":1.50}, "n":1 , "n" : 2 }'
    assert splice(raw, {("stream_options", "include_usage"): True, "n": 3}) == (
        b'{ "stream_options" : {"include_usage" : true , "x":1.50}, "n":1 , "n" : 3 }'
    )


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"{}", b'{"o":{"u":true}}'),
        (b" { } ", b' { "o":{"u":true}} '),
        (b'{"a":"}"}', b'{"a":"}","o":{"u":true}}'),
        (b'{"o":null}', b'{"o":{"u":true}}'),
        (b'{"o":{}}', b'{"o":{"u":true}}'),
        (b'{"o":[{"u":1}]}', b'{"o":{"u":true}}'),
        (b'{"o":{"v":{"u":1}}}', b'{"o":{"v":{"u":1},"u":true}}'),
        (b'{"\\u006f":{"\\u0075":1}}', b'{"\\u006f":{"\\u0075":true}}'),
        (b'{"o":{"u":1},"o":{"w":1}}', b'{"o":{"u":1},"o":{"w":1,"u":true}}'),
        (b'{"a":"\\\\","b":"\\"o\\":","c":[["]"]]}', b'{"a":"\\\\","b":"\\"o\\":","c":[["]"]],"o":{"u":true}}'),
    ],
)
def test_a_path_is_set_wherever_it_ends(raw, expected):
    assert splice(raw, {("o", "u"): True}) == expected


def test_no_members_no_change():
    raw = b'{"a":1}'
    assert splice(raw, {}) is raw


@given(BODIES)
def test_what_json_reads_is_read(raw):
    assert read(raw).keys() == json.loads(raw).keys()


@given(st.binary(max_size=40))
def test_other_bytes_are_refused_by_name(raw):
    try:
        json.loads(raw)
    except ValueError:
        with pytest.raises(BadBody, match=r"^the body "):
            read(raw)


@pytest.mark.parametrize(
    ("raw", "word"),
    [
        (b"", "not JSON"),
        (b"[1]", "not a list"),
        (b"null", "not null"),
        (b'"x"', "not a string"),
        (b'{"a":NaN}', "NaN"),
        (b'{"a":-Infinity}', "-Infinity"),
        (b'{"a":1', "not JSON"),
        (b'{"a":1}}', "not JSON"),
        (b"{'a':1}", "not JSON"),
        (b'{"a":"\xff"}', "byte 6 is 0xff"),
        ('{"a":1}'.encode("utf-16"), "not UTF-8"),
        (b"\xef\xbb\xbf{}", "BOM"),
        (b'{"a":' + b"9" * 5000 + b"}", "digits"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b"[" * 5_000_000, "nested too deeply"),
        (b'{"a":' + b"[" * 3000 + b"]" * 3000 + b"}", "nested too deeply"),
    ],
)
def test_a_refusal_says_what_is_wrong_and_soon(raw, word):
    started = time.perf_counter()
    with pytest.raises(BadBody, match=word):
        read(raw)
    assert time.perf_counter() - started < 1


def test_what_orjson_refuses_and_json_allows_is_read():
    assert read(b'{"a":"\\ud800","b":1e999}') == {"a": "\ud800", "b": float("inf")}


def test_a_deep_body_that_is_read_is_added_to():
    raw = b'{"a":' + b"[" * 900 + b"]" * 900 + b',"stream":false}'
    assert read(raw)["stream"] is False
    assert splice(raw, {"stream": True}) == raw.replace(b"false", b"true")


def test_a_big_body_is_added_to_in_linear_time():
    raw = b'{"prompt":"' + b'\\"stream\\": ' * 1_000_000 + b'","stream":false}'
    started = time.perf_counter()
    assert splice(raw, {"stream": True}).endswith(b',"stream":true}')
    assert time.perf_counter() - started < 1

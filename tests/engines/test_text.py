import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.engines.models import words

from soonest.engines.embedded import Text

WORDS = words()
BACKEND = WORDS.backend_tokenizer


def tokens(text):
    return list(WORDS(text).input_ids)


def said(ids, stops=(), **more):
    text = Text(BACKEND, tokens("one"), stops, **more)
    pieces = [text.feed([i]) for i in ids]
    return pieces, "".join(pieces) + text.end(), text.stopped


@given(st.text(max_size=40))
def test_text_comes_back_whole_however_it_is_cut(text):
    pieces, whole, _ = said(tokens(text))
    assert whole == text
    assert not any("�" in piece for piece in pieces if "�" not in text)


@given(st.text(max_size=30), st.integers(1, 5))
def test_tokens_in_steps_say_what_tokens_one_by_one_say(text, size):
    ids = tokens(text)
    stream = Text(BACKEND, tokens("one"))
    steps = "".join(stream.feed(ids[i : i + size]) for i in range(0, len(ids), size))
    assert steps + stream.end() == text


@settings(max_examples=200)
@given(st.text("abc", max_size=30), st.lists(st.text("abc", min_size=1, max_size=4), min_size=1, max_size=3))
def test_nothing_of_a_stop_string_is_said_and_all_before_it_is(text, stops):
    _, whole, stopped = said(tokens(text), stops)
    places = [(text.find(stop), -len(stop), stop) for stop in stops if stop in text]
    if not places:
        assert (whole, stopped) == (text, None)
        return
    # the first that is complete decides; token by token that is the one that ends first, give or take its token
    assert stopped in stops
    assert text.startswith(whole + stopped)


@given(st.text("abc", max_size=30), st.text("abc", min_size=1, max_size=4))
def test_a_stop_string_may_be_kept(text, stop):
    _, whole, stopped = said(tokens(text), [stop], keep_stop=True)
    expected = text[: text.find(stop) + len(stop)] if stop in text else text
    assert (whole, stopped) == (expected, stop if stop in text else None)


def test_a_stop_string_across_tokens_is_held_back_until_it_is_sure():
    ids = tokens("one") + tokens(" t") + tokens("wo")
    pieces, whole, stopped = said(ids, [" two"])
    assert "".join(pieces) == whole == "one"
    assert stopped == " two"


def test_what_looked_like_a_stop_string_and_was_none_is_said():
    assert said(tokens("one tw"), [" two"])[1:] == ("one tw", None)


def test_after_a_stop_string_nothing_is_said():
    text = Text(BACKEND, [], ["two"])
    assert text.feed(tokens("one two three")) == "one "
    assert text.feed(tokens("four")) == ""
    assert text.end() == ""


def test_half_a_character_is_never_said():
    ids = tokens("é€😀")
    assert len(ids) > 3
    pieces, whole, _ = said(ids)
    assert whole == "é€😀"
    assert [piece for piece in pieces if piece] == ["é", "€", "😀"]
    assert said(ids[:-1])[1] == "é€"


@pytest.mark.parametrize(("skip", "expected"), [(True, "one"), (False, "one<|end|>")])
def test_special_tokens_are_said_only_where_asked(skip, expected):
    assert said([*tokens("one"), 0], skip_special=skip)[1] == expected

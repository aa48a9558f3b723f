"""What the encoder sees of a prompt."""

import json

import numpy as np
import pytest

pytest.importorskip("tokenizers")

from soonest.core import Message, PredictorError, Prompt
from soonest.predict.encoder.reading import Reader, numbers_of, padded, text_of, width_of

WORDS = {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, **{f"w{i}": i + 4 for i in range(100)}}
TOKENIZER = json.dumps(
    {
        "version": "1.0",
        "truncation": {"direction": "Right", "max_length": 5, "strategy": "LongestFirst", "stride": 0},
        "padding": {
            "strategy": {"Fixed": 5},
            "direction": "Right",
            "pad_to_multiple_of": None,
            "pad_id": 0,
            "pad_type_id": 0,
            "pad_token": "[PAD]",
        },
        "added_tokens": [],
        "normalizer": None,
        "pre_tokenizer": {"type": "Whitespace"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [
                {"SpecialToken": {"id": "[CLS]", "type_id": 0}},
                {"Sequence": {"id": "A", "type_id": 0}},
                {"SpecialToken": {"id": "[SEP]", "type_id": 0}},
            ],
            "pair": [],
            "special_tokens": {
                mark: {"id": mark, "ids": [WORDS[mark]], "tokens": [mark]} for mark in ("[CLS]", "[SEP]")
            },
        },
        "decoder": None,
        "model": {"type": "WordLevel", "vocab": WORDS, "unk_token": "[UNK]"},
    }
)
DIALOGUE = Prompt((Message("user", "first"), Message("assistant", "second"), Message("user", "third")))


def test_the_last_tokens_are_kept_whatever_the_tokenizer_does_by_itself():
    (row,) = Reader(TOKENIZER, 12).read([" ".join(f"w{i}" for i in range(50))])
    assert row == [2, *(WORDS[f"w{i}"] for i in range(40, 50)), 3]


def test_a_short_text_is_not_padded_and_an_empty_one_still_has_a_token():
    assert Reader(TOKENIZER, 12).read(["w0", ""]) == [[2, 4, 3], [2, 3]]


def test_a_tokenizer_that_is_none_is_an_error():
    with pytest.raises(PredictorError, match=r"tokenizer\.json is no tokenizer"):
        Reader("{}", 12)


def test_single_round_is_the_last_turn_and_multi_round_the_whole_dialogue():
    assert text_of(DIALOGUE, "single", 100) == "third"
    assert text_of(DIALOGUE, "multi", 100) == "user: first\nassistant: second\nuser: third"


@pytest.mark.parametrize("rounds", ["single", "multi"])
@pytest.mark.parametrize("text", ["", "\x00", "\ud800 a \udfff", "x" * 1_000_000, "長い答え", "a\r\n\u2028b"])
def test_any_text_is_read_and_no_more_of_it_than_needed(rounds, text):
    for prompt in (Prompt.of(text), Prompt((Message("user" * 100, text),) * 3), Prompt(())):
        found = text_of(prompt, rounds, 200)
        assert len(found) <= 250
        found.encode("utf-8")
        assert Reader(TOKENIZER, 12).read([found])


def test_padding_is_masked():
    tokens, mask = padded([[5, 6, 7], [8]], pad=9)
    assert tokens.tolist() == [[5, 6, 7], [8, 9, 9]]
    assert mask.tolist() == [[1, 1, 1], [1, 0, 0]]


def test_a_model_is_one_of_those_known_and_another_is_none_of_them():
    prompts = [Prompt.of("a", model=name) for name in ("b", "a", "c")]
    found = numbers_of(prompts, ("a", "b"), by_model=True, lengths=False)
    assert found.tolist() == [[0, 1], [1, 0], [0, 0]]
    assert numbers_of(prompts, ("a", "b"), by_model=False, lengths=False).shape == (3, 0)


def test_lengths_tell_short_prompts_from_long_ones_and_come_after_the_model():
    prompts = [Prompt.of("a", model="a"), DIALOGUE, Prompt.of("a" * 1000)]
    found = numbers_of(prompts, ("a",), by_model=True, lengths=True)
    assert found.shape[1] == width_of(("a",), by_model=True, lengths=True)
    assert found[:, 0].tolist() == [1, 0, 0]
    assert found[0, 1] < found[1, 1] < found[2, 1]
    assert found[1, -1] > found[0, -1]
    assert np.isfinite(found).all()

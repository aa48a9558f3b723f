"""A fit on a cluster: what is learned is, byte for byte, what is learned without one."""

import json
import random

import pytest

from soonest.cluster import joined
from soonest.cluster.kept import Kept
from soonest.core import TraceError
from soonest.data.examples import read_examples
from soonest.predict import predictor
from soonest.predict.text.facts import characters, features

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:::ray")]
WORDS = ("tell me a story", "of the cat", "and list five ways", "to cook rice", "in 100 words", "please", "explain why")


def log(path, rows=700, seed=0):
    """Chats of several turns, some unanswered, some cut, of two models."""
    dice = random.Random(seed)  # noqa: S311 - no secret
    with path.open("w") as file:
        for i in range(rows):
            said = [" ".join(dice.choices(WORDS, k=dice.randint(1, 60))) for _ in range(dice.randint(1, 3))]
            turns = [{"role": "user", "content": text} for text in said]
            turns[1:1] = [{"role": "assistant", "content": "Yes. " * dice.randint(1, 40)}] if len(said) > 1 else []
            tokens = 0 if i % 17 == 3 else len(said[-1]) // 2 + dice.randint(1, 90)
            row = {"messages": turns, "model": dice.choice("ab"), "output_tokens": tokens, "conv_id": f"c{i // 3}"}
            row["max_tokens"] = dice.choice([100, 4096])
            file.write(json.dumps(row) + "\n")
    return path


@pytest.fixture(scope="module")
def read_seen():
    """The reading, with a local cluster."""
    with joined(cores=2):
        from soonest.cluster.reading import read_seen

        yield read_seen


@pytest.fixture
def kept(tmp_path):
    (tmp_path / "kept").mkdir()
    found = Kept(tmp_path / "kept")
    yield found
    found.close()


def check_same(found, known):
    assert found.tokens.tolist() == known.tokens.tolist()
    assert found.censored.tolist() == known.censored.tolist()
    assert found.groups.tolist() == known.groups.tolist()
    assert found.models == known.models
    assert found.left_out == known.left_out
    for ours, theirs in zip(found.prompts, known.prompts, strict=True):
        assert (ours.model, ours.tenant, ours.max_tokens) == (theirs.model, theirs.tenant, theirs.max_tokens)
        assert characters(ours) == characters(theirs)
        (grams, facts), (same, alike) = features(ours), features(theirs)
        assert grams.places.tolist() == same.places.tolist()
        assert grams.times.tolist() == same.times.tolist()
        assert facts == alike


@pytest.mark.parametrize("limit", [None, 1, 500])
def test_what_is_read_is_what_is_read_without_ray_in_the_same_order(read_seen, kept, tmp_path, limit):
    paths = log(tmp_path / "a.jsonl"), log(tmp_path / "b.jsonl", 90, seed=1)
    heard = []
    found = [read_seen(path, {}, None, limit, 80, kept, heard.append) for path in paths]
    kept.close()
    for part, path in zip(found, paths, strict=True):
        check_same(part, read_examples(path, {}, None, limit, 80))
    assert heard[-1] == len(found[1])
    assert len(heard) > 2 or limit == 1


def test_one_model_s_answers_are_chosen_and_a_model_that_is_not_there_is_named(read_seen, kept, tmp_path):
    path = log(tmp_path / "a.jsonl", 100)
    with pytest.raises(TraceError, match="its models are a, b"):
        read_seen(path, {}, "c", None, None, kept, str)
    found = read_seen(path, {}, "a", None, None, kept, str)
    kept.close()
    check_same(found, read_examples(path, model="a"))


@pytest.mark.parametrize("words", ["text", "conformal(text)", "online(conformal(text))"])
def test_what_is_learned_from_it_is_the_same_byte_for_byte(read_seen, kept, tmp_path, words):
    path = log(tmp_path / "a.jsonl", 400)
    known = read_examples(path)
    found = read_seen(path, {}, None, None, None, kept, str)
    kept.close()
    for examples, name in ((known, "here"), (found, "there")):
        made = predictor(words)
        assert made.sees_as_text
        made.fit(examples.prompts, examples.tokens.tolist(), examples.censored.tolist())
        made.save_pretrained(tmp_path / name)
    files = [file.relative_to(tmp_path / "here") for file in (tmp_path / "here").rglob("*") if file.is_file()]
    assert len(files) >= 2
    for file in files:
        assert (tmp_path / "there" / file).read_bytes() == (tmp_path / "here" / file).read_bytes()
    assert made.predict(known.prompts[:5]) == made.predict(found.prompts[:5])


def test_a_malformed_row_is_named_with_its_line(read_seen, kept, tmp_path):
    rows = [{"prompt": f"Tell {i}", "output_tokens": 3 if i != 150 else "many"} for i in range(300)]
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(TraceError, match=r"a\.jsonl, line 151, column 'output_tokens'"):
        read_seen(path, {}, None, None, None, kept, str)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows[:150]) + "{broken\n")
    with pytest.raises(TraceError, match=r"a\.jsonl, line 151.*no JSON"):
        read_seen(path, {}, None, None, None, kept, str)


def test_conversations_of_a_row_a_turn_are_refused(read_seen, kept, tmp_path):
    path = tmp_path / "a.jsonl"
    rows = [{"prompt": "Why?", "output_tokens": 3, "conversation_id": "c", "turn": i} for i in range(3)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(TraceError, match="no --ray"):
        read_seen(path, {}, None, None, None, kept, str)


@pytest.mark.parametrize("bad", ['{"prompt": "Tell", "output_tokens": "many"}', "{broken"])
def test_what_is_wrong_behind_the_limit_is_not_looked_at(read_seen, kept, tmp_path, bad):
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps({"prompt": f"Tell {i}", "output_tokens": 3}) + "\n" for i in range(150)) + bad)
    with pytest.raises(TraceError, match="line 151"):
        read_seen(path, {}, None, 151, None, kept, str)
    kept.close()
    again = Kept(kept.folder)
    found = read_seen(path, {}, None, 150, None, again, str)
    again.close()
    check_same(found, read_examples(path, limit=150))

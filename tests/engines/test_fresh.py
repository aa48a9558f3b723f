"""Questions that forecasts were fitted on are not asked where the forecasts are judged."""

import json
import re
from pathlib import Path

from soonest.engines import tiny
from soonest.engines.tiny.fresh import LEARN_SEED, fitted, fresh

MAKER = Path(__file__).parents[2] / "benchmarks" / "make_tiny.py"


def folder(tmp_path, examples):
    (tmp_path / "config.json").write_text(json.dumps({"card": {"examples": examples}}))
    return tmp_path


def test_what_was_learned_is_what_the_maker_draws():
    names, values = re.search(r"^(.*\bLEARN_SEED\b.*) = ([\d, ]+)$", MAKER.read_text(), re.MULTILINE).groups()
    seeds = dict(zip(names.split(", "), map(int, values.split(", ")), strict=True))
    assert seeds["LEARN_SEED"] == LEARN_SEED


def test_no_fitted_question_is_asked_and_the_rest_come_in_order(tmp_path):
    known = folder(tmp_path, 1400)
    learned = set(tiny.prompts(700, LEARN_SEED))
    assert fitted(known) == learned
    kept, share = fresh(300, 0, known)
    assert len(kept) == 300
    assert not learned & set(kept)
    drawn = tiny.prompts(round(300 / (1 - share)), 0)
    assert kept == [question for question in drawn if question not in learned]
    assert 0.05 < share < 0.5


def test_forecasts_that_do_not_say_what_they_learned_leave_nothing_out(tmp_path):
    assert fresh(20, 5, tmp_path / "none") == (tiny.prompts(20, 5), 0.0)

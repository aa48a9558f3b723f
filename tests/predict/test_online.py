"""Learning while serving: silent when useless, refitted when that helps."""

import threading
import time

import numpy as np
import pytest
from tests.predict.stated import Stated, answers

from soonest.core import PredictorError, Prompt
from soonest.predict import Card, Conformal, Constant, History, Online
from soonest.predict.online import KEPT, shortened, unfitted

GOOD = Card(("m",), "tests", 1000, None, {"kendall_tau": 0.5, "answers": 200})


def serve(online, prompts, tokens):
    """One after the other, each answer told at once; whether each forecast was known."""
    known = []
    for prompt, count in zip(prompts, tokens, strict=True):
        known.append(online.predict([prompt])[0].known)
        online.update(prompt, count)
    return np.array(known)


def test_it_is_silent_until_answers_agree():
    known = serve(Online(Stated(), refit="never"), *answers(300))
    assert not known[:5].any()
    assert known[100:].all()


@pytest.mark.parametrize(
    ("measured", "speaks"),
    [
        ({"kendall_tau": 0.5, "answers": 200}, True),
        ({"kendall_tau": 0.5}, False),
        ({"kendall_tau": 0.05, "answers": 50}, False),
        ({}, False),
    ],
)
def test_a_card_speaks_for_it_if_its_agreement_is_beyond_chance(measured, speaks):
    base = Stated()
    base.card_ = Card(measured=measured)
    assert Online(base, refit="never").predict([Prompt.of("9")])[0].known is speaks


def test_an_inverted_base_falls_silent_within_fifty_answers_and_stays_so():
    base = Stated(factor=20_000, power=-1)
    base.card_ = GOOD
    known = serve(Online(base, refit="never"), *answers(2000))
    assert known[0]
    assert not known[50:].any()


def test_a_constant_base_never_speaks():
    assert not serve(Online(Constant().fit(*answers(50, 1)), refit="never"), *answers(1000)).any()


def test_a_base_that_was_right_speaks_again_when_it_is_right_again():
    base = Stated()
    base.card_ = GOOD
    online = Online(base, refit="never")
    assert serve(online, *answers(200, 1))[-1]
    serve(online, [Prompt.of(f"{1e4 / float(p.text):.3f}") for p in answers(300, 2)[0]], answers(300, 2)[1])
    assert not online.useful
    assert serve(online, *answers(200, 3))[-1]


def templates(n, seed, *, swapped=False):
    chance = np.random.default_rng(seed)
    prompts, tokens = [], []
    for i in range(n):
        kind = int(chance.integers(2))
        prompts.append(
            Prompt.of(
                f"{'Translate' if kind else 'Summarise'} this long text for me, {chance.integers(10**9)}",
                id=f"{seed}-{i}",
            )
        )
        tokens.append(int(chance.integers(300, 600) if kind != swapped else chance.integers(3, 30)))
    return prompts, tokens


@pytest.mark.parametrize("refit", ["inline", "background"])
def test_it_learns_anew_when_the_world_has_changed(refit):
    online = Online(Conformal(History(window=100_000).fit(*templates(500, 1))), refit=refit, every=150)
    online.base.fit(*templates(800, 1))
    old = online.base
    prompts, tokens = templates(600, 2, swapped=True)
    for prompt, count in zip(prompts, tokens, strict=True):
        online.predict([prompt])
        online.update(prompt, count)
        online.wait()
    assert online.base is not old
    made = online.predict(templates(100, 4, swapped=True)[0])
    truth = templates(100, 4, swapped=True)[1]
    assert online.useful
    assert np.corrcoef([f.expected for f in made], truth)[0, 1] > 0.8


def test_a_refit_leaves_no_request_behind_that_has_ended():
    """It asks the serving predictor once more about answers from before that one served."""
    online = Online(Conformal(History().fit(*templates(500, 1))), refit="inline", every=50, window=400)
    old = online.base
    for prompt, count in zip(*templates(600, 2, swapped=True), strict=True):
        online.predict([prompt])
        online.update(prompt, count)
    assert online.base is not old
    assert not online.base._open._values


def test_a_refit_that_is_worse_is_not_taken():
    """The number in the prompt tells the answer; a base that cannot read it, once refitted, could only do worse."""
    online = Online(Known(), refit="inline", every=100)
    base = online.base
    serve(online, *answers(500))
    assert online.base is base


class Known(Stated):
    """Right as it was made; wrong once it is fitted."""

    def _one(self, prompt):
        self.factor = 5.0 if self.learned_ else 1.0
        return super()._one(prompt)


def test_prompts_kept_for_refits_are_short_but_count_in_full():
    prompt = Prompt.of("a" * 10**6)
    kept = shortened(prompt)
    assert len(kept.text) <= 2 * KEPT + 1
    assert (kept.length, kept.messages[0].length) == (prompt.length, prompt.length)
    assert shortened(Prompt.of("short")).messages == Prompt.of("short").messages


def test_unfitted_is_the_same_words_with_nothing_learned():
    fitted = Conformal(History(least=2).fit(*templates(50, 1)), coverage=0.8)
    blank = unfitted(fitted)
    assert blank.parameters.keys() == fitted.parameters.keys()
    assert (blank.coverage, blank.base.least) == (0.8, 2)
    assert not blank.predict([Prompt.of("x")])[0].known


def test_senseless_arguments_are_refused():
    for wrong in ({"refit": "sometimes"}, {"every": 0}, {"least": 1.5}):
        with pytest.raises(PredictorError):
            Online(Stated(), **wrong)


@pytest.mark.parametrize("every", [256, 260, 510])
def test_an_adopted_refit_that_agrees_speaks_wherever_its_last_stretch_ends(every):
    online = Online(Conformal(History()), refit="inline", every=every, window=4 * every)
    serve(online, *templates(2 * every, 2))
    assert online.useful


def test_late_answers_to_the_old_base_do_not_judge_the_new_one():
    base = Stated(factor=20_000, power=-1)
    online = Online(base, refit="never")
    online._useful = True
    late, tokens = answers(300, 1)
    online.predict(late)
    online.base, online._generation = Stated(), online._generation + 1
    for prompt, count in zip(late, tokens, strict=True):
        online.update(prompt, count)
    assert online.useful


def test_clients_that_go_away_do_not_silence_a_good_base():
    base = Stated()
    base.card_ = GOOD
    online, chance = Online(base, refit="never"), np.random.default_rng(0)
    for prompt, count in zip(*answers(1000, 1, sigma=0.1), strict=True):
        online.predict([prompt])
        gone = count > 60 and chance.random() < 0.8
        online.update(prompt, int(chance.integers(1, 8)) if gone else count, gone)
    assert online.useful


def test_what_it_knows_of_its_use_is_saved_and_goes_before_the_card(tmp_path):
    base = History().fit(*templates(300, 1))
    online = Online(base, refit="never")
    online.card_ = GOOD
    serve(online, *templates(300, 2, swapped=True))
    assert not online.useful
    online.save_pretrained(tmp_path / "made")
    assert not Online.from_pretrained(tmp_path / "made").useful


def test_a_fit_during_a_refit_is_kept():
    online = Online(Slow(History()), refit="background", every=100)
    prompts, tokens = templates(100, 1)
    for prompt, count in zip(prompts, tokens, strict=True):
        online.update(prompt, count)
    online.fit(*templates(500, 2))
    base = online.base
    online.wait()
    assert online.base is base


class Slow(Conformal):
    """Takes its time."""

    def fit(self, prompts, tokens, censored=None):
        time.sleep(0.3)
        return super().fit(prompts, tokens, censored)


def test_a_refit_that_cannot_run_is_told_once():
    online = Online(Unfit(), refit="inline", every=100)
    with pytest.warns(RuntimeWarning, match="cannot refit: no learner here"):
        serve(online, *answers(150))
    serve(online, *answers(300, 2))
    assert online.refit_error_ == "no learner here"


class Unfit(Stated):
    """Cannot learn on this machine."""

    def fit(self, prompts, tokens, censored=None):  # noqa: ARG002 - it never gets there
        raise PredictorError("no learner here")


def test_it_serves_while_threads_ask_and_teach():
    online = Online(Conformal(History()), refit="background", every=100)
    wrong = []

    def work(seed):
        try:
            serve(online, *templates(400, seed))
        except Exception as error:  # noqa: BLE001 - whatever it is
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    online.wait()
    assert wrong == []
    assert online.useful

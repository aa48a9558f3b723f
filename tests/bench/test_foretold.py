"""What is foretold of a live run is what runs: predictors that go on learning, answers that a limit cuts."""

import numpy as np
import pytest
from benchmarks.foretold import Arms, apart, shares_of

from soonest.core import Prompt, Rules
from soonest.predict import predictor
from soonest.sim import Options, StepTime, Workload, beliefs

ARMS = {"fcfs": ("fcfs", False), "shortest": ("shortest", False), "shortest@oracle": ("shortest", True)}


def test_a_predictor_learns_through_all_waves_and_hears_what_was_cut(tmp_path, monkeypatch):
    prompts = [Prompt.of(f"say {i}") for i in range(6)]
    tokens = np.array([5, 40, 7, 64, 9, 11])
    predictor("constant").fit(prompts, [10] * 6).save_pretrained(tmp_path / "constant")
    arms = Arms.of(ARMS, Options(Rules.vllm(2, 256, 64, 16), StepTime.unit()), str(tmp_path / "constant"))
    heard = []
    assert list(arms.predictors) == ["shortest"]
    kind = type(arms.predictors["shortest"])
    monkeypatch.setattr(kind, "update", lambda _, prompt, count, censored: heard.append((prompt.text, count, censored)))
    arms.warm(prompts[:2], [5, 40], [False, False])
    wave = Workload(np.zeros(6), np.full(6, 4), tokens, beliefs("oracle", tokens))
    kept = arms.predictors["shortest"]
    means = [arms.wave(wave, prompts, (tokens == 64).tolist()) for _ in range(2)]
    assert arms.predictors["shortest"] is kept
    assert list(means[0]) == list(ARMS)
    assert len(heard) == 2 + 6 + 6
    assert {(text, censored) for text, _, censored in heard[2:]} == {(f"say {i}", i == 3) for i in range(6)}


def test_the_distance_from_what_was_foretold_has_an_interval():
    told = {"fcfs": [10.0, 12.0, 11.0], "shortest": [7.0, 8.0, 8.0], "shortest@oracle": [6.0, 7.0, 7.0]}
    assert shares_of(told, range(3), "shortest@oracle") == {"shortest": pytest.approx(10 / 13)}
    assert apart("shortest", told, told, "shortest@oracle").mean == 0
    came = {**told, "shortest": [6.5, 8.5, 8.0]}
    found = apart("shortest", came, told, "shortest@oracle")
    assert found.mean == pytest.approx(0, abs=1e-9), "the means are the same"
    assert found.half_width > 5, "but the repetitions are not"
    assert apart("shortest", {k: v[:1] for k, v in came.items()}, told, "shortest@oracle") is None

"""Training: its two phases, its batches, and where it goes on after a stop."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from tests.predict.encoder.made import TINY, agreement, answers  # noqa: E402

from soonest.core import Message, PredictorError, Prompt  # noqa: E402 - where PyTorch is there
from soonest.predict.encoder import Encoder, checkpoint, fitting, train  # noqa: E402


def weights(encoder):
    from safetensors.torch import load

    return load(encoder.learned_.weights)


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


@pytest.fixture
def stop_after(monkeypatch):
    """Checkpoints at every step, and training stopped, as by Control-C, after so many of them."""
    monkeypatch.setattr(checkpoint, "SECONDS", 0.0)
    save = checkpoint.Checkpoint.save

    def stop(number):
        count = iter(range(1, 10_000))

        def counted(self, *given):
            save(self, *given)
            if next(count) == number:
                raise KeyboardInterrupt

        monkeypatch.setattr(checkpoint.Checkpoint, "save", counted)

    return stop


@pytest.fixture
def spied(monkeypatch):
    """The trainings that ran, to look at afterwards."""
    seen = []
    make = train.Training.__init__

    def spy(self, *given, **named):
        seen.append(self)
        make(self, *given, **named)

    monkeypatch.setattr(train.Training, "__init__", spy)
    return seen


@pytest.mark.parametrize(
    "number", [3, 6, 7, 15]
)  # in the first epoch, at its end, in the next, and in the frozen phase
def test_training_that_was_stopped_ends_as_if_it_had_not_been(tmp_path, stop_after, number):
    prompts, tokens = answers(n=120)
    whole = Encoder(**TINY).fit(prompts, tokens)
    stop_after(number)
    with pytest.raises(KeyboardInterrupt):
        Encoder(**TINY, checkpoint=str(tmp_path)).fit(prompts, tokens)
    assert [path.name for path in tmp_path.iterdir()] == [checkpoint.FILE]
    stop_after(0)
    again = Encoder(**TINY, checkpoint=str(tmp_path)).fit(prompts, tokens)
    assert same(weights(again), weights(whole))
    assert again.history_ == whole.history_
    assert again.predict(prompts) == whole.predict(prompts)
    assert list(tmp_path.iterdir()) == []


def test_a_stopped_training_does_not_start_over(tmp_path, stop_after, spied):
    prompts, tokens = answers(n=120)
    stop_after(10)
    with pytest.raises(KeyboardInterrupt):
        Encoder(**TINY, checkpoint=str(tmp_path)).fit(prompts, tokens)
    stop_after(1)
    with pytest.raises(KeyboardInterrupt):
        Encoder(**TINY, checkpoint=str(tmp_path)).fit(prompts, tokens)
    steps = [run.progress.epoch * run._steps + run.progress.step for run in spied]
    assert steps == [10, 11]


def test_a_checkpoint_of_another_fit_is_refused_and_so_is_a_broken_one(tmp_path, stop_after):
    prompts, tokens = answers(n=60)
    stop_after(1)
    with pytest.raises(KeyboardInterrupt):
        Encoder(**TINY, checkpoint=str(tmp_path)).fit(prompts, tokens)
    with pytest.raises(PredictorError, match="other data or arguments; remove it"):
        Encoder(**{**TINY, "seed": 1}, checkpoint=str(tmp_path)).fit(prompts, tokens)
    with pytest.raises(PredictorError, match="other data or arguments; remove it"):
        Encoder(**TINY, checkpoint=str(tmp_path)).fit(prompts, tokens[::-1])
    path = tmp_path / checkpoint.FILE
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(PredictorError, match=checkpoint.FILE):
        Encoder(**TINY, checkpoint=str(tmp_path)).fit(prompts, tokens)


def test_the_same_seed_gives_the_same_weights_and_another_gives_others():
    prompts, tokens = answers(n=80)
    one, same_again, other = (Encoder(**TINY, seed=seed).fit(prompts, tokens) for seed in (0, 0, 1))
    assert same(weights(one), weights(same_again))
    assert not same(weights(one), weights(other))


def test_fitting_leaves_the_callers_chance_alone():
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    Encoder(**TINY).fit(*answers(n=40))
    assert torch.equal(torch.rand(3), expected)


def test_the_encoder_learns_first_and_is_then_frozen_while_the_head_goes_on(monkeypatch):
    states = {}
    epoch = train.Training._epoch

    def watched(self):
        epoch(self)
        phase = self.progress.phase
        states.setdefault(phase, []).append({k: v.clone() for k, v in self.network.state_dict().items()})

    monkeypatch.setattr(train.Training, "_epoch", watched)
    Encoder(**{**TINY, "patience": 9}).fit(*answers(n=160))
    (first, second), (third, fourth) = states[train.TUNED], states[train.FROZEN]

    def changed(one, other, part):
        return [key for key in one if key.startswith(part) and not torch.equal(one[key], other[key])]

    assert changed(first, second, "encoder.")
    assert changed(third, fourth, "encoder.") == []
    assert changed(first, second, "head.")
    assert changed(third, fourth, "head.")


def test_the_state_that_was_best_on_what_is_held_out_is_kept(spied):
    prompts, tokens = answers(n=160)
    encoder = Encoder(**{**TINY, "epochs": 8, "lr": 0.05, "head_lr": 0.05, "patience": 3}).fit(prompts, tokens)
    (run,) = spied
    best = min(row["held"] for row in encoder.history_)
    run.network.eval()
    run._vectors = None
    assert run._held_loss() == pytest.approx(best, abs=1e-5)
    assert run.progress.best == best


def test_training_stops_when_patience_is_out(monkeypatch):
    losses = iter([1.0, 0.5, 0.6, 0.7, 0.4, 0.8, 0.9, 0.1])
    monkeypatch.setattr(train.Training, "_held_loss", lambda _self: next(losses))
    encoder = Encoder(**{**TINY, "epochs": 20, "patience": 2}).fit(*answers(n=40))
    assert [(row["phase"], row["held"]) for row in encoder.history_] == [
        *((0, loss) for loss in (1.0, 0.5, 0.6, 0.7)),
        *((1, loss) for loss in (0.4, 0.8, 0.9)),
    ]


def test_an_epoch_shows_every_example_once_in_batches_of_similar_length(spied):
    prompts, tokens = answers(n=400)
    Encoder(**{**TINY, "epochs": 1, "tuned": 1.0, "batch": 8}).fit(prompts, tokens)
    (run,) = spied
    run.progress = checkpoint.Progress()
    batches = run._batches()
    assert sorted(np.concatenate(batches)) == sorted(run.examples.learned)
    lengths = [[len(run.examples.rows[i]) for i in batch] for batch in batches]
    spread = np.mean([max(row) - min(row) for row in lengths])
    assert spread < np.std([n for row in lengths for n in row])
    run.progress.epoch = 1
    assert [b.tolist() for b in run._batches()] != [b.tolist() for b in batches]


def test_the_learning_rate_rises_to_its_full_value_and_falls_towards_zero():
    rates = [train.slope(step, 100) for step in range(100)]
    assert max(rates) == rates[9] == 1
    assert (np.diff(rates[:10]) > 0).all()
    assert (np.diff(rates[9:]) < 0).all()
    assert 0 < rates[-1] < 0.02
    assert train.slope(0, 1) == 1


def test_training_that_diverges_is_an_error_that_says_what_to_do():
    prompts, tokens = answers(n=40)
    diverging = Encoder(**{**TINY, "lr": 1.0, "head_lr": 1.0})
    diverging.lr = diverging.head_lr = 1e30
    with pytest.raises(PredictorError, match="lower lr or head_lr"):
        diverging.fit(prompts, tokens)


def test_what_is_of_one_conversation_is_never_both_learned_from_and_held_out():
    groups = [(f"conversation {i // 7}", i // 7) for i in range(400)]
    learned, held = fitting.split(groups, 0.2, 0)
    assert sorted([*learned, *held]) == list(range(400))
    assert {groups[i] for i in learned}.isdisjoint(groups[i] for i in held)
    assert 0.15 < len(held) / 400 < 0.25


def test_calls_of_one_dialogue_without_a_name_stay_together():
    first = [f"Tell me of river {i // 5}." for i in range(200)]
    later = ["", "go on", "go on", "and then?", f"the end of {7}"]
    turns = [[Message("user", text), *[Message("user", later[i % 5])] * (i % 5 > 0)] for i, text in enumerate(first)]
    groups = fitting.groups_of([Prompt(tuple(some)) for some in turns])
    assert len(set(groups)) == 40
    learned, held = fitting.split(groups, 0.2, 0)
    assert {first[i] for i in learned}.isdisjoint(first[i] for i in held)


def test_units_come_from_the_training_split_alone():
    prompts, tokens = answers(n=200)
    encoder = Encoder(**{**TINY, "task": "multiclass", "epochs": 1}).fit(prompts, tokens)
    learned, _ = fitting.split(fitting.groups_of(prompts), 0.2, 0)
    assert encoder.task_.cuts == pytest.approx(np.percentile(np.array(tokens)[learned], [25, 50, 75, 99]))


@pytest.mark.parametrize("n", [1, 2, 5])
def test_a_handful_of_answers_is_enough_to_begin_with(n):
    encoder = Encoder(**TINY).fit([Prompt.of(f"word {i}") for i in range(n)], list(range(1, n + 1)))
    assert all(found.known for found in encoder.predict([Prompt.of("word"), Prompt.of("other")]))


@pytest.mark.gpu
def test_training_on_a_gpu_in_bf16_learns_as_well():
    prompts, tokens = answers(n=400)
    encoder = Encoder(**{**TINY, "device": "cuda", "precision": "bf16", "epochs": 8}).fit(prompts[:300], tokens[:300])
    assert agreement(encoder.predict(prompts[300:]), tokens[300:]) > 0.7

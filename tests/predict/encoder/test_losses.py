"""Each loss beside the formula written out."""

import itertools
import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from soonest.predict.encoder import TASKS  # noqa: E402 - where PyTorch is there
from soonest.predict.encoder.model import rising  # noqa: E402
from soonest.predict.encoder.tasks.losses import LOSSES, loss_of  # noqa: E402
from soonest.predict.encoder.tasks.scored import PINBALL_LEVELS  # noqa: E402

draw = np.random.default_rng(0)
OUTPUTS = draw.normal(0, 1, (7, 1))
TARGETS = np.array([0.3, -1.2, 0.3, 2.0, 0.0, -0.5, 1.0])  # two of them equal
PAIRS = [(i, j) for i, j in itertools.product(range(7), repeat=2) if TARGETS[i] > TARGETS[j]]


def value(name, outputs=OUTPUTS, targets=TARGETS):
    return LOSSES[name](torch.tensor(outputs), torch.tensor(targets)).item()


def test_the_absolute_and_the_squared_error():
    assert value("l1") == pytest.approx(np.mean([abs(o - t) for o, t in zip(OUTPUTS[:, 0], TARGETS, strict=True)]))
    assert value("mse") == pytest.approx(np.mean([(o - t) ** 2 for o, t in zip(OUTPUTS[:, 0], TARGETS, strict=True)]))


def test_the_pinball_loss_of_all_levels():
    outputs = draw.normal(0, 1, (7, 9))
    by_hand = [
        2 * (level * (t - q) if t > q else (1 - level) * (q - t))
        for row, t in zip(outputs, TARGETS, strict=True)
        for q, level in zip(row, PINBALL_LEVELS, strict=True)
    ]
    assert value("pinball", outputs) == pytest.approx(np.mean(by_hand))


def test_the_pair_losses_over_all_pairs_of_different_length():
    gaps = [OUTPUTS[i, 0] - OUTPUTS[j, 0] for i, j in PAIRS]
    assert value("logistic") == pytest.approx(np.mean([math.log1p(math.exp(-gap)) for gap in gaps]))
    assert value("margin") == pytest.approx(np.mean([max(0, 1 - gap) for gap in gaps]))


def test_a_batch_of_equal_lengths_teaches_no_order():
    outputs = torch.tensor(OUTPUTS, requires_grad=True)
    for name in ("logistic", "margin"):
        loss = LOSSES[name](outputs, torch.zeros(7))
        loss.backward()
        assert loss.item() == 0
        assert outputs.grad.abs().sum() == 0


def test_listmle_is_the_likelihood_of_drawing_the_shortest_first():
    chance, left = 1.0, list(np.argsort(TARGETS, kind="stable"))
    while left:
        weights = [math.exp(-OUTPUTS[i, 0]) for i in left]
        chance *= weights[0] / sum(weights)
        left.pop(0)
    assert value("listmle") == pytest.approx(-math.log(chance) / 7)


def test_listnet_compares_the_chances_of_being_drawn_first():
    def chances(values):
        return np.exp(-values) / np.exp(-values).sum()

    assert value("listnet") == pytest.approx(-(chances(TARGETS) * np.log(chances(OUTPUTS[:, 0]))).sum())


@pytest.mark.parametrize("name", ["logistic", "margin", "listmle", "listnet"])
def test_a_true_order_costs_less_than_its_reverse(name):
    assert value(name, TARGETS[:, None] * 2) < value(name, -TARGETS[:, None] * 2)


@pytest.mark.parametrize("name", ["binary", "multiclass"])
def test_class_errors_weigh_as_the_task_says(name):
    tokens = np.exp(draw.normal(4, 1, 200))
    task = TASKS[name]()
    task.learn(tokens)
    outputs = draw.normal(0, 1, (200, task.width))
    classes = task.targets(tokens).astype(int)
    chances = np.exp(outputs) / np.exp(outputs).sum(1, keepdims=True)
    by_hand = np.average(-np.log(chances[np.arange(200), classes]), weights=task.weights[classes])
    found = loss_of(task)(torch.tensor(outputs, dtype=torch.float32), torch.tensor(classes, dtype=torch.float32))
    assert found.item() == pytest.approx(by_hand, rel=1e-5)


def test_rising_outputs_rise_and_the_middle_one_is_free():
    outputs = torch.tensor(draw.normal(0, 3, (50, 9)))
    found = rising(outputs)
    assert (found.diff(dim=1) > 0).all()
    assert torch.equal(found[:, 4], outputs[:, 4])

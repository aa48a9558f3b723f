"""Jobs of the SSJF study: what each fault does to arrivals, and that nothing else changes."""

from dataclasses import replace

import numpy as np
import pytest

from soonest.core import SoonestError
from soonest.studies.ssjf.jobs import EXPERIMENTS, TABLED, Answers, Point, answers_in, arrivals, draw, tabled
from soonest.studies.ssjf.published import SECOND, Faults

AZURE = np.cumsum(np.full(500, 0.25))
ANSWERS = Answers.of(
    np.array([10, 20, 100, 200, 300, 400] * 20),
    {"five classes": np.array([0, 0, 1, 2, 3, 4] * 20), "three classes": np.array([0, 0, 0, 1, 1, 1] * 20)},
)
NOTHING = Faults()


def times(point, faults=NOTHING, seed=0):
    return arrivals(point, AZURE, faults, np.random.default_rng(seed))


@pytest.mark.parametrize("faults", [NOTHING, Faults.published()])
@pytest.mark.parametrize("kind", ["poisson", "uniform", "gamma", "azure"])
def test_arrivals_never_decrease_and_are_as_many_as_asked_for(kind, faults):
    found = times(Point(kind, jobs=40), faults)
    assert len(found) == 40
    assert (np.diff(found) >= 0).all()


@pytest.mark.parametrize("kind", ["poisson", "gamma"])
def test_the_rate_is_the_one_asked_for(kind):
    spans = [times(Point(kind, rate=2.0, jobs=200), seed=seed)[-1] for seed in range(200)]
    assert np.mean(spans) == pytest.approx(100, rel=0.05)


def test_faults_of_arrivals():
    assert (times(Point("poisson"), Faults(whole_seconds=True)) % 1 == 0).all()
    assert (np.diff(times(Point("gamma"), Faults(sorted_gaps=True))) >= 0).all()
    plain, sort = (np.diff(times(Point("gamma"), Faults(sorted_gaps=s)), prepend=0.0) for s in (False, True))
    assert np.sort(plain) == pytest.approx(np.sort(sort))
    azure = Point("azure", speedup=5, jobs=3)
    assert times(azure).tolist() == [0, 0.05, 0.1]
    assert times(azure, Faults(milliseconds_as_seconds=True)).tolist() == [0, 50, 100]


def test_a_run_has_the_same_answers_whatever_the_faults_and_seconds_or_picoseconds():
    point = Point("gamma", jobs=30)
    exact = draw(point, ANSWERS, AZURE, NOTHING, seed=4)
    floats = draw(point, ANSWERS, AZURE, Faults.published(), seed=4)
    assert set(exact) == {"five classes", "three classes"}
    for task, jobs in exact.items():
        assert jobs.second == SECOND
        assert floats[task].second == 1
        assert [time / SECOND for time in jobs.service] == floats[task].service
        assert jobs.forecast == floats[task].forecast
    assert exact["five classes"].service == exact["three classes"].service


def test_a_class_is_believed_to_take_what_it_takes_on_average():
    assert ANSWERS.believed["five classes"][:6].tolist() == [15, 15, 100, 200, 300, 400]
    jobs = draw(Point("poisson", jobs=120), ANSWERS, AZURE, NOTHING, seed=0)["five classes"]
    first = jobs.forecast.index(0)
    assert jobs.believed[first] == 0.4 * SECOND


def test_tables_rest_on_every_other_value():
    fields = zip(TABLED, ("rate", "cv", "speedup"), strict=True)
    assert [[getattr(point, field) for point in tabled(name)] for name, field in fields] == [
        [1, 3, 5, 7, 9],
        [1, 2, 3, 4, 5],
        [0.5, 2, 10, 50, 200],
    ]
    assert all(len(e.values) == len(e.points) == 10 for e in EXPERIMENTS.values())


def test_what_cannot_be_drawn_is_said():
    with pytest.raises(SoonestError, match="known: poisson"):
        times(Point("weekly"))
    with pytest.raises(SoonestError, match="too few for 501"):
        times(replace(Point("azure"), jobs=501))


@pytest.mark.data
def test_the_published_predictions_are_read(shared_data):
    found = answers_in(shared_data("arrivals/ssjf_vicuna13b_bert_predictions.csv.gz"))
    assert len(found.tokens) == 85482
    assert found.tokens.mean() == pytest.approx(177, abs=1)
    assert [len(np.unique(classes)) for classes in found.predicted.values()] == [5, 3]

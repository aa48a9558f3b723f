import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from soonest.core import StepTimeError, TraceError
from soonest.sim.steptime import COLUMNS, MAX_PICOSECONDS, PRESETS, SECOND, StepTime, fit_steps, read_steps

coefficients = st.integers(0, 10**12)
steptimes = st.builds(StepTime, st.integers(1, 10**13), coefficients, coefficients, coefficients, st.integers(0, 9))


def measured(truth, n=4000, noise=0.05, seed=0):
    """Synthetic steps of this truth: a third of them prefill, with a multiplicative error."""
    rng = np.random.default_rng(seed)
    prefill = rng.integers(1, 2048, n) * (rng.random(n) < 1 / 3)
    sequences = rng.integers(1, 257, n)
    context = sequences * rng.integers(1, 2000, n)
    rows = zip(prefill.tolist(), sequences.tolist(), context.tolist(), strict=True)
    exact = np.array([truth.duration(*row) for row in rows]) / SECOND
    return np.column_stack([prefill, sequences, context, exact * (1 + noise * rng.standard_normal(n))])


def decoding(steptime, steps, sequences=1, context=0):
    """Picoseconds of `steps` iterations in which every sequence gains a token."""
    return sum(steptime.duration(0, sequences, context + sequences * i) for i in range(steps))


def test_a_duration_adds_what_each_part_of_the_batch_costs():
    assert StepTime(1000, 100, 10, 1).duration(prefill_tokens=7, sequences=3, context_tokens=5) == 1000 + 300 + 70 + 5


@pytest.mark.parametrize(
    "arguments",
    [
        (-1,),
        (1.5,),
        (True,),
        ("1",),
        (MAX_PICOSECONDS + 1,),
        (1, -1),
        (0,),
        (0, 0, 5, 5),
        (1, 0, 0, 0, -1),
        (None,),
        (np.array([5, 6]),),
    ],
)
def test_a_step_time_that_is_no_time_is_refused(arguments):
    with pytest.raises(StepTimeError):
        StepTime(*arguments)


def test_numpy_integers_become_plain_ones():
    assert type(StepTime(np.int64(5)).iteration) is int


def test_seconds_that_are_not_finite_are_refused():
    with pytest.raises(StepTimeError, match="finite"):
        StepTime.linear(float("nan"))


def test_a_round_of_the_theory_papers_is_a_second():
    assert decoding(StepTime.unit(), 7, 3, 100) == 7 * SECOND


@pytest.mark.parametrize("tokens", [1, 10, 177])
def test_an_ssjf_request_takes_a_tenth_of_a_second_and_two_hundredths_a_token(tokens):
    steptime = StepTime.ssjf()
    alone, together = (decoding(steptime, steptime.startup + tokens, sequences) for sequences in (1, 8))
    assert alone == together == round((0.1 + 0.02 * tokens) * SECOND)


def test_the_presets_follow_from_the_data_sheets():
    h100, a100 = PRESETS["h100-8b"], PRESETS["a100-7b"]
    assert h100.iteration == pytest.approx(16e9 / 2.01e12 * SECOND, abs=1)
    assert h100.per_context_token == pytest.approx(131_072 / 2.01e12 * SECOND, abs=1)
    assert h100.per_prefill_token == pytest.approx(16e9 / 494.5e12 * SECOND, abs=1)
    assert a100.iteration == pytest.approx(13.4e9 / 1.224e12 * SECOND, abs=1)
    assert a100.per_context_token == pytest.approx(524_288 / 1.224e12 * SECOND, abs=1)
    assert PRESETS["cpu-1m"].duration(0, 1, 100) == pytest.approx(0.002 * SECOND, rel=0.02)


@given(steptimes)
def test_a_saved_step_time_loads_as_itself(tmp_path_factory, steptime):
    path = tmp_path_factory.mktemp("steptime") / "engine.json"
    steptime.save(path)
    assert StepTime.load(path) == steptime
    assert [p.name for p in path.parent.iterdir()] == ["engine.json"]


def test_a_save_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "engine.json"
    StepTime(1).save(path)

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr("pathlib.Path.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        StepTime(2).save(path)
    assert StepTime.load(path) == StepTime(1)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"iteration": 1.5}', '{"iteration": 1, "speed": 2}', "\xff"])
def test_a_file_that_is_no_step_time_is_refused_by_name(tmp_path, content):
    path = tmp_path / "engine.json"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(StepTimeError, match=r"engine\.json"):
        StepTime.load(path)


@pytest.mark.parametrize("name", ["h100-8b", "a100-7b"])
def test_a_fit_recovers_the_coefficients_within_two_percent(name):
    truth = PRESETS[name]
    fit = fit_steps(measured(truth, n=20_000))
    for field in ("iteration", "per_prefill_token", "per_context_token"):
        assert getattr(fit.steptime, field) == pytest.approx(getattr(truth, field), rel=0.02), field
    assert fit.n == 20_000
    assert fit.r2 > 0.95
    assert fit.median_error == pytest.approx(0.05 * 0.6745, rel=0.05)  # median of |N(0, 1)|
    assert fit.p99_error == pytest.approx(0.05 * 2.576, rel=0.1)


def test_a_fit_recovers_every_coefficient_when_each_matters():
    truth = StepTime.linear(5e-3, 2e-4, 5e-5, 2e-7)
    fitted = fit_steps(measured(truth, n=20_000, noise=0.02)).steptime
    for field in ("iteration", "per_sequence", "per_prefill_token", "per_context_token"):
        assert getattr(fitted, field) == pytest.approx(getattr(truth, field), rel=0.02), field


def test_a_fit_without_noise_is_exact():
    truth = PRESETS["h100-8b"]
    fit = fit_steps(measured(truth, n=50, noise=0.0))
    assert fit.steptime.duration(500, 32, 30_000) == pytest.approx(truth.duration(500, 32, 30_000), rel=1e-6)
    assert fit.r2 == pytest.approx(1)
    assert fit.p99_error < 1e-6


def test_a_fit_never_has_a_negative_coefficient_and_meets_the_optimality_conditions():
    rows = measured(StepTime.linear(1e-2, 0.0, 3e-5, 1e-7), n=500, noise=0.0)
    rows[:, 3] = np.maximum(
        rows[:, 3] - 3e-5 * rows[:, 1], 1e-4
    )  # larger batches are faster: pulls per_sequence below 0
    fitted = fit_steps(rows).steptime
    assert fitted.per_sequence == 0
    design = np.column_stack([np.ones(len(rows)), rows[:, :3]])
    found = np.array([fitted.iteration, fitted.per_prefill_token, fitted.per_sequence, fitted.per_context_token])
    gradient = design.T @ (design @ (found / SECOND) - rows[:, 3]) / np.linalg.norm(design, axis=0)
    assert gradient[2] > 0
    assert np.abs(gradient[found > 0]).max() < 1e-4 * gradient[2]


def test_too_few_rows_say_to_measure_more():
    with pytest.raises(StepTimeError, match="measure more steps"):
        fit_steps(measured(StepTime.unit())[:7])


@pytest.mark.parametrize("column", range(3))
def test_a_count_that_never_varies_is_named(column):
    rows = measured(StepTime.unit(), n=100)
    rows[:, column] = 4
    with pytest.raises(StepTimeError, match=f"{COLUMNS[column]} never varies"):
        fit_steps(rows)


def test_counts_that_move_together_are_named():
    rows = measured(StepTime.unit(), n=100)
    rows[:, 2] = 1000 * rows[:, 1]
    with pytest.raises(StepTimeError, match="sequences and context_tokens move together"):
        fit_steps(rows)


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_seconds_that_are_no_time_are_not_fitted(value):
    rows = measured(StepTime.unit(), n=100)
    rows[5, 3] = value
    with pytest.raises(StepTimeError, match="seconds above 0"):
        fit_steps(rows)


def test_steps_are_read_in_the_order_of_the_columns(tmp_path):
    path = tmp_path / "steps.csv"
    path.write_text("seconds,engine,context_tokens,sequences,prefill_tokens\n0.01,a,300,3,5\n0.02,b,400.0,4,0\n")
    assert read_steps(path).tolist() == [[5, 3, 300, 0.01], [0, 4, 400, 0.02]]


HEADER = "prefill_tokens,sequences,context_tokens,seconds\n"


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("", r"steps.csv:1: no column 'prefill_tokens'"),
        ("prefill_tokens,sequences,seconds\n0,1,0.1\n", r"steps.csv:1: no column 'context_tokens'"),
        (HEADER + "0,1,9,0.1\nx,1,9,0.1\n", r"steps.csv:3: column 'prefill_tokens'.*'x'"),
        (HEADER + "0,1,9,0.1\n0,1.5,9,0.1\n", r"steps.csv:3: column 'sequences'"),
        (HEADER + "0,0,9,0.1\n", r"steps.csv:2: column 'sequences'.*at least 1"),
        (HEADER + "0,1,-9,0.1\n", r"steps.csv:2: column 'context_tokens'"),
        (HEADER + "0,1,9,0\n", r"steps.csv:2: column 'seconds'"),
        (HEADER + "0,1,9,nan\n", r"steps.csv:2: column 'seconds'"),
        (HEADER + "0,1,9\n", r"steps.csv:2: column 'seconds'.*None"),
        (HEADER + "0,1,inf,0.1\n", r"steps.csv:2: column 'context_tokens'"),
        (HEADER + "0,1,9,\xff\n", r"steps.csv:\d+: no readable CSV"),
    ],
)
def test_a_malformed_step_names_file_line_and_column(tmp_path, text, where):
    path = tmp_path / "steps.csv"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(TraceError, match=where):
        read_steps(path)


def test_a_measured_file_becomes_a_step_time(tmp_path):
    rows = measured(PRESETS["a100-7b"], n=300, noise=0.0)
    path = tmp_path / "steps.csv"
    path.write_text(HEADER + "".join(f"{a:.0f},{b:.0f},{c:.0f},{d!r}\n" for a, b, c, d in rows.tolist()))
    fitted = fit_steps(read_steps(path)).steptime
    fitted.save(tmp_path / "engine.json")
    assert json.loads((tmp_path / "engine.json").read_text())["iteration"] == fitted.iteration
    assert fitted.iteration == pytest.approx(PRESETS["a100-7b"].iteration, rel=1e-6)

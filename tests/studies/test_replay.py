"""A journal of simulated traffic replays to what happened, and its step times are those it was made with."""

import numpy as np
import pytest

from soonest.core import JournalError, Rules, StepTimeError
from soonest.data.journal import Row
from soonest.sim import Options, StepTime, Workload, saturation, simulate
from soonest.sim.forecasts import noise
from soonest.studies import Arm, Comparison, Scenario
from soonest.studies.lives import fit_lives
from soonest.studies.replay import Replay

STEPS = StepTime.linear(8e-3, 4e-4, 3e-5, 1e-7)
START = 1.7e9


def journal_of(policy="shortest", load=0.95, n=1500, seed=0, slots=12, steps=STEPS):
    """What a gateway would have written, had it served a simulated engine."""
    chance = np.random.default_rng(seed)
    prompt, output = chance.integers(10, 800, n), np.maximum(1, chance.lognormal(4.3, 0.9, n).astype(np.int64))
    told = noise(output, 0.7, seed=seed)
    options = Options(Rules.vllm(slots), steps)
    work = Workload(np.zeros(n), prompt, output, told)
    work = work.at(np.cumsum(chance.exponential(1 / (load * saturation(work, options)), n)))
    found = simulate(work, policy, options).records
    rows = []
    for i in range(n):
        forecast = told.table[told.index[i]]
        times = (START + float(t[i]) for t in (found.arrival, found.admitted, found.first_token, found.finished))
        said = {"low": float(forecast.low), "expected": forecast.expected, "high": float(forecast.high), "known": True}
        rows.append(
            Row(
                str(i),
                *times,
                prompt_tokens=int(prompt[i]),
                output_tokens=int(output[i]),
                policy=policy,
                outcome="finished",
                finish_reason="stop",
                **said,
            )
        )
    return rows, work


def replayed(rows, notes=None):
    made = Replay.of(rows, notes or {}, "journal", None, None)
    options = Options(Rules.vllm(made.slots), made.steps.steptime, engines=made.engines)
    comparison = Comparison(
        Scenario(made.trace, options, told=made.told),
        [Arm("fcfs", "journal"), *([Arm(made.policy, "journal")] if made.policy != "fcfs" else [])],
    )
    comparison.run()
    return made, comparison


@pytest.mark.parametrize("policy", ["fcfs", "shortest", "response_ratio(shortest)"])
@pytest.mark.parametrize("load", [0.6, 1.1])
def test_a_journal_replays_to_what_happened(policy, load):
    rows, work = journal_of(policy, load)
    made, comparison = replayed(rows)
    check = made.check(comparison.runs)
    assert made.slots == 12
    assert abs(check.difference) < 0.02
    assert check.trusted
    truth = simulate(work, "fcfs", Options(Rules.vllm(12), STEPS)).records
    first = next(run.summary["mean_e2el_ms"] for run in comparison.runs if run.arm.policy == "fcfs") / 1e3
    assert first == pytest.approx(float(np.mean(truth.finished - truth.arrival)), rel=0.03)


@pytest.mark.parametrize("load", [0.5, 0.8, 1.2])
def test_step_times_are_found_again(load):
    rows, _ = journal_of(load=load, n=3000)
    fit = fit_lives(rows)
    assert fit.r2 > 0.999
    assert fit.n == 3000
    assert fit.steptime.iteration == pytest.approx(STEPS.iteration, rel=0.15)
    assert fit.steptime.per_sequence == pytest.approx(STEPS.per_sequence, rel=0.25)
    assert fit.steptime.per_prefill_token == pytest.approx(STEPS.per_prefill_token, rel=0.25)
    for sequences in (1, 12):  # what an iteration takes is known better than its parts
        ours, theirs = (s.duration(0, sequences, sequences * 500) for s in (fit.steptime, STEPS))
        assert ours == pytest.approx(theirs, rel=0.08)


def test_a_month_in_between_changes_nothing():
    rows, _ = journal_of(n=1000)
    month = [
        row._replace(
            **{name: getattr(row, name) + 29 * 86_400 for name in ("arrival", "admitted", "first_token", "finished")}
        )
        for row in rows
    ]
    ours, theirs = fit_lives([*rows, *month]).steptime, fit_lives(rows).steptime
    for sequences in (1, 12):
        counts = 100, sequences, sequences * 500
        assert ours.duration(*counts) == pytest.approx(theirs.duration(*counts), rel=0.01)


def test_without_first_tokens_it_is_nearly_as_good():
    rows = [row._replace(first_token=float("nan")) for row in journal_of()[0]]
    made, comparison = replayed(rows)
    assert abs(made.check(comparison.runs).difference) < 0.05


def test_engines_are_fitted_each_for_itself():
    rows = [row._replace(engine="a") for row in journal_of(seed=1)[0]]
    rows += [row._replace(id=f"b{row.id}", engine="b") for row in journal_of(seed=2)[0]]
    made = Replay.of(rows, {}, "journal", None, None)
    assert (made.engines, made.slots) == (2, 12)
    assert made.steps.steptime.duration(0, 12, 6000) == pytest.approx(STEPS.duration(0, 12, 6000), rel=0.08)


def test_of_gateways_that_shared_an_engine_no_part_is_taken_for_the_whole():
    """Each noted the limit that it had learned, about half of what ran there."""
    rows = [row._replace(run=1 + i % 2) for i, row in enumerate(journal_of(load=1.1)[0])]
    made, comparison = replayed(rows, {"in_flight": "6"})
    assert made.slots == 12
    assert made.check(comparison.runs).trusted
    told = {"in_flight": "6", "engine_slots": "10"}
    assert Replay.of(rows, told, "journal", None, None).slots == 10, "others waited in the engine"


def test_runs_one_after_the_other_and_at_engines_of_their_own_keep_their_limits():
    rows, _ = journal_of(n=300)
    end = max(row.finished for row in rows) - START
    times = ("arrival", "admitted", "first_token", "finished")
    later = [row._replace(run=2, **{name: getattr(row, name) + end for name in times}) for row in rows]
    first = [row._replace(run=1) for row in rows]
    soon = [row._replace(**{name: getattr(row, name) - 0.05 * end for name in times}) for row in later]  # as it drains
    other = [row._replace(run=3, engine="b") for row in rows]
    for several in ([*first, *later], [*first, *soon], [*first, *other]):
        assert Replay.of(several, {"in_flight": "20"}, "journal", None, None).slots == 20


def test_a_constant_step_time_needs_no_variety():
    rows, _ = journal_of(n=300, slots=1, steps=StepTime.linear(0.01))
    fit = fit_lives(rows)
    assert fit.r2 > 0.999
    assert fit.steptime.duration(0, 1, 500) == pytest.approx(StepTime.linear(0.01).duration(0, 1, 500), rel=0.02)


def test_traffic_that_is_no_engine_s_is_not_trusted():
    """Answers that took as long as chance would have it, not as their lengths and company would."""
    rows, _ = journal_of(load=1.1)
    chance = np.random.default_rng(0)
    odd = [row._replace(finished=row.finished + float(chance.exponential(300))) for row in rows]
    made, comparison = replayed(odd, {"in_flight": "2"})
    assert not made.check(comparison.runs).trusted


def test_the_newest_policy_s_newest_rows_are_kept():
    rows, _ = journal_of(n=100)
    rows = [row._replace(policy="fcfs") if i < 50 else row for i, row in enumerate(rows)]
    made = Replay.of(rows, {}, "journal", None, 20)
    assert made.policy == "shortest"
    assert [row.id for row in made.rows] == [str(i) for i in range(80, 100)]
    assert made.policies == "fcfs@journal,shortest@journal"


def test_notes_of_the_gateway_describe_the_engine():
    rows, _ = journal_of(n=50)
    noted = {"in_flight": "64", "engine_slots": "32", "blocks": "100", "block_size": "16", "overdue_after": "30"}
    made = Replay.of(rows, noted, "journal", None, None)
    assert (made.slots, made.memory, made.overdue_after) == (32, 1600, 30.0)
    assert Replay.of(rows, {"in_flight": "auto"}, "journal", None, None).slots == 12
    with pytest.raises(JournalError, match="give --step-time and --slots"):
        Replay.of(rows, {"mode": "priority"}, "journal", None, None).steps  # noqa: B018 - the property is what is tested
    rows = [row._replace(policy="somebody's") for row in rows]
    assert Replay.of(rows, {}, "journal", None, None).policies == "fcfs@journal,shortest@journal"


def test_a_journal_of_too_little_says_so():
    with pytest.raises(JournalError, match="no finished request"):
        Replay.of([Row("a", 1.0)], {}, "journal", None, None)
    with pytest.raises(StepTimeError, match="at least 8 finished requests"):
        fit_lives(journal_of(n=7)[0])

"""What the SSJF study says is what its figures say, whatever they are: here all of them are made up."""

import numpy as np
import pytest

from soonest.report.study import VERDICT
from soonest.studies.ssjf import corrected, findings, own, switches, tables, twenty
from soonest.studies.ssjf.corrected import FCFS, FIVE, RATIO, Case, Corrected
from soonest.studies.ssjf.findings import COUNTS, CVS, JOBS, LOADS
from soonest.studies.ssjf.jobs import TABLED, tabled
from soonest.studies.ssjf.published import Faults
from soonest.studies.ssjf.runs import ARMS, MEASURES, Runs, Setting
from soonest.studies.ssjf.switches import EIGHT, Switched
from soonest.studies.ssjf.tables import ALONE, MEASURED, MODES, Published

REPETITIONS = 4


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    """Runs that are all alike need no more."""
    monkeypatch.setattr(twenty, "RESAMPLES", 20)


def runs(mode, arrivals, jct, quarter=None, p99=None):
    """Runs in which an arm has the same figures in every one; 100 s and once FCFS's throughput unless given."""
    values = np.ones((5, REPETITIONS, len(ARMS), len(MEASURES)))
    values[..., MEASURES.index("jct")] = 100
    for name, figures in (("jct", jct), ("quarter", quarter or {}), ("p99", p99 or {})):
        for arm, figure in figures.items():
            values[:, :, list(ARMS).index(arm), MEASURES.index(name)] = figure
    return Runs(Setting(tabled(arrivals), mode, Faults.published(), REPETITIONS), values)


def published(off=lambda _cell: 0.0, gains=lambda _mode, _arrivals: 50.0):
    """With the figures of the authors' code where they are known, each `off` by so much, and else a gain."""
    found = {}
    for mode in MODES:
        for name in TABLED:
            jct, quarter = {FIVE: 100 - gains(mode, name)}, None
            if (mode, name) in MEASURED:
                theirs, miss = MEASURED[mode, name], off((mode, name))
                base = theirs.fcfs + miss
                jct = {FCFS: base, "SJF": base * (1 - (theirs.gain_sjf + miss) / 100)}
                jct[FIVE] = base * (1 - (theirs.gain_ssjf + miss) / 100)
                quarter = {"SJF": theirs.factor_sjf + miss, FIVE: theirs.factor_ssjf + miss}
            found[mode, name] = runs(mode, name, jct, quarter)
    return Published(found, {})


def switched(eight=10.0, on=0.1, off=39.0):
    """With these gains of SSJF: a continuous batch of 8 on one path; in overload with and without the rule."""
    paths = {(mode, name): runs(mode, name, {FIVE: 100 - eight}) for mode in MODES for name in TABLED}
    overload = {
        (rule, jobs): runs(ALONE, "poisson", {FIVE: 100 - gain}, p99={FCFS: 500, FIVE: tail})
        for rule, gain, tail in ((True, on, 510), (False, off, 777))
        for jobs in switches.COUNTS
    }
    return Switched({}, overload, paths)


def repeated(gain, factor=1.0, p99=1.0, noise=0.0):
    """Repetitions of a case: SSJF and the response ratio gain so much, give or take the noise."""
    values = np.ones((REPETITIONS, len(corrected.ARMS), len(corrected.MEASURES)))
    values[:, :, 0] = 100
    values[:, list(corrected.ARMS).index(FIVE), 0] -= gain + np.resize([noise, -noise], REPETITIONS)
    values[:, list(corrected.ARMS).index(RATIO), 0] -= gain / 2
    values[:, list(corrected.ARMS).index(FIVE), corrected.MEASURES.index("quarter")] = factor
    values[:, list(corrected.ARMS).index(FIVE), corrected.MEASURES.index("p99")] = p99
    return values


def simulated(case=lambda _case: repeated(40.0)):
    cases = [Case(rules, name, load, JOBS) for rules in corrected.RULES for name in TABLED for load in LOADS]
    cases += [
        Case(rules, "poisson", load, jobs) for rules in findings.CLOSELY for load in (0.9, 1.2) for jobs in COUNTS[:-1]
    ]
    cases += [Case(rules, "gamma", 0.9, JOBS, cv) for rules in findings.CLOSELY for cv in CVS if cv != 2]
    return Corrected({each: case(each) for each in cases}, own.Outcome(9, 9, {}, {}))


def verdict(found=None, theirs=None, faults=None):
    section = findings.verdict(theirs or published(), faults or switched(), found or simulated())
    assert section.title == VERDICT
    return dict(zip(("again", "latency", "rate", "tail", "model"), section.text, strict=True))


def test_the_authors_figures_come_out_again_in_part_or_not():
    last = list(MEASURED)[-1]
    for off, word, inside in (
        (lambda _: 0.0, "come out again", 28),
        (lambda cell: 9.0 * (cell == last), "come out in part", 24),
        (lambda _: 9.0, "do not come out again", 0),
    ):
        assert verdict(theirs=published(off))["again"].startswith(
            f"The authors' figures {word}: {inside} of 28 known cells"
        )


def test_the_mean_jct_of_fcfs_is_counted_beside_theirs():
    last = list(MEASURED)[-1]
    for off, inside in ((lambda _: 0.0, 7), (lambda cell: 9.0 * (cell == last), 6), (lambda _: 9.0, 0)):
        said = tables._tables(published(off)).text[2]
        assert f"Of 7 mean JCTs of FCFS that are known, {inside} lie inside such an interval." in said


def test_the_claim_of_latency_stands_only_where_every_gain_is_so_high():
    assert "Mean JCT: the claim stands." in verdict(simulated())["latency"]
    assert "Mean JCT: the claim is not confirmed." in verdict(simulated(lambda _: repeated(10.0)))["latency"]
    queued = simulated(lambda case: repeated(40.0 if case.rules == "no batching" and case.load >= 0.9 else 10.0))
    said = verdict(queued)["latency"]
    assert "Mean JCT: the claim stands in part." in said
    assert "at loads of: no batching (0.9, 1.0, 1.2), dynamic B=4 (none), " in said
    assert "continuous B=8 (none). At load 0.9 it gains 40.0 % (no batching), 10.0 % (dynamic B=4)" in said
    assert "10.0 % (continuous B=8); at 0.5, over all of these, 10.0 %." in said


def test_a_gain_counts_under_all_arrivals_and_to_the_low_end_of_its_interval():
    one = simulated(lambda case: repeated(10.0 if case.arrivals == "azure" else 40.0))
    assert "the claim is not confirmed." in verdict(one)["latency"]
    wide = simulated(lambda case: repeated(40.0, noise=20.0 * (case.load == 0.7)))
    assert "no batching (0.5, 0.9, 1.0, 1.2)" in verdict(wide)["latency"]


def test_a_continuous_batch_of_eight_is_told_in_both_forms():
    theirs = published(gains=lambda mode, name: 60.0 + TABLED.index(name) if mode == EIGHT else 50.0)
    assert (
        "the published form gains 60.0 to 62.0 %, and with its FCFS on the code path of the other orders 70.0 %"
        in (verdict(theirs=theirs, faults=switched(eight=70.0))["latency"])
    )


@pytest.mark.parametrize(
    ("high", "low", "word", "told"),
    [
        (3.0, 2.5, "stands", "2.50 to 3.00"),
        (3.0, 1.0, "stands in part", "1.00 to 3.00"),
        (1.1, 1.1, "does not stand", "1.10"),
    ],
)
def test_the_claim_of_throughput_stands_by_the_factors(high, low, word, told):
    found = simulated(lambda case: repeated(40.0, high if case.load > 1 else low))
    said = verdict(found)["rate"]
    assert f"Throughput: the claim {word}. " in said
    assert f"with 2000 jobs that factor is {told}. " in said


def test_tails_and_the_starvation_rule_are_told_in_figures():
    said = verdict(faults=switched(on=12.0, off=3.0))["tail"]
    assert "leaves their form a gain of 12.0 % with 2000 jobs at 1 request a second, where it has 3.0 %" in said
    assert "under SSJF, which gains 40.0 ± 0.0 %" in said
    assert "`response_ratio(shortest)` gains 20.0 ± 0.0 %" in said


def test_the_first_section_points_at_nothing_above_it():
    assert not any("above" in paragraph for paragraph in verdict().values())


def test_batch_sizes_are_compared_in_figures():
    theirs = published(gains=lambda mode, name: 10.0 * mode.slots + TABLED.index(name) - 10)
    told = "batching 10.0 to 12.0 % at B=2 and 90.0 to 92.0 % at B=10"
    assert tables._sizes(theirs).text[0].startswith(f"SSJF gains with dynamic {told}, with continuous {told}. ")
    said = switches._paths(switched(eight=70.0), theirs)
    assert "At B=2 SSJF gains 10.0 to 12.0 % as published and 70.0 % on one path." in said.text[1]
    assert "At B=8, 0 of 3 of their figures lie inside" in said.text[1]
    assert said.grids[0].rows[0][4] == "10.0 (10.0 to 10.0)"


@pytest.mark.parametrize(("on", "off", "inside"), [(0.1, 39.0, 2), (0.1, 20.0, 1), (30.0, 20.0, 0)])
def test_the_rule_in_overload_is_told_in_figures(on, off, inside):
    said = switches._overload(switched(on=on, off=off)).text[1]
    for jobs in (50, 2000):
        assert f"With {jobs} jobs SSJF gains {on:.1f} ({on:.1f} to {on:.1f}) % under the rule and {off:.1f} (" in said
    assert "p99 JCT is then 500 s under FCFS, 510 s with the rule and 777 s without it." in said
    assert f"The authors' own code gives 0.1 % and 39 % at 2000 jobs: {inside} of 2 lie inside" in said


def test_the_response_ratio_and_few_jobs_are_told_in_figures():
    found = simulated(lambda case: repeated(20.0 + 10 * (case.load == 1.2) - 5 * (case.jobs == 50), p99=1 + case.load))
    said = findings._loads(found).text[1]
    assert "it gains 10.0 to 15.0 %, and its p99 is 1.0 times that of FCFS; SSJF on the same classes gains " in said
    assert "gains 20.0 to 30.0 %, and its p99 is 1.5 to 2.2 times." in said
    alone, batched = findings._axes(found).text
    told = (
        "SSJF on five classes gains 15.0 ± 0.0 % with 50 jobs and 20.0 ± 0.0 % with 2000 at load 0.9, "
        "25.0 ± 0.0 % with 50 jobs and 30.0 ± 0.0 % with 2000 at load 1.2."
    )
    assert (alone, batched) == (f"No batching, Poisson: {told}", f"Continuous B=4, Poisson: {told}")

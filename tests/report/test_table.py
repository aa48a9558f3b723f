"""Policies side by side."""

import io

import pytest
from rich.console import Console

from soonest.core import Outcome, Record, Records, SoonestError
from soonest.report import MEASURES, NOTHING_QUEUED, Row, comparison_table, footer, summarise, to_markdown
from soonest.report.table import three_digits


def served(seconds, wait=0.5, lost=0, slos=None):
    """A run in which each request waits for a share of its time."""
    done = [Record(str(i), i, i + wait * s, i + wait * s, i + s, 10, 5) for i, s in enumerate(seconds)]
    nan = float("nan")
    aborted = [Record(f"x{i}", 0, nan, nan, nan, 10, 0, outcome=Outcome.ABORTED) for i in range(lost)]
    return summarise(Records.of([*done, *aborted]), slos=slos)


FCFS = Row("fcfs", [served([10, 20]), served([20, 40])])
SHORTEST = Row("shortest", [served([5, 10]), served([14, 28])])


def rendered(table, width=120):
    console = Console(file=io.StringIO(), width=width)
    console.print(table)
    return console.file.getvalue()


def cells(markdown):
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in markdown.splitlines() if "|" in line]


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (1, "1.00"),
        (12.345, "12.3"),
        (9.999, "10.0"),
        (999.6, "1000"),
        (123456, "123000"),
        (0.012345, "0.0123"),
        (-41.53, "-41.5"),
        (1.5e-7, "1.50e-07"),
        (2.5e11, "2.50e+11"),
        (float("nan"), "-"),
    ],
)
def test_numbers_have_three_significant_digits(number, text):
    assert three_digits(number) == text


def test_every_mean_has_its_p99_and_max_beside_it():
    heading, _, fcfs, shortest = cells(to_markdown([FCFS, SHORTEST]))
    assert heading == [
        "policy",
        "mean JCT s",
        "gain %",
        "p50 JCT s",
        "p99 JCT s",
        "max JCT s",
        "p99 TTFT s",
        "max wait s",
        "req/s",
        "preempted %",
    ]
    assert fcfs[:6] == ["fcfs", "22.5", "", "22.5", "29.9", "40.0"]
    assert shortest[:2] == ["shortest", "14.2"]
    assert shortest[2].startswith("+40.0 ±127")  # 50 % and 30 %, over two repetitions
    assert shortest[5] == "28.0"  # the largest of both, not their mean


def test_one_repetition_shows_no_interval_and_says_so():
    rows = [Row(row.policy, row.repetitions[:1]) for row in (FCFS, SHORTEST)]
    assert cells(to_markdown(rows))[3][2] == "+50.0"
    assert "one repetition" in footer(rows)
    assert "±" not in to_markdown(rows)


def test_the_baseline_can_be_any_policy_of_the_table():
    assert cells(to_markdown([FCFS, SHORTEST], "shortest"))[2][2].startswith("-71.4 ±")
    with pytest.raises(SoonestError, match="no baseline 'lifo' in the table; policies: fcfs, shortest"):
        to_markdown([FCFS, SHORTEST], "lifo")


def test_the_footer_gives_the_formulas_of_the_columns():
    for name in ("jct", "ttft", "max_wait", "request_throughput", "preempted"):
        assert f"{MEASURES[name].label} = {MEASURES[name].formula} ({MEASURES[name].unit})" in footer([FCFS])


def test_goodput_has_a_column_where_slos_were_stated():
    rows = [Row("fcfs", [served([10, 20], slos={"e2el": 15_000})] * 2), Row("stuck", [served([], lost=2)] * 2)]
    heading, _, fcfs, stuck = cells(to_markdown(rows))
    assert (heading[-1], fcfs[-1], stuck[-1]) == ("goodput req/s", "0.0476", "-")  # one of two in 21 s
    assert MEASURES["goodput"].formula in footer(rows)
    assert "goodput" not in to_markdown([FCFS, SHORTEST])


def test_without_its_legend_a_table_keeps_the_remarks_on_its_rows():
    lost = [FCFS, Row("shortest", [served([5], lost=3)] * 2)]
    remark = "shortest: 6 of 8 requests did not finish and are in no latency."
    assert footer(lost, legend=False) == remark
    assert footer(lost).splitlines()[-1] == remark
    assert footer([FCFS, SHORTEST], legend=False) == ""
    for text in (to_markdown(lost, legend=False), rendered(comparison_table(lost, legend=False))):
        assert remark in text
        assert "gain =" not in text
    assert to_markdown([FCFS, SHORTEST], legend=False).splitlines()[-1].startswith("| shortest")


def test_where_nothing_queues_the_table_says_that_order_changes_nothing():
    idle = Row("fcfs", [served([10, 20], wait=0.0099)])
    busy = Row("fcfs", [served([10, 20], wait=0.0101)])
    assert NOTHING_QUEUED in to_markdown([idle, busy])
    assert NOTHING_QUEUED in rendered(comparison_table([idle]))
    assert NOTHING_QUEUED not in to_markdown([busy, idle])


def test_requests_that_did_not_finish_are_told():
    assert "shortest: 6 of 8 requests did not finish" in footer([FCFS, Row("shortest", [served([5], lost=3)] * 2)])
    assert "did not finish" not in footer([FCFS, SHORTEST])


def test_a_policy_under_which_nothing_finished_is_shown_without_numbers():
    row = cells(to_markdown([FCFS, Row("stuck", [served([], lost=2)] * 2)]))[3]
    assert row[:9] == ["stuck", *["-"] * 8]


@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_number_is_cut_whatever_the_width(width):
    text = rendered(comparison_table([FCFS, SHORTEST], width=width), width)
    assert "…" not in text
    table = [line for line in text.splitlines() if line.startswith("|")]
    column = list(zip(*(line.strip("|").split("|") for line in table), strict=True))[2]
    assert "+40.0±127" in "".join(cell.strip().replace(" ", "") for cell in column)
    assert all(len(line) <= width for line in text.splitlines())


def test_the_table_is_readable_in_a_file():
    lines = rendered(comparison_table([FCFS, SHORTEST])).splitlines()
    assert [line for line in lines if line.startswith("| shortest")]
    assert "\x1b" not in "".join(lines)


def test_a_policys_name_is_text_and_no_markup():
    row = Row("[red]a|b[/red]", FCFS.repetitions)
    assert "[red]a|b[/red]" in rendered(comparison_table([row]))
    assert "[red]a\\|b[/red]" in to_markdown([row])


def test_a_row_needs_a_repetition_and_a_table_a_row():
    with pytest.raises(SoonestError, match="'fcfs' has no repetition"):
        Row("fcfs", [])
    with pytest.raises(SoonestError, match="at least one policy"):
        comparison_table([])


def test_rows_with_other_repetitions_do_not_compare():
    with pytest.raises(SoonestError, match="same repetitions"):
        comparison_table([FCFS, Row("shortest", SHORTEST.repetitions[:1])])

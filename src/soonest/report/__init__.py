"""One measure a function, each with its formula; summaries, comparisons, tables, files and plots made of them."""

from soonest.report.catalogue import MEASURES, Measure
from soonest.report.compare import Interval, interval, paired_gain
from soonest.report.files import check_target, write_csv, write_json, write_rows
from soonest.report.gaps import Gaps
from soonest.report.plots import check_picture, plot, plot_latency, plot_load
from soonest.report.summary import SLOS, Number, Summary, check_slos, summarise
from soonest.report.table import NOTHING_QUEUED, Row, comparison_table, footer, to_markdown

__all__ = [
    "MEASURES",
    "NOTHING_QUEUED",
    "SLOS",
    "Gaps",
    "Interval",
    "Measure",
    "Number",
    "Row",
    "Summary",
    "check_picture",
    "check_slos",
    "check_target",
    "comparison_table",
    "footer",
    "interval",
    "paired_gain",
    "plot",
    "plot_latency",
    "plot_load",
    "summarise",
    "to_markdown",
    "write_csv",
    "write_json",
    "write_rows",
]

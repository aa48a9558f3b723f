"""A study: what was found, kept as data; pages, reports and figures are drawn from it."""

from soonest.report.study.study import VERDICT, Cell, Chart, Curve, Grid, Section, Study

__all__ = ["VERDICT", "Cell", "Chart", "Curve", "Grid", "Section", "Study"]

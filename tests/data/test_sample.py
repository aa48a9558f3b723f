import runpy
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from soonest.data import sample

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "make_sample.py"


def test_the_script_makes_the_same_bytes_again():
    shipped = resources.files("soonest.data") / "sample" / "sample.csv"
    assert runpy.run_path(str(SCRIPT))["make"]().encode() == shipped.read_bytes()


def test_the_sample_is_small_and_whole():
    trace = sample()
    assert (trace.name, len(trace), trace.left_out, trace.has_arrivals) == ("sample", 1500, 0, True)
    assert set(trace.tenant) == {"chat", "search", "code", "batch"}
    assert set(trace.predicted) == {0, 1, 2, 3, 4}


def test_the_sample_is_bursty():
    trace = sample()
    gaps, counts = np.diff(trace.arrival), np.bincount((trace.arrival / 10).astype(int))
    assert gaps.std() / gaps.mean() > 1.3
    assert counts.var() / counts.mean() > 5


def test_the_predicted_classes_are_right_in_about_sixty_percent_and_rank_well():
    trace = sample()
    truth = np.searchsorted(np.percentile(trace.output_tokens, [25, 50, 75, 99]), trace.output_tokens, side="right")
    assert (truth == trace.predicted).mean() == pytest.approx(0.6, abs=0.03)
    assert np.corrcoef(truth, trace.predicted)[0, 1] > 0.4

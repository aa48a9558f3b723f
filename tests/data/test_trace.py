import numpy as np
import pytest

from soonest.core import TraceError
from soonest.data import Trace


def make(arrival=(0.0, 1.0, 3.0), prompt=(5, 6, 7), output=(1, 2, 3), **more):
    return Trace("t", np.array(arrival, dtype=np.float64), np.array(prompt), np.array(output), **more)


def test_absent_columns_are_filled():
    trace = make()
    assert trace.tenant.tolist() == ["", "", ""]
    assert trace.predicted.tolist() == [-1, -1, -1]


def test_the_rate_counts_gaps_not_calls():
    assert make().rate == pytest.approx(2 / 3)
    assert make(arrival=(0, 0, 0)).rate == float("inf")


def test_a_head_longer_than_the_trace_is_the_trace():
    assert len(make().head(99)) == 3


def test_rows_are_taken_with_all_their_columns():
    trace = make(tenant=np.array(["a", "b", "c"]), predicted=np.array([2, 1, 0]), blocks=((1,), (2,), (3,)))
    part = trace.take(np.array([0, 2]))
    assert part.tenant.tolist() == ["a", "c"]
    assert part.predicted.tolist() == [2, 0]
    assert part.blocks == ((1,), (3,))
    assert part.prompt_tokens.tolist() == [5, 7]


def test_calls_at_other_times_have_arrivals():
    moved = make(has_arrivals=False).at(np.array([0.0, 5.0, 9.0]))
    assert moved.has_arrivals
    assert moved.arrival.tolist() == [0, 5, 9]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"arrival": (), "prompt": (), "output": ()}, "holds no call"),
        ({"prompt": (1, 2)}, "differ in length"),
        ({"blocks": ((1,),)}, "differ in length"),
        ({"arrival": (0, 2, 1)}, "sorted"),
        ({"arrival": (0, 1, np.nan)}, "finite"),
        ({"arrival": (-1, 0, 1)}, "not negative"),
        ({"arrival": (0, 1, 4e8)}, "ten years"),
        ({"prompt": (1, 2, -3)}, "at least 0 tokens"),
        ({"output": (1, 2, 0)}, "answer at least 1"),
        ({"output": (1, 2, 2**41)}, "more than"),
        ({"block_tokens": 0}, "at least 1 token"),
    ],
)
def test_an_impossible_trace_is_refused(change, said):
    with pytest.raises(TraceError, match=said):
        make(**change)

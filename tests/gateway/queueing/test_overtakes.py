"""Overtaking is counted as a slow obvious count does."""

from hypothesis import given
from hypothesis import strategies as st

from soonest.gateway.queueing import overtakes
from soonest.gateway.queueing.overtakes import Overtakes


@given(
    st.lists(st.tuples(st.sampled_from(["come", "start", "go", "pass"]), st.integers(0, 1 << 30)), max_size=300),
    st.integers(2, 64),
)
def test_it_is_the_number_of_later_arrivals_that_started_before(steps, slack):
    before, overtakes.SLACK = overtakes.SLACK, slack
    try:
        counts, waiting, began, number = Overtakes(), [], [], 0
        for step, draw in steps:
            if step == "come":
                counts.waits(number)
                waiting.append(number)
                number += 1
            elif step == "pass" and not waiting:
                counts.passed(number)
                began.append(number)
                number += 1
            elif waiting and step != "pass":
                one = waiting.pop(draw % len(waiting))
                counts.left(one)
                if step == "start":
                    assert counts.started(one) == sum(other > one for other in began)
                    began.append(one)
    finally:
        overtakes.SLACK = before


def test_memory_stays_flat_while_requests_come_and_go():
    counts = Overtakes()
    for number in range(5 * overtakes.SLACK):
        counts.waits(number)
        counts.left(number)
        counts.started(number)
    assert len(counts._tree) <= 2 * overtakes.SLACK

"""Sessions whose prompts come in parts: between two turns they hold memory and wait for more."""

import numpy as np
import pytest
from tests.vllm.alone import Drive, request, scheduler
from vllm.v1.request import RequestStatus

from soonest.engines.vllm import Scheduler


@pytest.mark.parametrize("prefix_caching", [False, True])
def test_what_a_session_holds_counts_at_the_door_until_it_ends(facts, prefix_caching):
    """Twelve blocks: four are the session's; when the third one ends it holds four, and the long one five."""
    ours = scheduler(
        Scheduler, facts, budget=256, blocks=12, prefix_caching=prefix_caching, options={"policy": "a_max"}
    )
    drive = Drive(ours, {"session": 20, "long": 100, "third": 40})
    ours.add_request(request("session", 30, forecast=(20, 20, 20), resumable=True))
    ours.add_request(request("long", 16, forecast=(100, 100, 100)))
    while ours.requests["session"].status != RequestStatus.WAITING_FOR_STREAMING_REQ:
        drive.step()
    ours.add_request(request("third", 16, forecast=(40, 40, 40)))
    for _ in range(5):
        assert not drive.step().joined
    ours.finish_requests("session", RequestStatus.FINISHED_ABORTED)
    assert drive.step().joined == {"third"}
    assert not any(step.preempted for step in drive.run())
    assert not ours.calls


def test_a_session_takes_its_next_turn(facts):
    ours = scheduler(Scheduler, facts, blocks=40, options={"policy": "a_max"})
    drive = Drive(ours, {"session": 6, "other": 80})
    ours.add_request(request("session", 30, forecast=(6, 6, 6), resumable=True))
    ours.add_request(request("other", 16, forecast=(80, 80, 80)))
    for _ in range(3):
        while ours.requests["session"].status != RequestStatus.WAITING_FOR_STREAMING_REQ:
            drive.step()
        ours.add_request(request("session", 10, resumable=True))
        assert drive.step().joined == {"session"}
    ours.finish_requests("session", RequestStatus.FINISHED_ABORTED)
    drive.run()
    assert not ours.calls
    assert not len(ours.lookahead.load)


def test_a_turn_that_ends_after_a_preemption_stops_nothing(facts):
    """Its last token was on its way when memory ran out: vLLM hands in a request that waits already."""
    twice = 0
    for seed in range(30):
        draw = np.random.default_rng(seed)
        ours = scheduler(Scheduler, facts, budget=256, blocks=8, asynchronous=True, options={"policy": "shortest"})
        lengths = {str(i): int(draw.integers(5, 40)) for i in range(8)}
        handed, hand = [], ours._handle_stopped_request

        def watched(source, handed=handed, hand=hand, ours=ours):
            handed.append(source.request_id in ours.queue)
            return hand(source)

        ours._handle_stopped_request = watched
        for name, tokens in lengths.items():
            ours.add_request(
                request(name, int(draw.integers(1, 40)), forecast=(tokens, tokens, tokens), resumable=True)
            )
        drive = Drive(ours, lengths, late=1)
        while ours.requests:
            drive.step()
            waits = RequestStatus.WAITING_FOR_STREAMING_REQ
            between = [name for name, source in ours.requests.items() if source.status == waits]
            ours.finish_requests(between, RequestStatus.FINISHED_ABORTED)
        assert len(handed) == len(lengths)
        assert not ours.calls
        assert not len(ours.queue)
        twice += sum(handed)
    assert twice

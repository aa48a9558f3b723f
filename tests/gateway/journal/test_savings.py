"""The time saved is told while the replay repeats what happened, and otherwise the log says why not."""

import asyncio
import logging

import pytest

from soonest.gateway.journal.savings import SPREAD, NoReplayError, Saved, Savings, replayed, saved_by


def spread(mean):
    return {f"{word}_e2el_ms": times * mean for times, word in enumerate(SPREAD, start=1)}


def document(own=6000.0, first=9000.0, difference=0.02, trusted=True):  # noqa: FBT002 - a document's field
    check = {"policy": "shortest", "difference": difference, "trusted": trusted}
    runs = [
        {"policy": "fcfs", "completed": 100, **spread(first)},
        {"policy": "shortest", "completed": 100, **spread(own)},
    ]
    return {"replay": check, "runs": runs}


def looked(answers):
    """What is known after each of these replays."""
    left = iter(answers)

    async def replay(_url):
        answer = next(left)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def go():
        savings = Savings("journal.db", replay=replay)
        found = []
        for _ in answers:
            await savings.look()
            found.append(savings.saved)
        return found

    return asyncio.run(go())


def test_what_fcfs_would_have_cost_more_is_saved():
    (saved,) = looked([document()])
    own = {"mean": 6.0, "median": 12.0, "p90": 18.0, "p99": 24.0, "max": 30.0}
    first = {"mean": 9.0, "median": 18.0, "p90": 27.0, "p99": 36.0, "max": 45.0}
    assert saved == Saved(3.0, 100, 0.02, own, first)


def test_a_replay_that_is_far_off_says_nothing_and_the_log_says_why_once(caplog):
    far = document(difference=-0.2, trusted=False)
    with caplog.at_level(logging.INFO, "soonest.gateway"):
        found = looked([far, far, document(), NoReplayError("gone"), far])
    assert [saved is None for saved in found] == [True, True, False, True, True]
    said = [record.getMessage() for record in caplog.records]
    assert [("10 % off" in line, "saved against" in line, "gone" in line) for line in said] == [
        (True, False, False),
        (False, True, False),
        (False, False, True),
        (True, False, False),
    ]


@pytest.mark.parametrize("odd", [{}, {"replay": None, "runs": []}, {"replay": document()["replay"], "runs": []}])
def test_a_document_that_does_not_say_it_is_refused(odd):
    with pytest.raises(NoReplayError):
        saved_by(odd)


def test_it_looks_every_so_often_until_it_is_cancelled():
    async def go():
        seen = asyncio.Queue()

        async def replay(url):
            await seen.put(url)
            return document()

        task = asyncio.create_task(Savings("journal.db", every=0.01, replay=replay).run())
        found = [await asyncio.wait_for(seen.get(), 5) for _ in range(3)]
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return found

    assert asyncio.run(go()) == ["journal.db"] * 3


def test_a_replay_that_fails_says_why(tmp_path):
    with pytest.raises(NoReplayError, match=r"no journal .*none\.db"):
        asyncio.run(replayed(str(tmp_path / "none.db")))


def test_a_cancelled_replay_leaves_no_process(tmp_path):
    async def go():
        task = asyncio.create_task(replayed(str(tmp_path / "none.db")))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(go())

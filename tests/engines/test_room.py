import random

import numpy as np
import pytest

from soonest.core import Forecast, PolicyError, Request, Rules
from soonest.engines.embedded.room import Room
from soonest.policies import known_policies, policy
from soonest.sim import Beliefs, Options, Workload, simulate

WRAPPED = (
    "aging(shortest, rate=0.3)",
    "response_ratio(a_min)",
    "aging(response_ratio(a_max))",
    "a_min(live, smallest)",
)


def possible(name):
    return not policy(name).needs - {"evict"}


TAKEN = [name for name in (*known_policies(), *WRAPPED) if possible(name)]
STEADY = [words for words in TAKEN if "response_ratio" not in words]
"""Ranks that do not cross in time: between events the simulator lets the head be, and here every step asks anew."""
REFUSED = [name for name in known_policies() if not possible(name)]


def forecast(draw, tokens):
    match draw.choice(("exact", "interval", "wrong", "unknown")):
        case "exact":
            return Forecast.exact(tokens)
        case "interval":
            return Forecast.interval(draw.randint(0, tokens), draw.randint(tokens, 30))
        case "wrong":
            return Forecast.exact(draw.randint(1, 30))
    return Forecast.unknown(draw.randint(30, 60))


def trace(seed, *, jobs=20, prompts=(1, 9)):
    """Jobs that come faster than they are served, at whole seconds."""
    draw = random.Random(seed)  # noqa: S311 - a trace, not a secret
    tokens = [draw.randint(1, 20) for _ in range(jobs)]
    arrival = sorted(draw.randint(0, 2 * jobs) for _ in range(jobs))
    return Workload(
        np.array(arrival, dtype=np.float64),
        np.array([draw.randint(*prompts) for _ in range(jobs)]),
        np.array(tokens),
        Beliefs(tuple(forecast(draw, t) for t in tokens), np.arange(jobs, dtype=np.int32)),
        priority=np.array([draw.randint(0, 1) for _ in range(jobs)]),
        max_tokens=np.full(jobs, 60),
    )


class Clockwork:
    """An engine of whole seconds around a room: each step takes one and gives everyone who runs a token."""

    def __init__(self, workload, room):
        self.workload, self.room = workload, room
        self.admitted = {}
        self.finished = {}
        self.generated = {}

    def run(self):
        jobs = [self.workload.job(i) for i in range(len(self.workload))]
        arrived, now = 0, int(self.workload.arrival[0])
        while len(self.finished) < len(jobs):
            while arrived < len(jobs) and jobs[arrived].request.arrival <= now:
                self.room.add(jobs[arrived].request)
                arrived += 1
            for name in [i for i in self.room.running if self.generated[i] == jobs[int(i)].output_tokens]:
                self.finished[name] = now
                self.room.finished(name, self.generated[name])
            self.step(now)
            for name in self.room.running:
                self.generated[name] += 1
            now += 1
        return self

    def step(self, now):
        for name in self.room.running:
            self.room.generated(name, self.generated[name])
        evicted = self.make_room()
        started = [] if evicted else self.room.candidates(now)
        self.room.took(started)
        for name in started:
            self.generated.setdefault(name, 0)
            self.admitted.setdefault(name, now)

    def make_room(self):
        rules, before = self.room.rules, self.room.evictions
        if rules.blocks is None:
            return False
        while sum(self.blocks(name) for name in self.room.running) > rules.blocks:
            self.room.evicted(self.room.by_keep()[-1])
        return self.room.evictions > before

    def blocks(self, name):
        prompt = int(self.workload.prompt_tokens[int(name)])
        return self.room.rules.blocks_for(self.room.rules.held(prompt, self.generated[name]))


def assert_as_simulated(seed, words, rules):
    workload = trace(seed)
    result = simulate(workload, words, Options(rules), backend="python")
    engine = Clockwork(workload, Room(policy(words), rules)).run()
    second = 10**12
    n = len(workload)
    assert [engine.admitted[str(i)] * second for i in range(n)] == result.admitted.tolist()
    assert [engine.finished[str(i)] * second for i in range(n)] == result.finished.tolist()
    return engine, result


@pytest.mark.parametrize("words", STEADY)
def test_memory_decides_as_in_the_simulator(words):
    evictions = 0
    for seed in range(40):
        rules = Rules(slots=6, blocks=20, block_size=2, newest_held=False, admit_after_evict=False, restart=False)
        engine, result = assert_as_simulated(seed, words, rules)
        assert engine.room.evictions == result.evictions.sum()
        evictions += engine.room.evictions
    assert evictions or words == "fcfs_reserve"


@pytest.mark.parametrize("words", REFUSED)
def test_a_policy_that_needs_more_is_refused_by_name(words):
    with pytest.raises(PolicyError, match=f"{words.partition('(')[0]}.*needs.*(quantum|restart|displace)"):
        Room(policy(words), Rules.continuous(2))


def asks(name, *, tokens=10, arrival=0.0, prompt=4, priority=0):
    return Request(name, arrival, prompt, max_tokens=100, forecast=Forecast.exact(tokens), priority=priority)


def test_whoever_the_engine_does_not_start_keeps_its_place():
    room = Room(policy("shortest"), Rules.continuous(3))
    for name, tokens in (("a", 3), ("b", 1), ("c", 2)):
        room.add(asks(name, tokens=tokens))
    assert room.candidates(0.0) == ["b", "c", "a"]
    room.took({"b"})
    assert list(room.running) == ["b"]
    assert room.candidates(1.0) == ["c", "a"]
    room.took({"c", "a"})
    assert [entry.admitted for entry in room.running.values()] == [1, 2, 3]


def test_nobody_starts_where_no_place_is_free():
    room = Room(policy("fcfs"), Rules.continuous(1))
    room.add(asks("a"))
    room.add(asks("b"))
    assert room.candidates(0.0) == ["a"]
    room.took({"a"})
    assert room.candidates(1.0) == []
    room.finished("a", 5)
    assert room.candidates(2.0) == ["b"]


def test_a_lower_priority_goes_first_whatever_its_length():
    room = Room(policy("shortest"), Rules.continuous(1))
    room.add(asks("short", tokens=1))
    room.add(asks("urgent", tokens=99, priority=-1))
    assert room.candidates(0.0) == ["urgent"]


def test_an_idle_engine_takes_what_the_look_ahead_would_refuse():
    room = Room(policy("a_max"), Rules(slots=2, blocks=4, block_size=2, newest_held=False, restart=False))
    room.add(asks("large", tokens=50))
    assert room.candidates(0.0) == ["large"]


def test_the_door_stays_shut_while_the_peak_would_not_fit():
    rules = Rules(slots=4, blocks=10, block_size=2, newest_held=False, restart=False)  # 20 tokens
    careful, careless = Room(policy("a_max"), rules), Room(policy("shortest"), rules)
    for room in (careful, careless):
        room.add(asks("a", tokens=8))
        room.add(asks("b", tokens=10))
    assert careful.candidates(0.0) == ["a"]
    assert careless.candidates(0.0) == ["a", "b"]


def test_the_evicted_go_back_with_what_they_have_and_their_place_among_equals():
    room = Room(policy("a_min"), Rules(slots=2, blocks=100, restart=False))
    room.add(Request("a", 0.0, 4, max_tokens=100, forecast=Forecast.interval(3, 50)))
    room.took(room.candidates(0.0))
    room.generated("a", 7)
    room.evicted("a")
    assert "a" in room
    assert not room.running
    assert room.candidates(1.0) == ["a"]
    room.took({"a"})
    assert (room.running["a"].estimate, room.running["a"].generated, room.running["a"].attempts) == (7, 7, 1)


def test_whoever_is_gone_leaves_nothing_behind():
    room = Room(policy("shortest"), Rules.continuous(1))
    room.add(asks("runs"))
    room.add(asks("waits"))
    room.took(room.candidates(0.0))
    room.cancelled("runs")
    room.cancelled("waits")
    assert "runs" not in room
    assert "waits" not in room
    assert room.candidates(1.0) == []


def test_an_evicted_answer_that_turns_out_complete_is_learned_from():
    room = Room(policy("fcfs"), Rules(slots=1, blocks=100, restart=False))
    room.add(asks("a"))
    room.took(room.candidates(0.0))
    room.evicted("a")
    room.finished("a", 20)
    assert room.queue.mean_tokens == 20
    assert "a" not in room

"""One policy object, every host: the same arrivals, forecasts and completions give the same admissions."""

import pytest
from tests.parity.drive import POLICIES, TRACES, driven, simulated, trace

from soonest.core import PolicyError, Rules
from soonest.engines.embedded.room import Room
from soonest.gateway.queueing.dispatcher import Dispatcher, Place
from soonest.policies import known_policies, policy


class Gateway:
    """The dispatcher behind the driver's three calls."""

    def __init__(self, words, options):
        places = [Place("engine", limit=options.rules.slots)]
        self.dispatcher = Dispatcher(
            policy(words),
            places,
            overdue_after=options.overdue_after,
            overdue_every=options.overdue_every,
            weights=options.weights,
        )
        self.tickets = {}

    def arrive(self, request):
        self.tickets[request.id] = self.dispatcher.enter(request)

    def finish(self, name, tokens, now):
        self.dispatcher.finished(self.tickets.pop(name), tokens, now)

    def admit(self, now):
        return [ticket.entry.request.id for ticket in self.dispatcher.admit(now)]


class Embedded:
    """The embedded engine's queue behind the same three calls; the engine starts all whom it is offered."""

    def __init__(self, words, options):
        self.room = Room(
            policy(words),
            options.rules,
            overdue_after=options.overdue_after,
            overdue_every=options.overdue_every,
            weights=options.weights,
        )

    def arrive(self, request):
        self.room.add(request)

    def finish(self, name, tokens, _):
        self.room.finished(name, tokens)

    def admit(self, now):
        started = self.room.candidates(now)
        self.room.took(started)
        return started


HOSTS = [Gateway, Embedded]


@pytest.mark.slow
@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("words", POLICIES)
def test_a_host_admits_in_the_simulator_s_order(words, host):
    for seed in range(TRACES):
        workload, options = trace(seed)
        order, seconds, queued = simulated(workload, words, options)
        assert queued, "a trace in which nobody waits shows nothing"
        assert driven(host(words, options), workload, seconds) == order, seed


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("name", known_policies())
def test_a_policy_is_taken_or_refused_by_name(name, host):
    _, options = trace(0)
    needs = policy(name).needs - {"evict"}
    if not needs:
        host(name, options)
        assert any(name == words.partition("(")[0] for words in POLICIES), "it stands in no trace"
    else:
        with pytest.raises(PolicyError, match=f"{name}.*needs.*{min(need.value for need in needs)}"):
            host(name, options)


def test_traces_have_everything_that_a_queue_has():
    found = [trace(seed) for seed in range(TRACES)]
    assert any(options.weights for _, options in found)
    assert any(options.overdue_after for _, options in found)
    assert any(workload.priority.any() for workload, _ in found)
    assert {options.rules.slots for _, options in found} == {1, 2, 3, 4}
    assert all(options.rules == Rules.continuous(options.rules.slots) for _, options in found)

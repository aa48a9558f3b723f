"""One policy object, every host: the same arrivals, forecasts and completions give the same admissions."""

import pytest
from tests.parity.drive import POLICIES, TRACES, driven, simulated, trace

from soonest.gateway.queueing.dispatcher import Dispatcher, Place
from soonest.policies import policy


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


@pytest.mark.parametrize("host", [Gateway])
@pytest.mark.parametrize("words", POLICIES)
def test_a_host_admits_in_the_simulator_s_order(words, host):
    for seed in range(TRACES):
        workload, options = trace(seed)
        order, seconds, queued = simulated(workload, words, options)
        assert queued, "a trace in which nobody waits shows nothing"
        assert driven(host(words, options), workload, seconds) == order, seed

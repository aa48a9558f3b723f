"""A virtual clock: the same arrivals and completions for any host that admits one request after another."""

import heapq

import numpy as np

from soonest.core import Forecast, Policy, Rules
from soonest.policies import policy
from soonest.sim import Beliefs, Options, StepTime, Workload
from soonest.sim.host import Host

POLICIES = (
    "fcfs",
    "fcfs_reserve",
    "shortest",
    "longest",
    "a_max",
    "a_min",
    "a_min(live, smallest)",
    "least_area",
    "response_ratio",
    "response_ratio(a_max)",
    "aging",
    "aging(response_ratio, rate=0.3)",
    "deadline",
    "deadline(20, e2e=60, pace=1)",
)
"""All that need no quantum, restart or displacement."""
TRACES = 200


class Heard(Policy):
    """A policy that notes whom its host lets in: a quantum is asked once, at each admission."""

    def __init__(self, inner):
        self.inner, self.order = inner, []
        self.name, self.needs, self.holds = inner.name, inner.needs, inner.holds
        self.first, self.rank, self.reserve, self.keep = inner.first, inner.rank, inner.reserve, inner.keep
        self.evicted, self.ranks_unknown = inner.evicted, inner.ranks_unknown

    def quantum(self, entry, draw):
        self.order.append(entry.request.id)
        return self.inner.quantum(entry, draw)


def trace(seed):
    """Jobs that arrive at whole seconds, a slot or four, a bound on waiting and tenants' weights now and then."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(12, 40))
    output = np.minimum(1 + rng.geometric(0.15, n), 60)
    table, made = [], rng.integers(0, 4)
    for tokens in output.tolist():
        if made == 0 or (made == 3 and rng.random() < 0.3):
            table.append(Forecast.unknown(int(rng.integers(1, 100))))
        else:
            low, high = sorted(rng.integers(0, 2 * tokens + 2, 2).tolist())
            table.append(Forecast.exact(tokens) if made == 1 else Forecast.interval(low, high))
    slots = int(rng.integers(1, 5))
    workload = Workload(
        np.sort(rng.integers(0, max(2, int(output.sum() / slots / 2)), n)).astype(np.float64),
        rng.integers(0, 50, n),
        output,
        Beliefs(tuple(table), np.arange(n, dtype=np.int32)),
        priority=rng.integers(0, 2, n) if rng.random() < 0.3 else np.zeros(n, dtype=np.int64),
        tenant=rng.choice(["a", "b", "c"], n),
        ttft_target=rng.choice([2.0, 30.0, np.inf], n),
        e2e_target=rng.choice([5.0, 90.0, np.inf], n),
    )
    options = Options(
        Rules.continuous(slots),
        StepTime.unit(),
        overdue_after=float(rng.integers(1, 60)) if rng.random() < 0.4 else None,
        overdue_every=int(rng.integers(1, 5)),
        weights={"a": 2.0} if rng.random() < 0.3 else None,
    )
    return workload, options


def simulated(workload, words, options):
    """Whom the simulator admits and when, each job's seconds in service, and whether anybody waited."""
    heard = Heard(policy(words))
    result = Host(workload, heard, options).run()
    waited = result.admitted > workload.arrival_ps
    order = [(result.admitted[int(name)] / 1e12, name) for name in heard.order]
    return order, ((result.finished - result.admitted) / 1e12).tolist(), bool(waited.any())


def driven(host, workload, seconds):
    """Whom a host admits and when; it takes `arrive(request)`, `finish(id, tokens, now)`, `admit(now)`."""
    arrivals = [workload.job(i).request for i in range(len(workload))]
    times = [(request.arrival, 0, i) for i, request in enumerate(arrivals)]
    heapq.heapify(times)
    order = []
    while times:
        now = times[0][0]
        while times and times[0][0] == now:
            _, ended, i = heapq.heappop(times)
            if ended:
                host.finish(str(i), int(workload.output_tokens[i]), now)
            else:
                host.arrive(arrivals[i])
        for name in host.admit(now):
            order.append((now, name))
            heapq.heappush(times, (now + seconds[int(name)], 1, int(name)))
    return order

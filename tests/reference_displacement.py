"""Who of the running in `tests/reference.py` makes room for the head of the queue."""

import math

from soonest.sim.workload import PICOSECONDS


def may_displace(reference, engine):
    evicted = engine.evicted and not reference.rules.admit_after_evict
    return reference.displaces and engine.running and not evicted


def displace(reference, part, head):
    """Make room for the head, if it can be made: the engine, in a list."""
    for engine in sorted(part, key=lambda e: len(e.running)):
        worse = [r for r in engine.running if may_displace(reference, engine) and _must_go(reference, r, head)]
        worse.sort(key=lambda r: (reference.line.key(r.entry), r.entry.sequence))
        if worse and _fits_without(reference, engine, head, worse):
            out = [worse.pop()]
            while not _fits_without(reference, engine, head, out):
                out.append(worse.pop())
            for run in out:
                reference.evict(engine, run)
                engine.left += run.granted
            return [engine]
    return []


def _must_go(reference, run, head):
    """Whether it may be displaced and compares worse than the head."""
    line, bound = reference.line, reference.options.overdue_after
    arrival = run.entry.request.arrival
    recent = reference.now / PICOSECONDS < arrival + (math.inf if bound is None else bound)
    return recent and reference.policy.yields(run.entry) and line.key(run.entry) > line.key(head)


def _fits_without(reference, engine, entry, out):
    left = engine.left + sum(r.granted for r in out)
    stay = [r for r in engine.running if r not in out]
    return left > 0 and reference.may_start(engine, stay) and reference.memory.fits(stay, entry, left)

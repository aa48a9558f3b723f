"""A fleet again, slow and obvious: at each arrival all that was sent so far is simulated anew, replica by replica."""

from dataclasses import replace

import numpy as np
from tests.reference import Reference

from soonest.sim import Beliefs
from soonest.sim.draws import draw
from soonest.sim.fleet.routers import ROUTERS, Ask

COLUMNS = ("admitted", "first_token", "finished", "evictions", "tokens_lost", "tokens_recomputed")


class Part(Reference):
    """The reference on the jobs of one replica; it notes every token and every end."""

    def __init__(self, workload, policy, options, rows):
        super().__init__(part(workload, rows), policy, options, reread=False)
        self.rows, self.noted, self.gone = rows, [], {}

    def emit(self, run):
        super().emit(run)
        self.noted.append((self.now, self.rows[run.job], run.entry.generated))

    def settle(self, engine):
        super().settle(engine)
        ended = [i for i, time in enumerate(self.finished) if time == self.now]
        self.gone |= {self.rows[i]: self.now for i in ended if self.rows[i] not in self.gone}

    def evict(self, engine, run):
        super().evict(engine, run)
        self.noted.append((self.now, self.rows[run.job], run.entry.generated))
        if self.evictions[run.job] > self.rules.max_evictions:
            self.gone[self.rows[run.job]] = self.now

    def ask_quantum(self, run):
        chance = draw(self.options.seed, self.rows[run.job], run.entry.attempts, 1)
        run.begun, run.quantum = run.entry.generated, self.policy.quantum(run.entry, chance)

    def cleared(self, run, rounds):
        return draw(self.options.seed, self.rows[run.job], run.entry.attempts, 2 + rounds) <= self.rules.clear


def part(workload, rows):
    """Some rows of a workload."""
    names = ("arrival", "prompt_tokens", "output_tokens", "priority", "tenant", "max_tokens", "ttft_target")
    columns = {name: getattr(workload, name)[rows] for name in (*names, "e2e_target")}
    return replace(workload, **columns, beliefs=Beliefs(workload.beliefs.table, workload.beliefs.index[rows]))


class View:
    """What a router sees of a replica at a moment: what its past was by then."""

    def __init__(self, fleet, rows, now):
        self.fleet, self.rows = fleet, rows
        done = Part(fleet.workload, fleet.policy, fleet.options, rows) if rows else None
        if done is not None:
            done.run()
        self.noted = done.noted if rows else []
        self.gone = {job: time for job, time in (done.gone if rows else {}).items() if time < now}
        finished = zip(rows, done.finished if rows else [], strict=True)
        self.answered = [job for job, time in finished if job in self.gone and time == self.gone[job]]

    @property
    def requests(self):
        return len(self.rows) - len(self.gone)

    def tokens(self, now):
        return sum(self.left(job, now) for job in self.rows if job not in self.gone)

    def left(self, job, now):
        generated = [tokens for time, whose, tokens in self.noted if whose == job and time < now]
        generated = generated[-1] if generated else 0
        forecast = self.fleet.workload.job(job).request.forecast
        expected = forecast.after(generated).expected if forecast.known else self.fleet.mean_at_arrival[job]
        return max(1.0, expected - generated)

    def shared(self, prefix):
        return int(any(self.fleet.workload.tenant[job] == prefix[0] for job in self.rows))


class Fleet:
    def __init__(self, workload, policy, options):
        self.workload, self.policy = workload, policy
        self.seed, self.router = options.seed, ROUTERS[options.router]
        self.options = replace(options, router=None, engines=1, speeds=())
        self.steps = [options.step_time.at(speed) for speed in options.speeds or [1] * options.engines]
        self.sent = [[] for _ in self.steps]
        self.mean_at_arrival = {}

    def run(self):
        """Where each job went, and the columns of a result."""
        for job, now in enumerate(self.workload.arrival_ps.tolist()):
            views = [self.on(place, View, now) for place in range(len(self.sent))]
            answers = [self.workload.output_tokens[j] for view in views for j in view.answered]
            self.mean_at_arrival[job] = sum(answers) / len(answers) if answers else 128.0
            ask = Ask(job, now, (self.workload.tenant[job],), lambda number, job=job: draw(self.seed, job, number, 0))
            self.sent[self.router(views, ask)].append(job)
        columns = {name: np.full(len(self.workload), -1) for name in (*COLUMNS, "engine")}
        parts = []
        for place, rows in enumerate(self.sent):
            columns["engine"][rows] = place
            if rows:
                parts.append(self.on(place, lambda _, rows: Part(self.workload, self.policy, self.options, rows).run()))
                for name in COLUMNS:
                    columns[name][rows] = getattr(parts[-1], name)
        return columns | {
            "gap_counts": sum(one.gap_counts for one in parts),
            "peak_blocks": max(one.peak_blocks for one in parts),
            "iterations": sum(one.iterations for one in parts),
        }

    def on(self, place, make, *words):
        """Something made with the step time of a replica, of the jobs that were sent there."""
        self.options = replace(self.options, step_time=self.steps[place])
        return make(self, self.sent[place], *words)


def run(workload, policy, options):
    """What `simulate` must give, by column."""
    return Fleet(workload, policy, options).run()

"""Who runs on a simulated engine: what they are granted, who is evicted, who joins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from soonest.core import Batching, Load, Need
from soonest.core.policy import AREA_LIMIT, area_left, keeps_by_admission
from soonest.sim.draws import CLEAR, QUANTUM, draw
from soonest.sim.result import NEVER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from soonest.core import Entry, Policy, Queue, Rules
    from soonest.sim.host.gateways import Gateways
    from soonest.sim.host.prefix import PrefixCache
    from soonest.sim.host.tally import Tally
    from soonest.sim.steptime import StepTime

UNBOUNDED = 1 << 60


@dataclass(slots=True, eq=False)
class Member:
    """A running request. Until `startup` and `prefill` are over it computes `grant` tokens an iteration; then it has
    generated `load.tick - born` tokens and leaves at tick `stop`. `spare` are blocks that the load counts too many.
    """  # noqa: D205 - one thought

    entry: Entry
    output: int
    startup: int
    prefill: int
    computed: int
    limit: int
    kept: int
    paid: int
    grant: int = 0
    spare: int = 0
    born: int = 0
    stop: int = 0
    decoding: bool = False

    @property
    def job(self) -> int:
        """Its row: jobs enter the queue in order."""
        return self.entry.sequence

    @property
    def emits(self) -> bool:
        """Whether its next iteration ends with a token, if it is granted its share."""
        return self.startup == 0 and self.grant == self.prefill


class Batch:
    """The requests that run on one engine under its rules, in ticks of its `Load`; times are in picoseconds."""

    def __init__(
        self,
        rules: Rules,
        step_time: StepTime,
        policy: Policy,
        queue: Queue | Gateways,
        tally: Tally,
        seed: int,
        prefixes: PrefixCache | None,
    ) -> None:
        self.rules, self.step_time, self.policy = rules, step_time, policy
        self.queue, self.tally, self.seed, self.prefixes = queue, tally, seed, prefixes
        self.load = Load(rules, holds=policy.holds)
        self.running: dict[int, Member] = {}
        self._keeps_by_admission = keeps_by_admission(policy)
        self._displaces = Need.DISPLACE in policy.needs
        self.dirty = False
        self.requeued = False
        self.boundary = 0
        self._evicted = False
        self._forming = False
        self._starting: dict[int, Member] = {}
        self._resting: dict[int, Member] = {}
        self._paused: set[int] = set()
        self._starved: list[Member] = []
        self._stops: list[tuple[int, int, int, Member]] = []
        self._context = 0
        self._budget = UNBOUNDED
        self._spare = self._rested = self._credit = 0

    @property
    def decoding(self) -> int:
        """How many emit a token in every iteration."""
        return len(self.running) - len(self._starting) - len(self._resting)

    def prepare(self, now: int) -> None:
        """Grant the running their tokens for the next iteration, then evict until it fits memory."""
        self._evicted = False
        self._forming = not self.running
        if self._forming:
            self._credit = self.rules.capacity
        self._grant()
        limit = self.rules.blocks
        rounds = 0
        while limit is not None and self.load.next_blocks - self._spare > limit:
            self._evicted = self.dirty = True
            by_keep = self._by_keep()
            for member in self._cleared(by_keep, rounds) if self.rules.clear else by_keep[-1:]:
                self._budget += self._granted(member)  # it is there for others
                self.evict(member, now)
            rounds += 1

    def _granted(self, member: Member) -> int:
        """Tokens that it computes in the next iteration."""
        if member in self._starved:
            return 0
        return 1 if member.decoding else member.grant

    def _cleared(self, members: list[Member], rounds: int) -> list[Member]:
        def drawn(member: Member) -> float:
            return draw(self.seed, member.job, member.entry.attempts, CLEAR + rounds)

        return [m for m in members if drawn(m) <= self.rules.clear]

    def _by_keep(self) -> list[Member]:
        """The running, best first: overflow takes the last. They joined in order of admission."""
        members = list(self.running.values())
        if self._keeps_by_admission:
            return members
        for member in members:
            member.entry.generated = self._generated(member)
        members.sort(key=lambda m: (-self.policy.keep(m.entry), m.job))
        return members

    def _grant(self) -> None:
        self._spare = 0
        budget = self.rules.token_budget
        starting = self._starting.values()
        need = sum(m.prefill for m in starting if not m.startup)
        if budget is None or self.decoding + need <= budget:
            self._budget = UNBOUNDED if budget is None else budget - self.decoding - need
            for member in starting:
                self._give(member, 0 if member.startup else member.prefill)
            return
        for member in self._by_keep():
            if member.decoding:
                if budget == 0:
                    self._starved.append(member)
                    self.load.stall(member.entry)
                else:
                    budget -= 1
            else:
                grant = 0 if member.startup else min(member.prefill, budget)
                self._give(member, grant)
                budget -= grant
        self._budget = budget

    def _give(self, member: Member, grant: int) -> None:
        """Let a starting member compute so many tokens; without its last it emits nothing and holds less."""
        member.grant = grant
        member.spare = 0
        if member.emits:
            return
        self.load.stall(member.entry)
        if not member.startup:
            request, entry = member.entry.request, member.entry
            whole = self.rules.held(request.prompt_tokens, entry.generated) - 1
            member.spare = self.rules.blocks_for(whole) - self.rules.blocks_for(member.computed + grant)
            self._spare += member.spare

    def evict(self, member: Member, now: int) -> None:
        """Send an attempt back to the queue; its tokens are lost, or computed again."""
        entry, job, tally = member.entry, member.job, self.tally
        entry.generated = self._generated(member)
        estimate = self.policy.evicted(entry)
        self._remove(member)
        entry.clamp(estimate, self.rules.estimate_room(entry.request.prompt_tokens))
        if self.rules.restart:
            tally.tokens_lost[job] += entry.generated
            tally.first_token[job] = tally.last_token[job] = NEVER
            entry.generated = 0
        else:
            tally.tokens_recomputed[job] += member.computed
            if member.decoding:
                tally.tokens_recomputed[job] += entry.generated - member.kept - 1
                tally.paused(job, now)
        entry.attempts += 1
        tally.evictions[job] += 1
        if tally.evictions[job] > self.rules.max_evictions:
            tally.end(member.job, entry.generated, censored=True)
            self.queue.dropped(entry)
            return
        self.queue.push(entry)
        self.requeued = True

    def has_place(self) -> bool:
        """Whether somebody could join the next iteration, memory aside."""
        rules = self.rules
        if rules.slots is not None and len(self.running) >= rules.slots:
            return False
        if rules.batching is Batching.DYNAMIC:
            return self._forming
        return self._budget > 0 and (rules.admit_after_evict or not self._evicted)

    def fits(self, entry: Entry, ahead: int = 0, without: Sequence[Member] = ()) -> bool:
        """Whether this entry may start now, `ahead` iterations from now if nothing else changes, or if some went."""
        rules = self.rules
        if len(self.running) == len(without):
            return True
        if rules.pace and self._credit + ahead * rules.capacity <= 0:
            return False
        budget = self._budget + sum(map(self._granted, without))
        need = self._to_compute(entry)
        if not rules.chunked_prefill and need > budget:
            return False
        if rules.blocks is None:
            return True
        reserve = self.policy.reserve(entry)
        limit = rules.blocks - rules.reserve_blocks
        if reserve is None:
            limit += self._spare - sum(m.spare for m in without)
            if not rules.whole_prompt and need > budget:
                held = rules.held(entry.request.prompt_tokens, entry.generated)
                limit += rules.blocks_for(held) - rules.blocks_for(held - rules.newest_held - need + budget)
        load = self.load.without(m.entry for m in without) if without else self.load
        return load.fits(entry, reserve, limit, ahead)

    def admit(self, entry: Entry, output: int, now: int, count: int) -> None:
        """Start an entry whose answer will have `output` tokens; `count` numbers the host's admissions."""
        entry.admitted = count
        need = self._to_compute(entry)
        computed = entry.request.prompt_tokens + entry.generated - need
        paid = self._price(entry)
        self._credit -= paid
        member = Member(
            entry, output, self.step_time.startup, need, computed, self._limit(entry), entry.generated, paid
        )
        self.running[member.job] = self._starting[member.job] = member
        self.load.add(entry, self.policy.reserve(entry))
        grant = 0 if member.startup else min(need, self._budget)
        self._budget -= grant
        self._give(member, grant)
        if self.tally.admitted[member.job] == NEVER:
            self.tally.admitted[member.job] = now

    def _limit(self, entry: Entry) -> int:
        """Tokens at which its quantum is over."""
        quantum = self.policy.quantum(entry, draw(self.seed, entry.sequence, entry.attempts, QUANTUM))
        return UNBOUNDED if quantum is None else entry.generated + max(1, quantum)

    def _price(self, entry: Entry) -> int:
        """The area that pacing charges for a start: whole numbers, so sums are exact in any order."""
        if not self.rules.pace:
            return 0
        request = entry.request
        area = area_left(entry.estimate, entry.generated, request.forecast.high, request.prompt_tokens)
        return int(min(area, AREA_LIMIT))

    def _to_compute(self, entry: Entry) -> int:
        """Tokens of its first prefill: all but the prefix that is stored, and at least the last."""
        tokens = entry.request.prompt_tokens + entry.generated
        cached = entry.request.cached_tokens
        if self.prefixes is not None:
            cached = max(cached, self.prefixes.hit_tokens(entry.sequence))
        return tokens - min(cached, max(0, tokens - 1))

    def _remove(self, member: Member) -> None:
        if member.job not in self._resting:
            self.load.remove(member.entry)
        del self.running[member.job]
        self._starting.pop(member.job, None)
        self._paused.discard(member.job)
        if member in self._starved:
            self._starved.remove(member)
        self._spare -= member.spare
        if self.rules.pace:  # back comes what it did not use; it pays what it used beyond
            tokens, kept = self._generated(member), member.kept
            used = member.entry.request.prompt_tokens * (tokens - kept)
            self._credit += member.paid - used - (tokens * (tokens + 1) - kept * (kept + 1)) // 2
        if member.decoding:
            self._context -= member.entry.request.prompt_tokens + self._generated(member)

    def generated(self, steps: int = 0) -> dict[int, int]:
        """Tokens generated by each job that runs, up to the last boundary or so many iterations after it."""
        found = {job: self._generated(member) for job, member in self.running.items()}
        if steps:  # in a leap all decode, or rest
            found.update((job, tokens + steps) for job, tokens in found.items() if job not in self._resting)
        return found

    def _generated(self, member: Member) -> int:
        if member.job in self._resting:
            return member.output
        return self.load.tick - member.born if member.decoding else member.entry.generated

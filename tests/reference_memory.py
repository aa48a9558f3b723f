"""What the running of `tests/reference.py` hold, and whether another fits: every future iteration is looked at."""

import math
from dataclasses import dataclass
from decimal import Decimal

from soonest.core import Entry
from soonest.sim import NEVER


@dataclass(eq=False)
class Run:
    """One job, waiting or running."""

    job: int
    entry: Entry
    output: int
    startup: int = 0  # iterations of it still to come
    prefill: int = 0  # tokens that this attempt computes before its first token
    computed: int = 0  # how many of them it has
    prefilling: bool = True
    begun: int = 0  # tokens generated before this attempt
    kept: int = 0  # tokens generated before it was last admitted
    paid: int = 0  # of the area that pacing charges
    granted: int = 0  # tokens computed in the coming iteration
    reserve: int | None = None
    quantum: int | None = None
    last: int = NEVER  # when its newest token appeared

    @property
    def ended(self):
        return self.entry.generated == self.output

    @property
    def need(self):
        if self.startup or self.ended:
            return 0
        return self.prefill - self.computed if self.prefilling else 1

    @property
    def emits(self):
        return not self.startup and not self.ended and self.granted == self.need


class Memory:
    def __init__(self, rules, policy):
        self.rules, self.policy = rules, policy

    def tokens(self, run):
        """KV tokens in the iteration in which it emits its next token."""
        return self.rules.held(run.entry.request.prompt_tokens, run.entry.generated)

    def held(self, run):
        """Blocks in the coming iteration."""
        if run.emits:
            tokens = self.tokens(run)
        elif run.prefilling and not run.startup:
            tokens = run.computed + run.granted
        else:
            tokens = self.tokens(run) - 1
        return self.rules.blocks_for(tokens)

    def fits(self, running, entry, left):
        if not running:
            return True
        rules = self.rules
        size = entry.request.prompt_tokens + entry.generated
        if not rules.chunked_prefill and size > left:
            return False
        if rules.blocks is None:
            return True
        limit = rules.blocks - math.ceil(Decimal(str(rules.watermark)) * rules.blocks)
        reserve = self.policy.reserve(entry)
        newcomer = Run(-1, entry, math.inf, reserve=reserve)  # taken to emit at once
        if reserve is None:
            tokens = left if not rules.whole_prompt and left < size else self.tokens(newcomer)
            return sum(map(self.held, running)) + rules.blocks_for(tokens) <= limit
        everyone = [*running, newcomer]
        whole = sum(rules.blocks_for(self.predicted(r, 1)) for r in running)
        if whole + rules.blocks_for(self.tokens(newcomer)) > limit:
            return False
        end = max((r.reserve or 0) + 2 for r in everyone)
        return all(sum(rules.blocks_for(self.predicted(r, k)) for r in everyone) <= limit for k in range(1, end + 1))

    def predicted(self, run, k):
        """Tokens held in the k-th coming iteration, by what is reserved."""
        reserve = run.reserve or 0
        late = 0 if run.emits else 1
        if self.policy.holds and run.entry.generated >= reserve:
            return self.tokens(run) - late
        last = max(reserve - run.entry.generated, 1) + late
        if k > last:
            return self.tokens(run) + last - 1 - late if self.policy.holds else 0
        return self.tokens(run) + k - 1 - late

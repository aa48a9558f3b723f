"""How an engine batches, allocates and evicts: what differs between engines and is no policy's business."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import TYPE_CHECKING, Self

import numpy as np

from soonest.core.errors import RulesError

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_COUNT = 1 << 40
LEAST_CLEAR = 0.001


class Batching(StrEnum):
    """When waiting requests may join a batch."""

    CONTINUOUS = "continuous"
    """At every iteration."""
    DYNAMIC = "dynamic"
    """Only when the engine is empty and the batch is full or its oldest member timed out; it ends as one."""


class Need(StrEnum):
    """What a policy may need from its host."""

    EVICT = "evict"
    """The host, or its engine, makes room by evicting the running request with the smallest `keep`."""
    QUANTUM = "quantum"
    """The host sends an attempt back to the queue after a number of tokens."""
    RESTART = "restart"
    """An evicted request loses its tokens and starts from zero."""
    DISPLACE = "displace"
    """A waiting request that ranks better takes the place of a running one that `yields`."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of one engine; `None` means no limit.

    Attributes:
        slots: requests that run at once (vLLM: `max_num_seqs`).
        token_budget: tokens computed in one iteration, decode first (vLLM: `max_num_batched_tokens`).
        blocks: KV-cache blocks that can be used.
        block_size: tokens a block.
        chunked_prefill: a prompt may be computed over several iterations.
        whole_prompt: a request is admitted only when blocks for its whole prompt are free.
        newest_held: the newest token's KV is held already when it is emitted (theory), or from the next iteration on
            (engines).
        admit_after_evict: requests may be admitted in an iteration that evicted.
        restart: an eviction loses the tokens, else they are kept and computed again.
        watermark: share of the blocks that admission leaves free while anything runs.
        clear: on overflow, instead of evicting by `keep` until the rest fits, each running request is evicted with this
            probability (1: everyone). MC-SF's baselines (Jaillet et al., 2025, arXiv:2502.07115).
        max_evictions: a request evicted more often ends as aborted; without it `clear` can livelock.
        pace: requests start no faster than memory serves them: an iteration earns the whole memory, a start costs the
            area that `area_left` expects. Without it those that start together end together, and leave memory empty.
        batching: continuous, or dynamic with `timeout` seconds for a batch to fill.

    Raises:
        RulesError: a limit is absurd, or two rules contradict each other.
    """

    slots: int | None = None
    token_budget: int | None = None
    blocks: int | None = None
    block_size: int = 1
    chunked_prefill: bool = True
    whole_prompt: bool = True
    newest_held: bool = True
    admit_after_evict: bool = True
    restart: bool = True
    watermark: float = 0.0
    clear: float = 0.0
    max_evictions: int = 1000
    pace: bool = False
    batching: Batching = Batching.CONTINUOUS
    timeout: float = 0.0

    def __post_init__(self) -> None:
        for name in ("slots", "token_budget", "blocks"):
            limit = getattr(self, name)
            if limit is not None and not 1 <= limit <= MAX_COUNT:
                raise RulesError(f"{name} must lie in 1..{MAX_COUNT} or be None, got {limit}")
        if not 1 <= self.block_size <= 1 << 20:
            raise RulesError(f"block_size must lie in 1..{1 << 20} tokens, got {self.block_size}")
        if not 0 <= self.watermark < 1:
            raise RulesError(f"watermark is a share in [0, 1), got {self.watermark}")
        if not (self.clear == 0 or LEAST_CLEAR <= self.clear <= 1):
            raise RulesError(f"clear is 0 or a probability in [{LEAST_CLEAR}, 1], got {self.clear}")
        if not 1 <= self.max_evictions <= MAX_COUNT:
            raise RulesError(f"max_evictions must lie in 1..{MAX_COUNT}, got {self.max_evictions}")
        if not (math.isfinite(self.timeout) and self.timeout >= 0):
            raise RulesError(f"timeout must be a finite number of seconds >= 0, got {self.timeout}")
        self._check_together()

    def _check_together(self) -> None:
        if self.token_budget is not None and (self.slots is None or self.token_budget < self.slots):
            raise RulesError(
                f"token_budget {self.token_budget} must give each of the slots ({self.slots}) a token: "
                "raise it or set fewer slots"
            )
        if self.pace and self.blocks is None:
            raise RulesError("pace is about memory, which has no limit here: set blocks")
        if self.batching is Batching.DYNAMIC:
            if self.slots is None:
                raise RulesError("dynamic batching needs slots: the batch size")
            if self.blocks is not None or self.token_budget is not None:
                raise RulesError(
                    "dynamic batching has neither a memory limit nor a token budget: use continuous batching"
                )

    @classmethod
    def paper(cls, memory: int | None = None, slots: int | None = None) -> Self:
        """The theory papers' rounds: `memory` in tokens, look-ahead, restart (arXiv:2508.14544, arXiv:2502.07115)."""
        return cls(slots=slots, blocks=memory)

    @classmethod
    def vllm(cls, slots: int = 256, token_budget: int = 2048, blocks: int | None = None, block_size: int = 16) -> Self:
        """As vLLM's V1 scheduler: nothing admitted after an eviction, recompute, blocks, chunked prefill."""
        return cls(
            slots=slots,
            token_budget=token_budget,
            blocks=blocks,
            block_size=block_size,
            newest_held=False,
            admit_after_evict=False,
            restart=False,
        )

    @classmethod
    def none(cls) -> Self:
        """No batching: one request at a time (arXiv:2404.08509)."""
        return cls(slots=1)

    @classmethod
    def dynamic(cls, slots: int = 4, timeout: float = 1.0) -> Self:
        """Dynamic batching: at most `slots`, at most `timeout` seconds to fill, ends as one (arXiv:2404.08509)."""
        return cls(slots=slots, batching=Batching.DYNAMIC, timeout=timeout)

    @classmethod
    def continuous(cls, slots: int = 4) -> Self:
        """Continuous batching with slots alone (arXiv:2404.08509)."""
        return cls(slots=slots)

    @property
    def gives(self) -> frozenset[Need]:
        """What a policy may count on."""
        given = set() if self.batching is Batching.DYNAMIC else {Need.QUANTUM, Need.DISPLACE}
        if self.blocks is None or not self.clear:
            given.add(Need.EVICT)
        if self.restart:
            given.add(Need.RESTART)
        return frozenset(given)

    @property
    def capacity(self) -> int:
        """Tokens that memory holds."""
        return MAX_COUNT if self.blocks is None else self.blocks * self.block_size

    @property
    def reserve_blocks(self) -> int:
        """Blocks that admission leaves free while anything runs: the watermark as it is written, rounded up."""
        if self.blocks is None or self.watermark == 0:
            return 0
        return math.ceil(int(self.blocks) * Fraction(str(self.watermark)))  # in binary 100 x 0.07 is more than 7

    def blocks_for(self, tokens: int) -> int:
        """Blocks that hold this many tokens."""
        return -(-tokens // self.block_size)

    def held(self, prompt_tokens: int, generated: int) -> int:
        """Tokens of KV cache held while a request with `generated` tokens emits its next one."""
        return prompt_tokens + generated + self.newest_held

    def estimate_room(self, prompt_tokens: int) -> int:
        """The largest estimate that fits alone: capacity less the prompt, at least 1."""
        return max(1, self.capacity - prompt_tokens)

    def fits_alone(self, prompt_tokens: NDArray[np.int64], output_tokens: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which requests, of shape (n,), can ever end on this engine."""
        fits = np.ones(len(prompt_tokens), dtype=np.bool_)
        if self.token_budget is not None and not self.chunked_prefill:
            fits &= prompt_tokens + (0 if self.restart else output_tokens - 1) <= self.token_budget
        if self.blocks is not None:
            held = prompt_tokens + output_tokens - 1 + self.newest_held
            fits &= -(-held // self.block_size) <= self.blocks
        return fits

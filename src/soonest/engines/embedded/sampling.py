"""How one request wants its tokens drawn, and the logits processor that does so for every row of a batch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from transformers.generation.continuous_batching.cb_logits_processors import (
    ContinuousBatchingLogitsProcessor,
    ContinuousBatchingLogitsProcessorList,
)
from transformers.generation.logits_process import LogitsProcessorList

if TYPE_CHECKING:
    from collections.abc import Mapping

    from transformers.generation.continuous_batching.requests import FutureRequestState, RequestState

NEVER = float("-inf")


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are drawn. Temperature 0 takes the most likely; `top_k` 0 is no limit.

    `seed` makes the draws of one request repeatable whatever else is in its batch. Before `min_tokens` tokens none of
    `ends` is drawn. Penalties are OpenAI's (`presence`, `frequency`: what was generated) and CTRL's (`repetition`:
    prompt included); `bias` is added to the logits of its tokens.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    seed: int | None = None
    min_tokens: int = 0
    presence: float = 0.0
    frequency: float = 0.0
    repetition: float = 1.0
    bias: Mapping[int, float] = field(default_factory=dict)

    @property
    def is_argmax(self) -> bool:
        """Whether the logits are taken as they are."""
        shaped = self.presence or self.frequency or self.repetition != 1 or self.bias or self.min_tokens
        return self.temperature == 0 and not shaped


@dataclass(slots=True, eq=False)
class Draw:
    """The draws of one request: its wishes, the tokens that would end it, and its own generator."""

    sampling: Sampling
    ends: frozenset[int] = frozenset()
    generator: torch.Generator | None = None

    def shape(self, logits: torch.Tensor, prompt: list[int], generated: list[int]) -> torch.Tensor:
        """Logits of shape (V,) as this request wants them; their largest is the token drawn."""
        wish = self.sampling
        if wish.bias:
            tokens = torch.tensor(list(wish.bias), device=logits.device)
            logits[tokens] += torch.tensor(list(wish.bias.values()), device=logits.device)
        if wish.repetition != 1:
            seen = torch.tensor(sorted({*prompt, *generated}), device=logits.device)
            before = logits[seen]
            logits[seen] = torch.where(before < 0, before * wish.repetition, before / wish.repetition)
        if (wish.presence or wish.frequency) and generated:
            counts = torch.bincount(torch.tensor(generated, device=logits.device), minlength=len(logits))
            logits -= wish.frequency * counts + wish.presence * (counts > 0)
        if len(generated) < wish.min_tokens and self.ends:
            logits[list(self.ends)] = NEVER
        return logits if wish.temperature == 0 else self._drawn(logits)

    def _drawn(self, logits: torch.Tensor) -> torch.Tensor:
        """Logits plus Gumbel noise: the largest is a draw from their softmax."""
        wish = self.sampling
        logits = logits / max(wish.temperature, 1e-4)
        if 0 < wish.top_k < len(logits):
            logits = logits.masked_fill(logits < torch.topk(logits, wish.top_k).values[-1], NEVER)
        if wish.min_p > 0:
            chances = logits.softmax(-1)
            logits = logits.masked_fill(chances < wish.min_p * chances.max(), NEVER)
        if wish.top_p < 1:
            falling, order = logits.sort(descending=True)
            chances = falling.softmax(-1)
            beyond = chances.cumsum(-1) - chances >= wish.top_p
            beyond[0] = False  # whatever top_p is
            logits = logits.masked_fill(torch.zeros_like(beyond).scatter(0, order, beyond), NEVER)
        if self.generator is None:
            self.generator = torch.Generator(logits.device)
            if wish.seed is None:
                self.generator.seed()
            else:
                self.generator.manual_seed(wish.seed)
        noise = torch.empty_like(logits).exponential_(generator=self.generator)
        return logits - noise.log()


def history(state: RequestState) -> tuple[list[int], list[int]]:
    """Prompt and answer so far: after an eviction the library keeps the answer's beginning with the prompt."""
    split = state._true_initial_tokens or len(state.initial_tokens)  # noqa: SLF001 - nowhere else is it kept
    if split == len(state.initial_tokens):
        return state.initial_tokens, state.generated_tokens
    return state.initial_tokens[:split], state.initial_tokens[split:] + state.generated_tokens


class Sampler(ContinuousBatchingLogitsProcessor):  # type: ignore[misc]  # the library has no types
    """Every request of a batch is drawn as it asked.

    The library draws for a whole batch in one way, and takes temperature, top-p and top-k at most from each request.
    Here it always takes the largest, and the rows that want more than their largest logit get noise of their own
    first. It reads the batch's rows as Python objects, so it runs neither compiled nor in a CUDA graph.
    """

    supported_kwargs: dict[str, type] = {}  # noqa: RUF012 - the library reads it from the class
    ignored_kwargs: tuple[str, ...] = ()

    def __init__(self) -> None:
        self.draws: dict[str, Draw] = {}
        self._rows: list[tuple[int, Draw, RequestState]] = []

    def fill_defaults(self, int32_tensor: torch.Tensor) -> None:
        """There are none."""
        int32_tensor.fill_(0)

    def prepare_tensor_args(self, requests_with_new_token: list[FutureRequestState]) -> torch.Tensor:
        """Note which rows of the next batch want more than their largest logit."""
        found = ((row, self.draws.get(r.state.request_id), r.state) for row, r in enumerate(requests_with_new_token))
        self._rows = [(row, draw, state) for row, draw, state in found if draw and not draw.sampling.is_argmax]
        return torch.zeros(len(requests_with_new_token), dtype=torch.int32)

    def __call__(self, scores: torch.Tensor, tensor_arg: torch.Tensor) -> torch.Tensor:  # noqa: ARG002 - not needed
        """Shape those rows."""
        for row, draw, state in self._rows:
            scores[row] = draw.shape(scores[row].clone(), *history(state))
        return scores

    def as_list(self) -> ContinuousBatchingLogitsProcessorList:
        """As the library wants its processors."""
        processors = ContinuousBatchingLogitsProcessorList(LogitsProcessorList([self]))
        processors.tensors_required = 1
        return processors

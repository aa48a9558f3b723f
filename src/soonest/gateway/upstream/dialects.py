"""What differs from engine to engine, one row each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Dialect:
    """How to speak with one kind of engine: its metrics, its fields, its rare paths; "" where it has none.

    `priority_sign` is what a rank, lower first, is multiplied with for the engine's `priority` field; 0 where the
    engine has no such field. `hint` is the body's member that takes a forecast to the scheduler.
    """

    name: str
    waiting: tuple[str, ...] = ()  # metrics; the first that is there counts
    running: tuple[str, ...] = ()
    usage: tuple[str, ...] = ()  # share of the KV cache that is held, 0 to 1
    evictions: tuple[str, ...] = ()  # running requests that lost their memory, since the start
    cache: str = ""  # metric whose labels tell the cache's size
    block_size: str = ""
    blocks: str = ""
    block_size_metric: str = ""  # of their own, where newer versions have such
    blocks_metric: str = ""
    part: str = ""  # label that marks a part of what the sample without it says in all
    slots: str = ""
    properties: str = ""  # path of an object whose `total_slots` are its slots
    priority_sign: int = 0
    hint: str = ""
    tokenize: str = ""  # path
    tokenize_chat: bool = False  # whether it takes messages too
    template: str = ""  # path that turns messages into a prompt
    health: str = "/health"
    at_once: int | None = None  # requests, where that is a property of its kind
    request_ids: bool = True  # whether it takes any `X-Request-Id`
    owners: tuple[str, ...] = ()  # `owned_by` of its models

    @property
    def metrics(self) -> bool:
        """Whether it tells its state."""
        return bool(self.waiting)


VLLM: Final = Dialect(
    name="vllm",
    waiting=("vllm:num_requests_waiting",),
    running=("vllm:num_requests_running",),
    usage=("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc"),
    evictions=("vllm:num_preemptions_total", "vllm:num_preemptions"),
    cache="vllm:cache_config_info",
    block_size="block_size",
    blocks="num_gpu_blocks",
    priority_sign=1,
    hint="vllm_xargs",
    tokenize="/tokenize",
    tokenize_chat=True,
    owners=("vllm",),
)
SGLANG: Final = Dialect(
    name="sglang",
    waiting=("sglang:num_queue_reqs",),
    running=("sglang:num_running_reqs",),
    usage=("sglang:token_usage",),
    evictions=("sglang:num_retracted_requests_total",),
    cache="sglang:cache_config_info",
    block_size="page_size",
    blocks="num_pages",
    block_size_metric="sglang:page_size",
    blocks_metric="sglang:num_pages",
    part="priority",
    priority_sign=-1,
    hint="custom_params",
    tokenize="/tokenize",
    owners=("sglang",),
)
LLAMACPP: Final = Dialect(
    name="llamacpp",
    waiting=("llamacpp:requests_deferred",),
    running=("llamacpp:requests_processing",),
    usage=("llamacpp:kv_cache_usage_ratio",),  # told no more, as of 2026
    properties="/props",
    tokenize="/tokenize",
    template="/apply-template",
    owners=("llamacpp",),
)
LLAMACPP_PYTHON: Final = Dialect(
    name="llamacpp-python",
    at_once=1,  # another one's arrival ends a running stream, unless it is told otherwise
    health="/health",  # it has none and says so at once; all that it has waits for the answer that is being made
    request_ids=False,  # refuses a request whose id is no UUID
    owners=("me",),
)
SOONEST: Final = Dialect(
    name="soonest",
    waiting=("soonest_engine_num_requests_waiting",),
    running=("soonest_engine_num_requests_running",),
    usage=("soonest_engine_kv_cache_usage_perc",),
    evictions=("soonest_engine_num_preemptions_total",),
    cache="soonest_engine_cache_config_info",
    block_size="block_size",
    blocks="num_gpu_blocks",
    slots="soonest_engine_max_num_seqs",
    priority_sign=1,
    hint="vllm_xargs",
    tokenize="/tokenize",
    tokenize_chat=True,
    owners=("soonest",),
)
OPENAI: Final = Dialect(name="openai", health="/v1/models")
"""Anything else: it answers, and tells nothing."""

DIALECTS: Final = {row.name: row for row in (VLLM, SGLANG, LLAMACPP, LLAMACPP_PYTHON, SOONEST, OPENAI)}


def by_owner(owner: str) -> Dialect | None:
    """The row of whoever signs its models so."""
    return next((row for row in DIALECTS.values() if owner in row.owners), None)


def by_metrics(text: str) -> Dialect | None:
    """The row whose metrics stand in a page of metrics."""
    return next((row for row in DIALECTS.values() if any(name in text for name in row.waiting)), None)

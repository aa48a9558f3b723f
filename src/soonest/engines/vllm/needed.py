"""What we take from the inside of vLLM, which promises none of it: looked for at the start, not in the middle."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any

from vllm.v1.core.kv_cache_utils import KVCacheBlock
from vllm.v1.core.sched.async_scheduler import AsyncScheduler
from vllm.v1.core.sched.output import CachedRequestData, SchedulerOutput
from vllm.v1.request import Request, RequestStatus
from vllm.version import __version__ as version

from soonest.core import PolicyError

if TYPE_CHECKING:
    from collections.abc import Iterator

TESTED = ("0.32",)
"""Versions of vLLM that the tests have run with."""
SCHEDULER = (
    *("running", "waiting", "requests", "current_step", "block_size", "connector", "use_pp"),
    *("num_spec_tokens", "num_lookahead_tokens", "max_num_scheduled_tokens", "max_num_active_reqs"),
    *("num_waiting_for_streaming_input", "_inflight_prefills", "kv_cache_config.kv_cache_groups"),
    *("scheduler_config.long_prefill_token_threshold", "vllm_config.max_concurrent_batches"),
    *("kv_cache_manager.watermark_blocks", "kv_cache_manager.enable_caching", "kv_cache_manager.get_computed_blocks"),
    *("kv_cache_manager.block_pool.num_gpu_blocks", "kv_cache_manager.block_pool.get_num_free_blocks"),
    "kv_cache_manager.coordinator.single_type_managers",
)
OVERRIDDEN = ("schedule", "shutdown", "_free_request", "_update_request_as_session")
REQUEST = (
    *("request_id", "status", "priority", "max_tokens", "sampling_params", "pooling_params", "num_tokens"),
    *("num_prompt_tokens", "num_output_tokens", "num_computed_tokens", "num_output_placeholders"),
    "num_tokens_with_spec",
)


def check(scheduler: Any) -> None:
    """Whether this vLLM has all that we need; vLLM's own part of the scheduler is made already.

    Raises:
        PolicyError: it has not; what is missing is named.
    """
    missing = [f"{owner}.{name}" for owner, thing, name in _places(scheduler) if not _has(thing, name)]
    if missing:
        raise PolicyError(
            f"vLLM {version} has no {', '.join(missing)}: soonest.engines.vllm.Scheduler needs it. Tested versions: "
            f"{', '.join(TESTED)}. Install one of them, or leave --scheduler-cls out"
        )


def _places(scheduler: Any) -> Iterator[tuple[str, object, str]]:
    """Whose, the thing itself, and which attribute of it."""
    yield from (("Scheduler", scheduler, name) for name in SCHEDULER)
    yield from (("AsyncScheduler", AsyncScheduler, name) for name in OVERRIDDEN)
    yield from (("Request", Request, name) for name in REQUEST)
    yield "RequestStatus", RequestStatus, "RUNNING"
    yield "KVCacheBlock", KVCacheBlock, "ref_cnt"
    yield "SchedulerOutput", SchedulerOutput, "scheduled_new_reqs"
    yield "SchedulerOutput", SchedulerOutput, "scheduled_cached_reqs"
    yield "CachedRequestData", CachedRequestData, "resumed_req_ids"
    coordinator = getattr(scheduler.kv_cache_manager, "coordinator", None)
    for manager in getattr(coordinator, "single_type_managers", ()):
        yield type(manager).__name__, manager, "req_to_blocks"


def _has(thing: object, name: str) -> bool:
    """Whether it has this attribute or, of a class, whether its objects get it when they are made."""
    try:
        attrgetter(name)(thing)
    except AttributeError:
        if not isinstance(thing, type):
            return False
        made = getattr(vars(thing).get("__init__"), "__code__", None)
        return name in getattr(thing, "__annotations__", ()) or name in getattr(made, "co_names", ())
    return True

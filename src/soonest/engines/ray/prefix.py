"""A request router for engines that cache prefixes: where the prompt's beginning lies, if that is not too busy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

# not by its public path, which loads only where vLLM is
from ray.llm._internal.serve.routing_policies.prefix_aware.prefix_aware_router import PrefixCacheAffinityRouter

from soonest.engines.ray.asked import Asked
from soonest.engines.ray.router import Router

if TYPE_CHECKING:
    from ray.serve.request_router import PendingRequest, ReplicaID, RunningReplica

WORTH: Final = 2.0
"""A replica that has the beginning comes first while its work is at most so many times the least."""


class PrefixRouter(Router, PrefixCacheAffinityRouter):  # type: ignore[misc] # as Router
    """`request_router_class="soonest.engines.ray.prefix.PrefixRouter"`: as `Router`, with Ray's tree of prompts.

    A replica that was sent a prompt with the same beginning comes first, unless its expected work is over twice the
    least. Which replica was sent what, and when that is forgotten, is Ray's `PrefixCacheAffinityRouter`; without
    `do_eviction`, which is on here unless given, that would be never.
    """

    def initialize_state(self, predictor: str | None = None, forecast_budget: float = 0.05, **prefixes: Any) -> None:
        """From `request_router_kwargs`: as `Router`, and `prefixes` as Ray's router takes them."""
        Router.initialize_state(self, predictor, forecast_budget)
        PrefixCacheAffinityRouter.initialize_state(self, **{"do_eviction": True, **prefixes})

    async def choose_replicas(
        self, candidate_replicas: list[RunningReplica], pending_request: PendingRequest | None = None
    ) -> list[list[RunningReplica]]:
        """As `Router`, with the replica that has the beginning before the others."""
        ranked = await super().choose_replicas(candidate_replicas, pending_request)
        if pending_request is None or not ranked:
            return ranked
        text = self._extract_text_from_request(pending_request)
        if not text:
            return ranked
        booked = self._booked[pending_request.future]
        by_name = {replica.replica_id.to_full_id_str(): replica for (replica,) in ranked}
        matched, names = await self._tree_actor.prefix_match.remote(text, list(by_name))
        having = [by_name[name] for name in names or () if name in by_name]
        if not having or len(matched) < self._match_rate_threshold * len(text):
            return ranked
        (first,), *_ = ranked
        work = {replica.replica_id: self.work(replica.replica_id, booked.tokens, booked) for (replica,) in ranked}
        best = min(having, key=lambda replica: work[replica.replica_id])
        if best is first or work[best.replica_id] > WORTH * work[first.replica_id]:
            return ranked
        self._book(pending_request, best.replica_id, booked.tokens)
        return [[best], *(rank for rank in ranked if rank != [best])]

    def on_request_routed(self, pending_request: PendingRequest, replica_id: ReplicaID, result: Any) -> None:
        """Remember where the prompt went."""
        if self._extract_text_from_request(pending_request):
            super().on_request_routed(pending_request, replica_id, result)

    def _extract_text_from_request(self, pending_request: PendingRequest) -> str:
        """All turns, or nothing; Ray's own takes objects alone."""
        prompt = Asked(pending_request.args).prompt
        return "" if prompt is None else "".join(message.text for message in prompt.messages)

"""A request router for engines that cache prefixes: where the prompt's beginning lies, if that is not too busy."""

from __future__ import annotations

from contextlib import contextmanager
from inspect import signature
from typing import TYPE_CHECKING, Any, Final

from ray.exceptions import RayError

# not by its public path, which loads only where vLLM is
from ray.llm._internal.serve.routing_policies.prefix_aware.prefix_aware_router import PrefixCacheAffinityRouter

from soonest.engines.ray.asked import Asked
from soonest.engines.ray.router import BUDGET, Choosing, Router

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ray.serve.request_router import PendingRequest, ReplicaID, RunningReplica

LOST: Final = (RayError, AttributeError)
"""What its tree says when it is gone, or never was."""
WORTH: Final = 2.0
"""A replica that has the beginning comes first while it has at most so many times the fewest requests and tokens."""


class PrefixRouter(Router, PrefixCacheAffinityRouter):  # type: ignore[misc] # as Router
    """`request_router_class="soonest.engines.ray.prefix.PrefixRouter"`: as `Router`, with Ray's tree of prompts.

    A replica that was sent a prompt with the same beginning comes first, unless its requests or their expected tokens,
    this one included, are over twice the fewest. Which replica was sent what, and when that is forgotten, is Ray's
    `PrefixCacheAffinityRouter`; without `do_eviction`, which is on here unless given, that would be never.
    """

    def initialize_state(self, predictor: str | None = None, forecast_budget: float = BUDGET, **prefixes: Any) -> None:
        """From `request_router_kwargs`: as `Router`, and `prefixes` as Ray's router takes them."""
        known = signature(PrefixCacheAffinityRouter.initialize_state).parameters
        unknown = {name: prefixes.pop(name) for name in [*prefixes] if name not in known}
        Router.initialize_state(self, predictor, forecast_budget, **unknown)
        with self._going_on(Exception):  # all would wait for ever where the router does not begin
            PrefixCacheAffinityRouter.initialize_state(self, **{"do_eviction": True, **prefixes})

    async def choose_replicas(
        self, candidate_replicas: list[RunningReplica], pending_request: PendingRequest | None = None
    ) -> list[list[RunningReplica]]:
        """As `Router`, with the replica that has the beginning before the others."""
        near, choosing = self._near(candidate_replicas, pending_request), self.choosing(pending_request)
        ranked = self.ranked(near, choosing)
        with self._going_on(Exception):  # a request whose choice raises would wait for ever
            best = await self._having(near, ranked, pending_request, choosing)
            if best is not None:
                ranked = [best, *(replica for replica in ranked if replica is not best)]
        return [[replica] for replica in ranked]

    async def _having(
        self,
        near: list[RunningReplica],
        ranked: list[RunningReplica],
        request: PendingRequest | None,
        choosing: Choosing | None,
    ) -> RunningReplica | None:
        """Of all that are near the best that was sent the same beginning, unless it is too busy beside the ranked."""
        text = "" if request is None else self._extract_text_from_request(request)
        if not ranked or not text:
            return None
        by_name = {replica.replica_id.to_full_id_str(): replica for replica in near}
        matched, names = await self._tree_actor.prefix_match.remote(text, list(by_name))
        having = [by_name[name] for name in names or () if name in by_name]
        if not having or len(matched) < self._match_rate_threshold * len(text):
            return None
        own = self.ledger.mean if choosing is None else choosing.booking.tokens
        loads = {replica.replica_id: self.load(replica.replica_id, choosing) for replica in (*ranked, *having)}
        best = min(having, key=lambda replica: loads[replica.replica_id])
        its, few = loads[best.replica_id], min(load.requests for load in loads.values())
        fewest = min(load.tokens for load in loads.values())
        if its.requests + 1 > WORTH * (few + 1) or its.tokens + own > WORTH * (fewest + own):
            return None
        if choosing is not None:
            self.book(choosing, best.replica_id)
        return best

    def update_replicas(self, replicas: list[RunningReplica]) -> None:
        """Some were added or lost."""
        with self._going_on(*LOST):  # the tree comes last there
            super().update_replicas(replicas)

    def on_replica_actor_died(self, replica_id: ReplicaID) -> None:
        """One is lost, before Ray has told so."""
        with self._going_on(*LOST):  # as above
            super().on_replica_actor_died(replica_id)

    def on_request_routed(self, pending_request: PendingRequest, replica_id: ReplicaID, result: Any) -> None:
        """Remember where the prompt went."""
        if self._extract_text_from_request(pending_request):
            with self._going_on(*LOST):
                super().on_request_routed(pending_request, replica_id, result)

    @contextmanager
    def _going_on(self, *faults: type[Exception]) -> Iterator[None]:
        """Without Ray's tree of prompts, where that fails: it is an actor, which may be lost."""
        try:
            yield
        except faults as error:
            self.warn("prefixes cannot be looked up; replicas are chosen without them", error)

    def _extract_text_from_request(self, pending_request: PendingRequest) -> str:
        """All turns, or nothing; Ray's own takes objects alone."""
        try:
            prompt = Asked(pending_request.args).prompt
        except Exception:  # noqa: BLE001 - told already, when its forecast was to be made
            return ""
        return "" if prompt is None else "".join(message.text for message in prompt.messages)

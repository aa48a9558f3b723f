"""A request router for Ray Serve that sends each request where the least expected work is."""

from __future__ import annotations

import logging
import random
import time
from typing import TYPE_CHECKING, Final

from ray.serve.request_router import LocalityMixin, MultiplexMixin, RequestRouter

from soonest.core import PredictorError
from soonest.engines.ray.asked import Asked
from soonest.engines.ray.ledger import Ledger
from soonest.predict import Predictor
from soonest.predict.forecasting import Forecasting

if TYPE_CHECKING:
    from asyncio import Future

    from ray.serve.request_router import PendingRequest, ReplicaID, RunningReplica

    from soonest.engines.ray.ledger import Booking

log = logging.getLogger("ray.serve.soonest")
ALL: Final = 8
"""Replicas of which all are looked at."""
DRAWN: Final = 2
"""Of more, so many are drawn at random, or all routers would run to the same one (Mitzenmacher, 2001)."""


class Router(LocalityMixin, MultiplexMixin, RequestRouter):  # type: ignore[misc] # Ray is skipped where types are checked
    """`request_router_class="soonest.engines.ray.Router"`: least expected outstanding tokens.

    A request's forecast is the one that it brings along, or that of the predictor, which is written into the request
    for the engine behind; without one it counts as the mean. Ray's own rules stay: replicas that have a multiplexed
    model, or stand near, come first, a replica takes no more than `max_ongoing_requests`, and what a replica refuses is
    offered to the next.

    Raises:
        PredictorError: the folder holds no predictor, or the budget is no time.
    """

    def initialize_state(self, predictor: str | None = None, forecast_budget: float = 0.05) -> None:
        """From `request_router_kwargs`: a predictor's folder, and seconds that a forecast may take."""
        if not forecast_budget > 0:
            raise PredictorError(f"forecast_budget must be seconds > 0, got {forecast_budget}")
        known = None if predictor is None else Predictor.from_pretrained(predictor)
        self.forecasting = Forecasting(known, forecast_budget, log)
        self.ledger = Ledger(self.curr_replicas)
        self._booked: dict[Future[RunningReplica], Booking] = {}
        self._failed = False

    async def choose_replicas(
        self, candidate_replicas: list[RunningReplica], pending_request: PendingRequest | None = None
    ) -> list[list[RunningReplica]]:
        """Candidates one by one, the one with the least expected work first; there the request is booked at once."""
        before = None if pending_request is None else self._booked.get(pending_request.future)
        tokens = await self._tokens(pending_request) if before is None else before.tokens  # Ray asks again
        near = self._near(candidate_replicas, pending_request)
        drawn = random.sample(near, len(near) if len(near) <= ALL else DRAWN)  # in random order, which settles ties
        ranked = sorted(drawn, key=lambda replica: self.work(replica.replica_id, tokens, before))
        if ranked and pending_request is not None:
            self._book(pending_request, ranked[0].replica_id, tokens)
        return [[replica] for replica in ranked]

    def work(self, replica: ReplicaID, tokens: float, before: Booking | None = None) -> float:
        """What a request of so many tokens would find there and bring along, as far as this router knows.

        `before` is where it is booked already, if it is: there it counts once.
        """
        return self.ledger.work(replica, tokens, self.replica_queue_len_cache.get(replica), before)

    def update_replicas(self, replicas: list[RunningReplica]) -> None:
        """Some were added or lost."""
        self.ledger.keep([replica.replica_id for replica in replicas])
        super().update_replicas(replicas)

    def on_replica_actor_died(self, replica_id: ReplicaID) -> None:
        """One was lost."""
        self.ledger.lost(replica_id)
        super().on_replica_actor_died(replica_id)

    def on_request_completed(self, replica_id: ReplicaID, internal_request_id: str) -> None:
        """A request ended at a replica, was refused by it, or was lost with it."""
        self.ledger.ended(internal_request_id, replica_id, time.monotonic())
        super().on_request_completed(replica_id, internal_request_id)

    def _near(self, candidates: list[RunningReplica], request: PendingRequest | None) -> list[RunningReplica]:
        """Those that Ray's own rules put first; they also make it wait between two looks at a full fleet."""
        if request is not None and request.metadata.multiplexed_model_id:
            chosen = self.apply_multiplex_routing(request)
        else:
            chosen = self.apply_locality_routing(request)
        return [replica for replica in candidates if replica.replica_id in chosen]

    async def _tokens(self, request: PendingRequest | None) -> float:
        """A request's expected tokens, whatever it is: Ray would let one wait for ever whose choice raises."""
        try:
            return self.ledger.expected(None if request is None else await self._expected(request))
        except Exception as error:  # noqa: BLE001 - whatever an argument is, the request is served
            if not self._failed:
                log.error(  # noqa: TRY400 - a traceback might show the prompt
                    "a request cannot be read (%s); such go without a forecast (said once)", type(error).__name__
                )
            self._failed = True
            return self.ledger.expected(None)

    async def _expected(self, request: PendingRequest) -> float | None:
        """A request's expected tokens; the forecast is written into it for the engine."""
        asked = Asked(request.args)
        forecast = asked.hint
        prompt = asked.prompt
        if forecast is None and prompt is not None:
            forecast = (await self.forecasting.ask(prompt)).forecast
            if forecast.known:
                request.args[0] = asked.told(forecast)
        return forecast.expected if forecast is not None and forecast.known else None

    def _book(self, request: PendingRequest, replica: ReplicaID, tokens: float) -> None:
        now, future = time.monotonic(), request.future
        before = self._booked.get(future)
        if before is None:
            self._booked[future] = self.ledger.book(request.metadata.internal_request_id, replica, tokens, now)
            future.add_done_callback(self._routed)
        else:
            self._booked[future] = self.ledger.move(before, replica, now)

    def _routed(self, future: Future[RunningReplica]) -> None:
        """A request goes to this replica, or its caller has gone."""
        booking = self._booked.pop(future)
        if future.cancelled():
            self.ledger.cancel(booking)
        else:
            self.ledger.move(booking, future.result().replica_id, time.monotonic())

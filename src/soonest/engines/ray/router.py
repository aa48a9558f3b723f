"""A request router for Ray Serve that sends each request where the fewest are, and of those the shortest."""

from __future__ import annotations

import logging
import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ray.serve.request_router import LocalityMixin, MultiplexMixin, RequestRouter

from soonest.core import PredictorError
from soonest.engines.ray.asked import Asked
from soonest.engines.ray.ledger import Ledger
from soonest.predict import Predictor
from soonest.predict.forecasting import Forecasting

if TYPE_CHECKING:
    from ray.serve._private.common import RequestMetadata
    from ray.serve.request_router import PendingRequest, ReplicaID, RunningReplica

    from soonest.engines.ray.ledger import Booking, Load

log = logging.getLogger("ray.serve.soonest")
ALL: Final = 8
"""Replicas of which all are looked at."""
DRAWN: Final = 2
"""Of more, so many are drawn at random, or all routers would run to the same one (Mitzenmacher, 2001)."""
BUDGET: Final = 0.05
"""Seconds that a forecast may take."""


@dataclass(slots=True)
class Choosing:
    """A request whose replica is being chosen, and where it stands meanwhile."""

    request: PendingRequest
    booking: Booking


class Router(LocalityMixin, MultiplexMixin, RequestRouter):  # type: ignore[misc] # Ray is skipped where types are checked
    """`request_router_class="soonest.engines.ray.Router"`: the fewest requests; of equals the fewest expected tokens.

    A request's forecast is the one that it brings along, or that of the predictor, which is written into the request
    for the engine behind; without one it counts as the mean. Ray's own rules stay: replicas that have a multiplexed
    model, or stand near, come first, a replica takes no more than `max_ongoing_requests`, and what a replica refuses is
    offered to the next. With a folder that holds no predictor requests go without, and the log says so: Ray would tell
    nobody of an error here, and keep every call waiting.
    """

    def initialize_state(
        self, predictor: str | None = None, forecast_budget: float = BUDGET, **unknown: object
    ) -> None:
        """From `request_router_kwargs`: a predictor's folder, and seconds that a forecast may take."""
        known = None
        if unknown:
            log.error("a request router has no argument %s; it is passed over", ", ".join(unknown))
        try:
            if not forecast_budget > 0:
                raise PredictorError(f"forecast_budget must be seconds > 0, got {forecast_budget}")  # noqa: TRY301
            known = None if predictor is None else Predictor.from_pretrained(predictor)
        except Exception as error:  # noqa: BLE001 - a predictor may be anybody's code
            log.error("requests go without a forecast: %s: %s", type(error).__name__, error)  # noqa: TRY400
            forecast_budget = BUDGET
        self.forecasting = Forecasting(known, forecast_budget, log)
        self.ledger = Ledger(self.curr_replicas)
        self._choosing: dict[int, Choosing] = {}  # by the identity of their metadata
        self._warned: set[str] = set()

    async def choose_replicas(
        self, candidate_replicas: list[RunningReplica], pending_request: PendingRequest | None = None
    ) -> list[list[RunningReplica]]:
        """Candidates one by one, the one with the least to do first; there the request is booked at once."""
        near = self._near(candidate_replicas, pending_request)
        return [[replica] for replica in self.ranked(near, self.choosing(pending_request))]

    def choosing(self, request: PendingRequest | None) -> Choosing | None:
        """Where a request stands whose replica is being chosen; `None` if Ray only asks, and will not tell its end."""
        return None if request is None else self._choosing.get(id(request.metadata))

    def ranked(self, near: list[RunningReplica], choosing: Choosing | None) -> list[RunningReplica]:
        """Those that are looked at, the one with the least to do first; there the request is booked."""
        drawn = random.sample(near, len(near) if len(near) <= ALL else DRAWN)  # in random order, which settles ties
        ranked = sorted(drawn, key=lambda replica: self.load(replica.replica_id, choosing))
        if ranked and choosing is not None:
            self.book(choosing, ranked[0].replica_id)
        return ranked

    def load(self, replica: ReplicaID, but: Choosing | None) -> Load:
        """What a replica has to do besides this request, as far as this router knows."""
        ongoing, booking = self.replica_queue_len_cache.get(replica), None if but is None else but.booking
        return self.ledger.load(replica, time.monotonic(), ongoing, booking)

    def book(self, choosing: Choosing, replica: ReplicaID) -> None:
        """The request will probably go there."""
        choosing.booking = self.ledger.move(choosing.booking, replica, time.monotonic())

    def update_replicas(self, replicas: list[RunningReplica]) -> None:
        """Some were added or lost."""
        self.ledger.keep([replica.replica_id for replica in replicas])
        super().update_replicas(replicas)

    def on_replica_actor_died(self, replica_id: ReplicaID) -> None:
        """One is lost, before Ray has told so."""
        self.ledger.lost(replica_id)
        super().on_replica_actor_died(replica_id)

    def on_request_completed(self, replica_id: ReplicaID, internal_request_id: str) -> None:
        """It ended there, well or not."""
        self.ledger.ended(internal_request_id, replica_id)
        super().on_request_completed(replica_id, internal_request_id)

    def warn(self, what: str, error: BaseException) -> None:
        """Tell of a fault once, without a traceback, which might show the prompt."""
        if what not in self._warned:
            self._warned.add(what)
            log.error("%s (%s; said once)", what, type(error).__name__)

    async def _choose_replica_for_request(
        self, pending_request: PendingRequest, *, is_retry: bool = False
    ) -> RunningReplica:
        """As Ray's. Before it the forecast, which so takes none of Ray's few routing tasks; after it the booking."""
        if not is_retry:  # of what a replica refused it is known
            pending_request.soonest_tokens = await self._tokens(pending_request)
        name, tokens = pending_request.metadata.internal_request_id, pending_request.soonest_tokens
        choosing = Choosing(pending_request, self.ledger.book(name, None, tokens, time.monotonic()))
        self._choosing[id(pending_request.metadata)] = choosing
        try:
            replica = await super()._choose_replica_for_request(pending_request, is_retry=is_retry)
            self.book(choosing, replica.replica_id)
            self.ledger.sent(choosing.booking)
        except BaseException:
            self.ledger.cancel(choosing.booking)
            raise
        finally:
            del self._choosing[id(pending_request.metadata)]
        return replica

    def _get_pending_request_matching_internal_request_id(
        self, request_metadata: RequestMetadata | None = None
    ) -> PendingRequest | None:
        """The request with these very metadata.

        Calls that serve one request share its id. Ray's own index has one request of each id: others waited for ever.
        """
        found = self._choosing.get(id(request_metadata))
        return None if found is None or found.request.future.done() else found.request

    def _near(self, candidates: list[RunningReplica], request: PendingRequest | None) -> list[RunningReplica]:
        """Those that Ray's own rules put first; they also make it wait between two looks at a full fleet."""
        if request is not None and request.metadata.multiplexed_model_id:
            chosen = self.apply_multiplex_routing(request)
        else:
            chosen = self.apply_locality_routing(request)
        return [replica for replica in candidates if replica.replica_id in chosen]

    async def _tokens(self, request: PendingRequest) -> float:
        """A request's expected tokens; whatever its argument is, it is served."""
        try:
            return self.ledger.expected(await self._expected(request))
        except Exception as error:  # noqa: BLE001 - as above
            self.warn("a request cannot be read; such go without a forecast", error)
            return self.ledger.expected(None)

    async def _expected(self, request: PendingRequest) -> float | None:
        """A request's expected tokens, at most those that it allows; the forecast is written into it for the engine."""
        asked = Asked(request.args)
        forecast, prompt = asked.hint, asked.prompt
        if forecast is None and prompt is not None:
            forecast = (await self.forecasting.ask(prompt)).forecast
            if forecast.known:
                request.args[0] = asked.told(forecast)
        if forecast is None or not forecast.known:
            return None
        most = None if prompt is None else prompt.max_tokens
        return forecast.expected if most is None else min(forecast.expected, most)

"""Which path goes where: two are scheduled, a few are ours, the rest is the engine's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from soonest.gateway.life import Life
from soonest.gateway.passing import Passing
from soonest.gateway.ui.routes import Pages

if TYPE_CHECKING:
    from starlette.requests import Request

    from soonest.gateway.gateway import Gateway

SCHEDULED: Final = frozenset({"/v1/chat/completions", "/v1/completions"})


class App:
    """The gateway as an ASGI application; the scheduled paths go around the framework."""

    def __init__(self, gateway: Gateway, version: str) -> None:
        self.gateway, self.version = gateway, version
        pages = [] if gateway.live is None else Pages(gateway, gateway.live).routes()
        self._rare = Starlette(
            routes=[
                *pages,
                Route("/health", self._health),
                Route("/ready", self._ready),
                Route("/ready/gateway", self._open),
                Route("/metrics", self._metrics),
                Mount("/", Passing(gateway)),
            ]
        )

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One connection's next request."""
        if scope["type"] == "http" and scope["path"] in SCHEDULED and scope["method"] == "POST":
            life = Life(self.gateway, scope, receive, send)
            self.gateway.lives.add(life)
            try:
                await life.run()
            finally:
                self.gateway.lives.discard(life)
        else:
            await self._rare(scope, receive, send)

    async def _health(self, _: Request) -> Response:
        """The gateway itself lives."""
        return JSONResponse({"status": "ok", "version": self.version})

    async def _ready(self, _: Request) -> Response:
        """Requests would be served: an engine answers, and the gateway is not stopping."""
        gateway = self.gateway
        engines = {name: backend.place.up for name, backend in gateway.backends.items()}
        ready = gateway.up and not gateway.draining
        return JSONResponse({"ready": ready, "draining": gateway.draining, "engines": engines}, 200 if ready else 503)

    async def _open(self, _: Request) -> Response:
        """Requests get an answer from here, be it that no engine answers; 503 once the gateway is stopping."""
        draining = self.gateway.draining
        return JSONResponse({"ready": not draining, "draining": draining}, 503 if draining else 200)

    async def _metrics(self, request: Request) -> Response:
        text, content_type = self.gateway.metrics.render(request.headers.get("accept", ""))
        return Response(text, headers={"content-type": content_type})

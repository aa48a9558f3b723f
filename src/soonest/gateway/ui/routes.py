"""The page at /ui and what it asks for.

The page itself holds nothing; what it shows needs a key where there are any.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import orjson
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from soonest.gateway.access import Denied
from soonest.gateway.ui import rows
from soonest.gateway.wire import failure

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

    from soonest.gateway.gateway import Gateway
    from soonest.gateway.ui.live import Live
    from soonest.gateway.ui.stream import Stream
    from soonest.gateway.wire import Failure

FOLDER: Final = Path(__file__).with_name("page")
KINDS: Final = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
KEYS: Final = (b'data-keys="no"', b'data-keys="yes"')
"""What the page says unless there are keys, and then."""
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS: Final = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
}
FRESH: Final = HEADERS | {"cache-control": "no-cache"}
NEVER_KEPT: Final = HEADERS | {"cache-control": "no-store", "x-accel-buffering": "no"}


class Following(StreamingResponse):
    """Server-sent events for one viewer."""

    def __init__(self, stream: Stream, may: Callable[[], bool]) -> None:
        self._stream = stream
        super().__init__(stream.follow(may), headers=NEVER_KEPT, media_type="text/event-stream")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Until the viewer leaves or may look no more, or the gateway ends."""
        with self._stream.looking():
            await super().__call__(scope, receive, send)


class Pages:
    """The routes of the live page of one gateway."""

    def __init__(self, gateway: Gateway, live: Live) -> None:
        self._gateway, self._live = gateway, live
        self._files = {path.name: path.read_bytes() for path in FOLDER.iterdir() if path.suffix in KINDS}
        self._index = self._files.pop("index.html")

    def routes(self) -> list[Route]:
        """For the gateway's application."""
        return [
            Route("/ui", self._slash),
            Route("/ui/", self._page),
            Route("/ui/events", self._events),
            Route("/ui/requests/{key}", self._request),
            Route("/ui/{name:path}", self._file),
        ]

    async def _slash(self, _: Request) -> Response:
        """Links on the page are relative, so that it works behind a path."""
        return RedirectResponse("ui/", headers=FRESH)

    async def _page(self, _: Request) -> Response:
        page = self._index
        if self._gateway.access.has_keys:
            page = page.replace(*KEYS)
        return Response(page, headers=FRESH, media_type="text/html")

    async def _file(self, request: Request) -> Response:
        name = request.path_params["name"]
        found = self._files.get(name)
        if found is None:
            return _failed(failure(404, "the live page has no such part"))
        return Response(found, headers=FRESH, media_type=KINDS[Path(name).suffix])

    async def _events(self, request: Request) -> Response:
        if (problem := self._barred(request)) is not None:
            return _failed(problem)
        if request.method == "HEAD":
            return Response(headers=NEVER_KEPT, media_type="text/event-stream")
        if self._live.stream.full:
            return _failed(failure(503, "as many look at the live page as may", retry_after=5))
        return Following(self._live.stream, lambda: self._barred(request) is None)

    async def _request(self, request: Request) -> Response:
        if (problem := self._barred(request)) is not None:
            return _failed(problem)
        key, gateway, live = request.path_params["key"], self._gateway, self._live
        said = next(
            (rows.alive(life, live.waits.get(key), gateway.now()) for life in gateway.lives if life.key == key), None
        ) or next((rows.gone(ended) for ended in reversed(live.kept) if ended.key == key), None)
        if said is None:
            return _failed(failure(404, "this request is not remembered any more"))
        return Response(orjson.dumps(said), headers=NEVER_KEPT, media_type="application/json")

    def _barred(self, request: Request) -> Failure | None:
        """Why this caller may not look, or None. Looking counts on no limit of a key."""
        access = self._gateway.access
        try:
            caller = access.caller(request.scope["headers"], self._gateway.now())
        except Denied as error:
            return failure(401, str(error))
        if caller.account is not None and not caller.account.key.ui:
            return failure(403, "this API key may not look at the live page; it needs `ui = true` in the key file")
        return None


def _failed(problem: Failure) -> Response:
    response = Response(problem.body, problem.status, NEVER_KEPT)
    response.raw_headers += problem.headers[:1] + problem.headers[2:]  # its length is there already
    return response

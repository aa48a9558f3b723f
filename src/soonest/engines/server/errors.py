"""Errors as OpenAI's API has them."""

from __future__ import annotations

import json

TYPES = {
    400: "BadRequestError",
    404: "NotFoundError",
    405: "BadRequestError",
    408: "TimeoutError",
    413: "BadRequestError",
    500: "InternalServerError",
    503: "ServiceUnavailableError",
}


class ApiError(Exception):
    """A request that gets an error for an answer: HTTP status, what to do, and the field that is wrong."""

    def __init__(self, status: int, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.param = status, message, param

    @property
    def body(self) -> bytes:
        """The answer, in the nested form that clients read."""
        kind = TYPES.get(self.status, "InternalServerError")
        error = {"message": self.message, "type": kind, "param": self.param, "code": self.status}
        return json.dumps({"error": error}).encode()


def bad(message: str, param: str | None = None) -> ApiError:
    """What was asked cannot be done."""
    return ApiError(400, message, param)


def draining() -> ApiError:
    """The server is about to end."""
    return ApiError(503, "the engine is draining: try another")

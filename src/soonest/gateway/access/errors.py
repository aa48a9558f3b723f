"""What is said to a caller who may not come in, and to an operator whose key file is wrong. No message holds a key."""

from soonest.core import SoonestError


class KeysError(SoonestError):
    """A key file that cannot be used: the message names file, table and field, and what to do."""


class Denied(Exception):  # noqa: N818 - said to a caller, no fault of ours
    """No key, or none that we know: HTTP 401."""


class TooMany(Exception):  # noqa: N818 - as Denied
    """More than the caller's limits allow: HTTP 429. `reason` is "rate" or "concurrency"."""

    def __init__(self, reason: str, retry_after: float) -> None:
        super().__init__(f"{SAYS[reason]}; retry in {retry_after:.3g} seconds")
        self.reason = reason
        self.retry_after = retry_after
        """Seconds until another attempt may be let in."""


SAYS = {
    "rate": "this key sends more requests a second than it may",
    "concurrency": "this key has as many requests in flight as it may",
}

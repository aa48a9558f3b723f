"""Who is asking, and whether they may now."""

from __future__ import annotations

from dataclasses import dataclass
from hmac import compare_digest
from typing import TYPE_CHECKING, Self

from soonest.gateway.access.errors import Denied
from soonest.gateway.access.keys import Key, digest, read_keys
from soonest.gateway.access.limits import Account
from soonest.gateway.access.tenants import Tenants

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

MOST_TENANTS = 1000
AUTHORIZATION, API_KEY = b"authorization", b"x-api-key"
FAIRNESS_ID = b"x-gateway-inference-fairness-id"
SECRET_HEADERS = frozenset({AUTHORIZATION, API_KEY, b"proxy-authorization"})
BEARER = b"bearer "


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a request: its tenant, and the account that its limits are counted on (none without a key file)."""

    tenant: str = ""
    name: str = ""
    may_raise_priority: bool = False
    account: Account | None = None

    @property
    def bound(self) -> bool:
        """Whether its key keeps it from going before others, inside an engine too."""
        return self.account is not None and not self.may_raise_priority

    def priority(self, asked: int) -> int:
        """The priority a request gets, lower first: a caller may put itself behind others, not before them."""
        return asked if self.may_raise_priority else max(asked, 0)


class Access:
    """The door: a caller's headers become a tenant with limits, or are turned away.

    With keys, a request needs one of them, as `Authorization: Bearer KEY` or `x-api-key: KEY`, and belongs to the
    key's tenant. Without, everybody is let in and the tenant is what `x-gateway-inference-fairness-id` says. At most
    `most_tenants` names that clients choose are told apart.

    Our keys never go to an engine: with keys, or with an `engine_key`, what the client sent as a key is taken out of
    the headers, and the engine's own key put in.
    """

    def __init__(
        self,
        keys: Sequence[Key] = (),
        *,
        path: Path | None = None,
        engine_key: str | None = None,
        most_tenants: int = MOST_TENANTS,
    ) -> None:
        self.path = path
        self.weights: dict[str, float] = {}
        """Of every tenant with a weight of its own; the queue reads it as it changes."""
        self.engine_key = engine_key
        self._engine_key = None if engine_key is None else f"Bearer {engine_key}".encode()
        self._tenants = Tenants(most_tenants)
        self._accounts: dict[str, Account] = {}
        self._digests: tuple[bytes, ...] = ()
        self._callers: tuple[Caller, ...] = ()
        self._take(keys, 0.0)

    @classmethod
    def open(cls, path: Path, *, engine_key: str | None = None, most_tenants: int = MOST_TENANTS) -> Self:
        """The keys of this file. Raises KeysError."""
        return cls(read_keys(path), path=path, engine_key=engine_key, most_tenants=most_tenants)

    @property
    def has_keys(self) -> bool:
        """Whether a request needs a key."""
        return bool(self._digests)

    def reload(self, now: float) -> None:
        """Read the file again; what callers have used so far stays counted. Raises KeysError and keeps the old keys."""
        if self.path is not None:
            self._take(read_keys(self.path), now)

    def caller(self, headers: Iterable[tuple[bytes, bytes]], now: float) -> Caller:
        """Who sent these headers, as ASGI gives them: pairs of bytes, names in lower case. Raises Denied."""
        bearer = api_key = fairness = None
        for name, value in headers:
            if name == FAIRNESS_ID:
                fairness = value
            elif name == AUTHORIZATION:
                bearer = value
            elif name == API_KEY:
                api_key = value
        if not self._digests:
            return ANYBODY if not fairness else Caller(self._tenants.name(fairness.decode("latin-1"), now))
        presented = api_key
        if bearer is not None and bearer[: len(BEARER)].lower() == BEARER:
            presented = bearer[len(BEARER) :].strip()
        caller = self._known(presented)
        if fairness and caller.account is not None and caller.account.key.names_tenants:
            return self._speaking_for(caller, fairness.decode("latin-1"), now)
        return caller

    def enter(self, caller: Caller, now: float) -> None:
        """Count a request in; each that came in must `leave` once. Raises TooMany."""
        if caller.account is not None:
            caller.account.enter(now)

    def leave(self, caller: Caller) -> None:
        """The request waits and runs no more."""
        if caller.account is not None:
            caller.account.in_flight -= 1

    def forwarded(self, headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        """The headers an engine may see: without keys that are ours, with its own key if it has one."""
        if self._engine_key is None and not self._digests:
            return list(headers)
        kept = [pair for pair in headers if pair[0] not in SECRET_HEADERS]
        if self._engine_key is not None:
            kept.append((AUTHORIZATION, self._engine_key))
        return kept

    def _known(self, presented: bytes | None) -> Caller:
        """Every key is compared, whichever matches: how long it takes tells nothing about where."""
        if not presented:
            raise Denied("this gateway needs an API key: send `Authorization: Bearer KEY` or `x-api-key: KEY`")
        asked = digest(presented)
        found = None
        for caller, known in zip(self._callers, self._digests, strict=True):
            found = caller if compare_digest(asked, known) else found
        if found is None:
            raise Denied("this API key is not known here; ask who runs the gateway for one")
        return found

    def _speaking_for(self, caller: Caller, whom: str, now: float) -> Caller:
        """The names that a key gives are its own: it cannot speak for the tenant of another key."""
        tenant = self._tenants.name(f"{caller.tenant}/{whom}", now)
        return Caller(tenant, caller.name, caller.may_raise_priority, caller.account)

    def _take(self, keys: Sequence[Key], now: float) -> None:
        accounts = {key.name: self._accounts.get(key.name) or Account(key) for key in keys}
        for key in keys:
            accounts[key.name].change(key, now)
        self._accounts = accounts
        self._digests = tuple(key.digest for key in keys)
        self._callers = tuple(Caller(key.tenant, key.name, key.priority, accounts[key.name]) for key in keys)
        self.weights.clear()
        self.weights.update({key.tenant: key.weight for key in keys})


ANYBODY = Caller()

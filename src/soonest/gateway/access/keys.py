"""The key file: who has a key, and what each key may do."""

from __future__ import annotations

import hashlib
import logging
import math
import stat
import tomllib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from soonest.gateway.access.errors import KeysError
from soonest.gateway.access.tenants import OTHER

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SHORT_KEY = 16
LEAST, MOST = 1e-6, 1e9
OTHERS = stat.S_IROTH | stat.S_IWOTH
FIELDS = (
    "name",
    "key",
    "sha256",
    "tenant",
    "weight",
    "rate",
    "burst",
    "concurrency",
    "priority",
    "names_tenants",
    "ui",
)
log = logging.getLogger("soonest.gateway")


@dataclass(frozen=True, slots=True)
class Key:
    """One key and what it may do. Only the key's SHA-256 is kept, and it is never printed.

    `rate` is in requests a second, with at most `burst` at once; `concurrency` counts requests that wait or run. None
    is no limit. Without `priority` a caller may only go after others, never before them. With `names_tenants` it says
    in a header whom it speaks for; with `ui` it opens the live page.
    """

    name: str
    digest: bytes = field(repr=False)
    tenant: str
    weight: float = 1.0
    rate: float | None = None
    burst: int = 1
    concurrency: int | None = None
    priority: bool = False
    names_tenants: bool = False
    ui: bool = False


def digest(key: bytes) -> bytes:
    """What is compared in place of a key."""
    return hashlib.sha256(key).digest()


def read_keys(path: Path) -> tuple[Key, ...]:
    """The keys of a TOML file with one `[[key]]` table for each.

    Raises:
        KeysError: the file is not there, is no TOML, or holds a table that makes no sense.
    """
    try:
        text = path.read_text(encoding="utf-8")
        mode = path.stat().st_mode
    except OSError as error:
        raise KeysError(f"{path}: cannot read the key file: {error.strerror}") from None
    except UnicodeDecodeError:
        raise KeysError(f"{path}: the key file must be UTF-8 text") from None
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise KeysError(f"{path}: no TOML: {error}") from None
    if mode & OTHERS:
        log.warning("%s: every user of this machine can open the key file; run `chmod o-rw` on it", path)
    keys = tuple(_Table(path, number, table).key() for number, table in enumerate(_listed(path, tables), start=1))
    _check_together(path, keys)
    return keys


def _listed(path: Path, tables: Mapping[str, object]) -> list[object]:
    listed = tables.get("key")
    if strange := sorted(tables.keys() - {"key"}):
        raise KeysError(f"{path}: no field {strange[0]!r} at the top; each key is a [[key]] table")
    if not isinstance(listed, list) or not listed:
        raise KeysError(f"{path}: holds no key; add a [[key]] table, or start without a key file")
    return listed


def _check_together(path: Path, keys: tuple[Key, ...]) -> None:
    names: dict[str, int] = {}
    digests: dict[bytes, int] = {}
    weights: dict[str, tuple[float, int]] = {}
    for number, key in enumerate(keys, start=1):
        if (first := names.setdefault(key.name, number)) != number:
            raise KeysError(
                f"{path}: [[key]] {number}: name {key.name!r} is that of [[key]] {first}; names must differ"
            )
        if (first := digests.setdefault(key.digest, number)) != number:
            raise KeysError(f"{path}: [[key]] {number}: key is the same as that of [[key]] {first}; make another")
        weight, first = weights.setdefault(key.tenant, (key.weight, number))
        if weight != key.weight:
            raise KeysError(
                f"{path}: [[key]] {number}: weight differs from [[key]] {first}, of the same tenant {key.tenant!r};"
                " a tenant has one weight"
            )
    _check_tenants(path, keys)


def _check_tenants(path: Path, keys: tuple[Key, ...]) -> None:
    """No key's tenant may be one that callers come to by the names they send."""
    fronts = {f"{key.tenant}/": number for number, key in enumerate(keys, start=1) if key.names_tenants}
    for number, key in enumerate(keys, start=1):
        if key.tenant == OTHER:
            raise KeysError(
                f"{path}: [[key]] {number}: tenant {OTHER!r} is that of all whose names found no place;"
                " give the key another tenant"
            )
        if named := next((start for start in fronts if key.tenant.startswith(start)), ""):
            raise KeysError(
                f"{path}: [[key]] {number}: tenant {key.tenant!r} begins with {named!r}, as those do that [[key]]"
                f" {fronts[named]} names; give the key another tenant"
            )


class _Table:
    """One table on its way to a key. Errors name the field and its type, never its value."""

    def __init__(self, path: Path, number: int, table: object) -> None:
        self.where = f"{path}: [[key]] {number}"
        if not isinstance(table, dict):
            raise KeysError(f"{self.where}: is no table; write [[key]] and one field a line")
        self.table: dict[str, object] = table

    def key(self) -> Key:
        if strange := sorted(self.table.keys() - set(FIELDS)):
            raise KeysError(f"{self.where}: no field {strange[0]!r}; known: {', '.join(FIELDS)}")
        name = self.text("name")
        if name is None:
            raise KeysError(f"{self.where}: name is missing; it stands in logs and is the tenant unless one is given")
        tenant, rate, weight = self.text("tenant"), self.number("rate"), self.number("weight")
        burst = self.count("burst")
        if burst is not None and rate is None:
            raise KeysError(f"{self.where}: burst needs a rate; add one, or remove burst")
        return Key(
            name=name,
            digest=self.digest(name),
            tenant=name if tenant is None else tenant,
            weight=1.0 if weight is None else weight,
            rate=rate,
            burst=burst or max(1, math.ceil(rate or 1)),
            concurrency=self.count("concurrency"),
            priority=self.flag("priority"),
            names_tenants=self.flag("names_tenants"),
            ui=self.flag("ui"),
        )

    def digest(self, name: str) -> bytes:
        clear, hashed = self.text("key"), self.text("sha256")
        if (clear is None) == (hashed is None):
            raise KeysError(f"{self.where}: needs either key, in clear, or sha256, its hash in hexadecimal")
        if hashed is not None:
            try:
                known = bytes.fromhex(hashed)
            except ValueError:
                known = b""
            if len(known) != hashlib.sha256().digest_size:
                raise KeysError(f"{self.where}: sha256 must be 64 hexadecimal digits; `printf %s KEY | sha256sum`")
            return known
        if clear is None or not clear.isascii() or " " in clear:
            raise KeysError(f"{self.where}: key must be printable ASCII without spaces, or it fits in no header")
        if len(clear) < SHORT_KEY:
            log.warning(
                "%s: the key of %r is easy to guess; make it %d characters or longer", self.where, name, SHORT_KEY
            )
        return digest(clear.encode())

    def text(self, name: str) -> str | None:
        value = self.table.get(name)
        if value is None:
            return None
        if not isinstance(value, str) or not value or not value.isprintable():
            raise KeysError(f"{self.where}: {name} must be printable text in quotes, got {_kind(value)}")
        return value

    def number(self, name: str) -> float | None:
        value = self.table.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not LEAST <= value <= MOST:
            raise KeysError(f"{self.where}: {name} must be a number from {LEAST} to {MOST:.0e}, got {_kind(value)}")
        return float(value)

    def count(self, name: str) -> int | None:
        value = self.table.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise KeysError(f"{self.where}: {name} must be a whole number of at least 1, got {_kind(value)}")
        return value

    def flag(self, name: str) -> bool:
        value = self.table.get(name, False)
        if not isinstance(value, bool):
            raise KeysError(f"{self.where}: {name} must be true or false, got {_kind(value)}")
        return value


def _kind(value: object) -> str:
    """A value as an error may show it: numbers as they are, of the rest only what they are."""
    return str(value) if isinstance(value, int | float) else f"a value of type {type(value).__name__}"

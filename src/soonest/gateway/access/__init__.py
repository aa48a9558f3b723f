"""Who may come in, as which tenant, and how much at a time."""

from soonest.gateway.access.access import Access, Caller
from soonest.gateway.access.errors import Denied, KeysError, TooMany
from soonest.gateway.access.keys import Key, read_keys
from soonest.gateway.access.limits import Account, Bucket
from soonest.gateway.access.tenants import OTHER, Tenants

__all__ = [
    "OTHER",
    "Access",
    "Account",
    "Bucket",
    "Caller",
    "Denied",
    "Key",
    "KeysError",
    "Tenants",
    "TooMany",
    "read_keys",
]

"""From words such as `aging(shortest, rate=5)` to a policy."""

from __future__ import annotations

import ast
import importlib
import re
from importlib.metadata import entry_points

from soonest.core import Policy, PolicyError
from soonest.policies.a_ell import AEll
from soonest.policies.a_max import AMax
from soonest.policies.a_min import AMin
from soonest.policies.a_min_randomized import AMinRandomized
from soonest.policies.aging import Aging
from soonest.policies.fcfs import FCFS
from soonest.policies.fcfs_reserve import FCFSReserve
from soonest.policies.longest import Longest
from soonest.policies.response_ratio import ResponseRatio
from soonest.policies.shortest import Shortest
from soonest.policies.two_point import TwoPoint

GROUP = "soonest.policies"
ELSEWHERE = re.compile(r"""(['"]?)\b([\w.]+:\w+)\1""")
"""`module:Class`, which reads as an expression once it stands in quotes."""

BUILT_IN: dict[str, type[Policy]] = {
    kind.name: kind
    for kind in (
        FCFS,
        FCFSReserve,
        Shortest,
        Longest,
        AMax,
        AMin,
        AMinRandomized,
        AEll,
        TwoPoint,
        ResponseRatio,
        Aging,
    )
}


def known_policies() -> dict[str, type[Policy]]:
    """Every policy by name: the built-in ones, then those that other packages registered under `soonest.policies`."""
    found = dict(BUILT_IN)
    for name, target in _registered().items():
        found.setdefault(name, _imported(target))
    return found


def policy(words: str) -> Policy:
    """Make the policy that these words name.

    A name, or a name with arguments in parentheses: policies, words, numbers, or `key=value`; for example `shortest`,
    `a_min(live, order=smallest)`, `aging(response_ratio(a_min), rate=5)`. `module:Class` names a class elsewhere, which
    is imported: only name code that you trust.

    Raises:
        PolicyError: no such policy, or arguments that it does not take.
    """
    try:
        tree = ast.parse(ELSEWHERE.sub(r"'\2'", words.strip()), mode="eval").body
    except (SyntaxError, ValueError):  # a null byte is either
        raise PolicyError(f"cannot read policy {words!r}; write for example 'aging(shortest, rate=5)'") from None
    return _made(tree, words)


def _registered() -> dict[str, str]:
    """What other packages registered, by name, as `module:Class`; nothing is imported."""
    return {point.name: point.value for point in entry_points(group=GROUP)}


def _made(tree: ast.expr, words: str) -> Policy:
    call = tree if isinstance(tree, ast.Call) else ast.Call(func=tree, args=[], keywords=[])
    match call.func:
        case ast.Name(id=str(name)) | ast.Constant(value=str(name)):
            kind = _class(name)
        case _:
            raise PolicyError(f"cannot read policy {words!r}; write for example 'aging(shortest, rate=5)'")
    arguments = [_argument(node, words) for node in call.args]
    named = {k.arg or "**": _argument(k.value, words) for k in call.keywords}
    try:
        made = kind(*arguments, **named)
    except (TypeError, OverflowError, NotImplementedError) as error:
        raise PolicyError(f"policy {name!r} does not take these arguments: {error}") from None
    if kind.rank is Policy.rank or made.numbers == ():
        raise PolicyError(f"policy {name!r} does not answer `rank`: it is a base, not a policy")
    return made


def _argument(node: ast.expr, words: str) -> Policy | float | str:
    match node:
        case ast.Name(id=name) if name not in BUILT_IN and name not in _registered():
            return name
        case ast.Name() | ast.Call():
            return _made(node, words)
        case ast.Constant(value=str(name)) if ":" in name:
            return _made(node, words)
        case ast.Constant(value=bool()):
            pass
        case ast.Constant(value=int() | float() | str() as value):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
            return -value
    raise PolicyError(f"cannot read an argument of policy {words!r}: give policies, words or numbers")


def _class(name: str) -> type[Policy]:
    if ":" in name:
        return _imported(name)
    if name in BUILT_IN:
        return BUILT_IN[name]
    registered = _registered()
    if name not in registered:
        known = dict.fromkeys([*BUILT_IN, *registered])
        raise PolicyError(f"no policy {name!r}; known: {', '.join(known)}; or module:Class")
    return _imported(registered[name])


def _imported(target: str) -> type[Policy]:
    module, _, attribute = target.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, TypeError) as error:  # TypeError: a relative import
        raise PolicyError(f"cannot import policy {target!r}: {error}") from error
    if not (isinstance(found, type) and issubclass(found, Policy)):
        raise PolicyError(f"{target!r} is no subclass of soonest.core.Policy")
    return found

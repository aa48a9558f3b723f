"""From words such as `aging(shortest, rate=5)` to an object; plug-ins included."""

from __future__ import annotations

import ast
import importlib
import re
from dataclasses import dataclass
from importlib.metadata import entry_points
from inspect import signature
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping

    from soonest.core import SoonestError

T = TypeVar("T")
ELSEWHERE = re.compile(r"""(['"]?)\b([\w.]+:\w+)\1""")
"""`module:Class`, which reads as an expression once it stands in quotes."""


@dataclass(frozen=True, slots=True)
class Registry(Generic[T]):
    """Classes of one base by name: built-in ones, those registered by other packages, and `module:Class`.

    `kind` is the word for them in errors, `example` what such an error shows, `group` their entry-point group.
    """

    base: type[T]
    built_in: Mapping[str, type[T]]
    group: str
    kind: str
    example: str
    error: type[SoonestError]

    def known(self) -> dict[str, type[T]]:
        """Every class by name: the built-in ones, then those that other packages registered."""
        found = dict(self.built_in)
        for name, target in self._registered().items():
            found.setdefault(name, self._imported(target))
        return found

    def named(self, name: str) -> type[T]:
        """The class of that name, which must be built in or registered by an installed package."""
        if name in self.built_in:
            return self.built_in[name]
        registered = self._registered()
        if name not in registered:
            known = dict.fromkeys([*self.built_in, *registered])
            raise self.error(f"no {self.kind} {name!r}; known: {', '.join(known)}; or module:Class")
        return self._imported(registered[name])

    def make(self, words: str) -> T:
        """Make what these words name: a name, or a name with arguments in parentheses.

        Arguments are objects of the same kind, words, numbers, true, false, or `key=value`. `module:Class` names a
        class elsewhere, which is imported: only name code that you trust.
        """
        try:
            tree = ast.parse(ELSEWHERE.sub(r"'\2'", words.strip()), mode="eval").body
        except (SyntaxError, ValueError):  # a null byte is either
            raise self._unreadable(words) from None
        return self._made(tree, words)

    def _registered(self) -> dict[str, str]:
        """What other packages registered, by name, as `module:Class`; nothing is imported."""
        return {point.name: point.value for point in entry_points(group=self.group)}

    def _unreadable(self, words: str) -> SoonestError:
        return self.error(f"cannot read {self.kind} {words!r}; write for example {self.example!r}")

    def _made(self, tree: ast.expr, words: str) -> T:
        call = tree if isinstance(tree, ast.Call) else ast.Call(func=tree, args=[], keywords=[])
        match call.func:
            case ast.Name(id=str(name)) | ast.Constant(value=str(name)):
                made = self._imported(name) if ":" in name else self.named(name)
            case _:
                raise self._unreadable(words)
        arguments = [self._argument(node, words) for node in call.args]
        named = {k.arg or "**": self._argument(k.value, words) for k in call.keywords}
        takes = signature(made)
        try:
            takes.bind(*arguments, **named)
        except TypeError as error:
            taken = f"it takes: {', '.join(takes.parameters)}" if takes.parameters else "it takes none"
            raise self.error(f"{self.kind} {name!r} does not take these arguments: {error}; {taken}") from None
        try:
            return made(*arguments, **named)
        except (TypeError, OverflowError, NotImplementedError) as error:
            given = ", ".join([*map(repr, arguments), *(f"{key}={value!r}" for key, value in named.items())])
            raise self.error(f"{self.kind} {name!r} can make nothing of {given or 'no arguments'}: {error}") from None

    def _argument(self, node: ast.expr, words: str) -> T | float | str | bool:
        match node:
            case ast.Name(id="true" | "false" as word):
                return word == "true"
            case ast.Name(id=name) if name not in self.built_in and name not in self._registered():
                return name
            case ast.Name() | ast.Call():
                return self._made(node, words)
            case ast.Constant(value=str(name)) if ":" in name:
                return self._made(node, words)
            case ast.Constant(value=int() | float() | str() as value):
                return value
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
                return -value
        raise self.error(f"cannot read an argument of {self.kind} {words!r}: give names, words or numbers")

    def _imported(self, target: str) -> type[T]:
        module, _, attribute = target.partition(":")
        try:
            found = getattr(importlib.import_module(module), attribute)
        except (ImportError, AttributeError, TypeError) as error:  # TypeError: a relative import
            raise self.error(f"cannot import {self.kind} {target!r}: {error}") from error
        if not (isinstance(found, type) and issubclass(found, self.base)):
            raise self.error(f"{target!r} is no subclass of {self.base.__module__}.{self.base.__name__}")
        return found

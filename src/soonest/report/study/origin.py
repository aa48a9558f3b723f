"""What figures were made with: the command without its secrets, the machine, the versions of what computed them."""

from __future__ import annotations

import os
import platform
import re
import shlex
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from soonest.core.errors import without_password

if TYPE_CHECKING:
    from collections.abc import Iterable

SECRET = {"--api-key", "--engine-key"}
"""Flags that carry a key."""
QUOTED = {"--gateway-flags", "--engine-flags"}
"""Flags that carry flags."""
HIDDEN = "..."
COMPUTES = ("soonest", "numpy", "numba", "scipy")


def command(words: Iterable[str]) -> str:
    """What was typed after `soonest`, without its secrets, as a shell takes it."""
    return shlex.join(["soonest", *masked(words)])


def masked(words: Iterable[str]) -> list[str]:
    """The words of a command: what follows a flag that carries a key is `...`, and a URL's password is `***`."""
    shown, before = [], ""
    for word in words:
        name, sign, value = word.partition("=")
        if before in SECRET | QUOTED:
            shown.append(_masked(before, word))
            before = ""
        else:
            flag = sign and name.startswith("--")
            shown.append(f"{name}={_masked(name, value)}" if flag else without_password(word))
            before = word
    return shown


def masked_flags(text: str) -> str:
    """The same of flags that are one text; all of it is hidden where no shell could take it apart."""
    try:
        return shlex.join(masked(shlex.split(text)))
    except ValueError:
        return HIDDEN


def _masked(flag: str, value: str) -> str:
    if flag in SECRET:
        return HIDDEN
    return masked_flags(value) if flag in QUOTED else without_password(value)


def versions(names: tuple[str, ...] = COMPUTES) -> dict[str, str]:
    """Of Python and of these distributions, as far as they are installed."""
    found = {"python": platform.python_version()}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def machine() -> str:
    """The processor's name and how many cores may be used."""
    return f"{processor()}, {cores()} cores, {platform.system()}"


def processor() -> str:
    """The processor's name, or the kind of machine where nobody tells it."""
    told = Path("/proc/cpuinfo")
    found = re.search(r"^model name\s*:\s*(.+)$", told.read_text("utf-8"), re.MULTILINE) if told.exists() else None
    return found[1] if found else platform.processor() or platform.machine()


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

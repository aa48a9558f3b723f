"""What figures were made with: the machine, and the versions of what computed them."""

from __future__ import annotations

import os
import platform
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

COMPUTES = ("soonest", "numpy", "numba", "scipy")


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

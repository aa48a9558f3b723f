"""Compilation with a cache that any change to the kernel's sources, or to Numba, makes anew."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numba

if TYPE_CHECKING:
    from collections.abc import Callable

F = TypeVar("F", bound="Callable[..., object]")
_HERE = Path(__file__).parent
_SOURCES = b"".join(path.read_bytes() for path in sorted(_HERE.glob("*.py")))
_CACHE = _HERE / "__pycache__" / f"numba-{numba.__version__}-{sha256(_SOURCES).hexdigest()[:16]}"


def compiled(function: F) -> F:
    """Compile on first use. Numba checks only a function's own file for changes, so each version of the whole kernel
    has a folder of its own; where that cannot be written, Numba chooses another place.
    """  # noqa: D205 - one thought
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(_CACHE)
    try:
        return _jit(function)
    finally:
        numba.config.CACHE_DIR = before


def _jit(function: F) -> F:
    """Without reference counts, which took three quarters of the time: the kernel allocates nothing."""
    options = {"cache": True, "nogil": True, "error_model": "numpy"}
    try:
        made: F = numba.njit(**options, _nrt=False)(function)
    except (KeyError, TypeError):  # a Numba without this private option: slower, and as right
        made = numba.njit(**options)(function)
    return made

"""The decorators that turn plain Python functions into compiled kernels.

Machine code is kept for later runs, in a directory named by the sources it was made from: numba
itself looks only at the file of the outermost kernel when it asks whether its code is stale.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final, TypeVar, cast

ROOMS: Final = (".", "capture", "connections", "places")
"""Folders of the package whose sources kernels are made from."""


def _sources_digest() -> str:
    package = Path(__file__).parent
    digest = blake2b(digest_size=8)
    for room in ROOMS:
        for source in sorted((package / room).glob("*.py")):
            digest.update(source.read_bytes())
    return digest.hexdigest()


def _cache_directory() -> Path:
    """Where the machine code lies: below NUMBA_CACHE_DIR or the user's cache; else with this process."""
    own = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "halfopen" / "kernels"
    directory = Path(os.environ.get("NUMBA_CACHE_DIR") or own) / _sources_digest()
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if os.access(directory, os.W_OK):
            return directory
    except OSError:
        pass
    return Path(tempfile.mkdtemp(prefix="halfopen-kernels-"))


# Read by numba when it is imported, and by nothing else of ours.
os.environ["NUMBA_CACHE_DIR"] = str(_cache_directory())

import numba  # noqa: E402
import numpy as np  # noqa: E402
from numba.core import event  # noqa: E402

F = TypeVar("F", bound=Callable[..., Any])

I64: Any = np.int64
"""A signed 64-bit number in a kernel. Constants are written so where they are handed to another
kernel: one is compiled anew for every plain constant it is called with."""


# No reference counts: kernels make no arrays, and the atomic steps would take most of the time.
_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "_nrt": False}
_NO_WRAPPERS: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}


class _FirstCompile(event.Listener):
    """Says once that kernels are being compiled, so a first run does not look like a hang."""

    said = False

    def on_start(self, event: Any) -> None:
        if not self.said:
            self.said = True
            print("halfopen: compiling for this machine, once; kept for later runs ...", file=sys.stderr)

    def on_end(self, event: Any) -> None:
        return None


event.register("numba:compile", _FirstCompile())  # type: ignore[no-untyped-call]


def kernel(function: F) -> F:
    """Compile `function` at its first call, run it without the GIL, keep the code for later runs."""
    return cast(F, numba.njit(cache=True, **_OPTIONS)(function))


def part(function: F) -> F:
    """A piece of kernels that runs seldom: compiled with them and callable from them alone."""
    return cast(F, numba.njit(**_OPTIONS, **_NO_WRAPPERS)(function))


def inlined(function: F) -> F:
    """A piece of kernels that runs often: a call would hand over every field of every array."""
    return cast(F, numba.njit(forceinline=True, **_OPTIONS, **_NO_WRAPPERS)(function))

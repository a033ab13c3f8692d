"""The decorators that turn plain Python functions into compiled kernels.

Machine code is kept for later runs, in a directory named by the sources it was made from: numba
itself looks only at the file of the outermost kernel when it asks whether its code is stale.
"""

from __future__ import annotations

import atexit
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import numba
import numpy as np
from numba.core import cgutils, event, types
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array
from numba.np.numpy_support import from_dtype

ROOMS: Final = (".", "capture", "connections", "places")
"""Folders of the package whose sources kernels are made from."""


OUTDATED: Final = 30 * 24 * 3600
"""Seconds after which machine code that nobody used is removed."""


def _sources_digest() -> str:
    package = Path(__file__).parent
    digest = blake2b(digest_size=8)
    for room in ROOMS:
        for source in sorted((package / room).glob("*.py")):
            digest.update(source.read_bytes())
    return digest.hexdigest()


def _cache_directory() -> tuple[Path, bool]:
    """Where the machine code lies, and whether it stays there.

    Below NUMBA_CACHE_DIR or the user's cache; where neither can be written, until this process ends.
    """
    try:
        own = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "halfopen" / "kernels"
        directory = Path(os.environ.get("NUMBA_CACHE_DIR") or own) / _sources_digest()
        directory.mkdir(parents=True, exist_ok=True)
        if os.access(directory, os.W_OK):
            return directory, True
    except (OSError, RuntimeError):  # no home, no place in it
        pass
    directory = Path(tempfile.mkdtemp(prefix="halfopen-kernels-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    return directory, False


def _remove_outdated(directory: Path) -> None:
    """Remove the machine code of other sources that nobody has used for a month."""
    for other in directory.parent.iterdir():
        if other != directory and re.fullmatch("[0-9a-f]{16}", other.name):
            newest = max((file.stat().st_atime for file in other.rglob("*")), default=0.0)
            if newest < time.time() - OUTDATED:
                shutil.rmtree(other, ignore_errors=True)


DIRECTORY, STAYS = _cache_directory()
numba.config.CACHE_DIR = str(DIRECTORY)  # type: ignore[attr-defined]

_cgutils: Any = cgutils
_populate_array: Any = populate_array

F = TypeVar("F", bound=Callable[..., Any])

I64: Any = np.int64
"""A signed 64-bit number in a kernel. Constants are written so where they are handed to another
kernel: one is compiled anew for every plain constant it is called with."""


# No reference counts: kernels make no arrays, and the atomic steps would take most of the time.
_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "_nrt": False}
_NO_WRAPPERS: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}


def outside(field: str, dtype: Any, *inner: int) -> Any:
    """A function for kernels: of a record, the array whose address and length the record holds.

    The record has the fields `field`_at and `field`_length; `inner` are the further dimensions. The
    array's owner keeps it alive.
    """
    row = from_dtype(np.dtype(dtype))
    array = types.Array(row, 1 + len(inner), "C")

    @intrinsic
    def view(typing_context: Any, record: Any) -> Any:
        def make(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            def load(name: str) -> Any:
                kind = context.get_value_type(types.intp)
                at = _cgutils.get_record_member(builder, arguments[0], record.offset(name), kind)
                return builder.load(at)

            def number(value: int) -> Any:
                return context.get_constant(types.intp, value)

            made = context.make_array(array)(context, builder)
            lengths = (load(f"{field}_length"), *(number(n) for n in inner))
            steps = [np.dtype(dtype).itemsize]
            for n in reversed(inner):
                steps.insert(0, steps[0] * n)
            _populate_array(
                made,
                data=builder.inttoptr(load(f"{field}_at"), made.data.type),
                shape=_cgutils.pack_array(builder, lengths),
                strides=_cgutils.pack_array(builder, [number(n) for n in steps]),
                itemsize=number(steps[-1]),
                meminfo=None,
            )
            return made._getvalue()

        return array(record), make

    return view


class _FirstCompile(event.Listener):
    """Says once that kernels are being compiled, so a first run does not look like a hang."""

    said = False

    def on_start(self, event: Any) -> None:
        if not self.said:
            self.said = True
            kept = (
                "once; kept for later runs" if STAYS else "each time: its cache directory cannot be written"
            )
            print(f"halfopen: compiling for this machine, {kept} ...", file=sys.stderr)
            if STAYS:
                _remove_outdated(DIRECTORY)

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

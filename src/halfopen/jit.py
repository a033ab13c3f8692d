"""The one decorator that turns a plain Python function into a compiled kernel."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numba.core import event

F = TypeVar("F", bound=Callable[..., Any])

I64: Any = np.int64
"""A signed 64-bit number in a kernel. Constants are written so where they are handed to another
kernel: one is compiled anew for every plain constant it is called with."""


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
    """Compile `function` at its first call, without the GIL, and keep the machine code on disk.

    The cache lies beside the source, or where that is read-only in the per-user cache directory
    (NUMBA_CACHE_DIR overrides); where neither can be written, in a directory of this process.
    """
    compiled = numba.njit(nogil=True, error_model="numpy")(function)
    try:
        compiled.enable_caching()
    except RuntimeError:  # no directory to keep the code in
        numba.config.CACHE_DIR = tempfile.mkdtemp(prefix="halfopen-kernels-")  # type: ignore[attr-defined]
        compiled.enable_caching()
    return cast(F, compiled)

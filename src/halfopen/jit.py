"""The one decorator that turns a plain Python function into a compiled kernel."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from typing import Any, TypeVar

import numba
from numba.core import event

F = TypeVar("F", bound=Callable[..., Any])

_SAID = False


class _FirstCompile(event.Listener):
    """Says once that kernels are being compiled, so a first run does not look like a hang."""

    def on_start(self, event: Any) -> None:
        global _SAID
        if not _SAID:
            _SAID = True
            print(
                "halfopen: compiling for this machine, once; kept for later runs ...",
                file=sys.stderr,
            )

    def on_end(self, event: Any) -> None:
        return None


event.register("numba:compile", _FirstCompile())


def kernel(function: F) -> F:
    """Compile `function` at its first call, without the GIL, and keep the machine code on disk.

    The cache lies beside the source, or where that is read-only in the per-user cache directory
    (NUMBA_CACHE_DIR overrides); where neither can be written, in a directory of this process.
    """
    try:
        return numba.njit(cache=True, nogil=True, error_model="numpy")(function)  # type: ignore[no-any-return]
    except RuntimeError:  # no directory to keep the code in
        numba.config.CACHE_DIR = tempfile.mkdtemp(prefix="halfopen-kernels-")
        return numba.njit(cache=True, nogil=True, error_model="numpy")(function)  # type: ignore[no-any-return]

"""The decorators that make kernels of plain Python functions.

Two ways to run one and the same source:

- mapped (Linux on x86-64): kernels are compiled once, by a process of their own, into an image: flat
  machine code that later runs map into memory. Neither numba nor LLVM is loaded then (`mapped`, `image`).
- under numba itself: in that process, on every other machine, and where NUMBA_BOUNDSCHECK asks for
  kernels that check every index (`compiled`).
"""

from __future__ import annotations

import os
import platform
import sys
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from halfopen.jit.cache import MAKES_AN_IMAGE

__all__ = ["I64", "array_of", "copy_bytes", "inlined", "kernel", "part", "prefetch", "row_of"]

I64: Any = np.int64
"""A signed 64-bit number in a kernel. Constants are written so where they are handed to another
kernel: one is compiled anew for every plain constant it is called with."""

MAPPED: Final = (
    sys.platform == "linux"
    and platform.machine() == "x86_64"
    and os.environ.get("NUMBA_BOUNDSCHECK", "0") in ("", "0")
    and MAKES_AN_IMAGE not in os.environ
)
"""Whether this process maps kernels."""

if TYPE_CHECKING or not MAPPED:
    from halfopen.jit.compiled import array_of, copy_bytes, inlined, kernel, part, prefetch, row_of
else:
    from halfopen.jit.mapped import array_of, copy_bytes, inlined, kernel, part, prefetch, row_of

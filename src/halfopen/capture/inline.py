"""The decorator for what kernels are made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., Any])


def part(function: F) -> F:
    """Compile `function` into each kernel that calls it; it may not make arrays.

    Always inlined and without reference counts, whose atomic steps took nine tenths of the time.
    """
    options: dict[str, Any] = {"forceinline": True, "_nrt": False}
    return cast(F, numba.njit(nogil=True, error_model="numpy", **options)(function))

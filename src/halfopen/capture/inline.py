"""The decorator for what the walking kernels are made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from halfopen.jit import part

F = TypeVar("F", bound=Callable[..., Any])


def inlined(function: F) -> F:
    """A part that is always compiled right into its callers: the walk is twice as fast for it."""
    piece: Any = part(function)
    piece.targetoptions["forceinline"] = True
    return cast(F, piece)

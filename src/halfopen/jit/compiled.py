"""Kernels under numba itself: compiled where they are called, their machine code kept by numba."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils, event, types
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array
from numba.np.numpy_support import from_dtype

from halfopen.jit.cache import DIRECTORY, MAKES_AN_IMAGE, remove_outdated, say_compiling

numba.config.CACHE_DIR = str(DIRECTORY)  # type: ignore[attr-defined]

_cgutils: Any = cgutils
_populate_array: Any = populate_array

F = TypeVar("F", bound=Callable[..., Any])

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


@intrinsic
def prefetch(typing_context: Any, array: Any, index: Any, offset: Any) -> Any:
    """In a kernel: have the line of memory on its way that lies `offset` bytes into array[index]."""

    def make(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        rows = context.make_array(array)(context, builder, value=arguments[0])
        address, number = ir.IntType(64), ir.IntType(32)
        begin = builder.ptrtoint(rows.data, address)
        row = builder.mul(context.cast(builder, arguments[1], index, types.intp), rows.itemsize)
        place = builder.add(builder.add(begin, row), context.cast(builder, arguments[2], offset, types.intp))
        byte = ir.IntType(8).as_pointer()
        hint = builder.module.declare_intrinsic(
            "llvm.prefetch", (byte,), ir.FunctionType(ir.VoidType(), (byte, number, number, number))
        )
        to_write, keep_close, data = number(1), number(3), number(1)
        builder.call(hint, (builder.inttoptr(place, byte), to_write, keep_close, data))
        return context.get_dummy_value()

    return types.none(array, index, offset), make


class _FirstCompile(event.Listener):
    """Says once that kernels are being compiled."""

    said = False

    def on_start(self, event: Any) -> None:
        if not self.said:
            self.said = True
            say_compiling()
            remove_outdated()

    def on_end(self, event: Any) -> None:
        return None


event.register("numba:compile", _FirstCompile())  # type: ignore[no-untyped-call]

KERNELS: list[tuple[Any, tuple[Any, ...]]] = []
"""Every kernel and the kinds of its parameters, for the image that is made of them."""


def kernel(*takes: Any, results: int = 1) -> Callable[[F], F]:
    """Compile a function at its first call, run it without the GIL, keep the code for later runs.

    `takes` are the parameters: `int`, or the dtype of an array (of rows, where it has a shape).
    A kernel gives back `results` integers.
    """

    def made(function: F) -> F:
        dispatcher = numba.njit(cache=MAKES_AN_IMAGE not in os.environ, **_OPTIONS)(function)
        KERNELS.append((dispatcher, takes))
        return cast(F, dispatcher)

    return made


def part(function: F) -> F:
    """A piece of kernels that runs seldom: compiled with them and callable from them alone."""
    return cast(F, numba.njit(**_OPTIONS, **_NO_WRAPPERS)(function))


def inlined(function: F) -> F:
    """A piece of kernels that runs often: a call would hand over every field of every array."""
    return cast(F, numba.njit(forceinline=True, **_OPTIONS, **_NO_WRAPPERS)(function))

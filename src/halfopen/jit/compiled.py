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

from halfopen.jit.cache import MAKES_AN_IMAGE, directory, say_compiling

numba.config.CACHE_DIR = str(directory())  # type: ignore[attr-defined]

_cgutils: Any = cgutils
_populate_array: Any = populate_array
_intrinsic: Callable[[Callable[..., Any]], Any] = intrinsic

F = TypeVar("F", bound=Callable[..., Any])

# No reference counts: kernels make no arrays, and the atomic steps would take most of the time.
_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "_nrt": False}
_NO_WRAPPERS: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}


def row_of(field: str, dtype: Any) -> Any:
    """A function for kernels: ``row(record, index)`` in the pool whose address and length a record holds.

    The record has the fields `field`_at and `field`_length; the pool's owner keeps it alive. The row is
    where it is: what is assigned to its fields stays there.
    """
    row = from_dtype(np.dtype(dtype))

    @_intrinsic
    def at(typing_context: Any, record: Any, index: Any) -> Any:
        def make(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            number = context.cast(builder, arguments[1], index, types.intp)
            if numba.config.BOUNDSCHECK:  # type: ignore[attr-defined]
                length = _word(context, builder, record, arguments[0], f"{field}_length")
                _cgutils.do_boundscheck(context, builder, number, length)
            pool = _word(context, builder, record, arguments[0], f"{field}_at")
            size = context.get_constant(types.intp, row.size)
            place = builder.add(pool, builder.mul(number, size))
            return builder.inttoptr(place, context.get_value_type(row))

        return row(record, index), make

    return at


def array_of(field: str, dtype: Any, *inner: int) -> Any:
    """A function for kernels: of a record, the array whose address and length the record holds.

    As `row_of`; `inner` are the further dimensions.
    """
    array = types.Array(from_dtype(np.dtype(dtype)), 1 + len(inner), "C")

    @_intrinsic
    def view(typing_context: Any, record: Any) -> Any:
        def make(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            def number(value: int) -> Any:
                return context.get_constant(types.intp, value)

            made = context.make_array(array)(context, builder)
            length = _word(context, builder, record, arguments[0], f"{field}_length")
            steps = [np.dtype(dtype).itemsize]
            for n in reversed(inner):
                steps.insert(0, steps[0] * n)
            at = _word(context, builder, record, arguments[0], f"{field}_at")
            _populate_array(
                made,
                data=builder.inttoptr(at, made.data.type),
                shape=_cgutils.pack_array(builder, (length, *(number(n) for n in inner))),
                strides=_cgutils.pack_array(builder, [number(n) for n in steps]),
                itemsize=number(steps[-1]),
                meminfo=None,
            )
            return made._getvalue()

        return array(record), make

    return view


def _word(context: Any, builder: Any, record: Any, value: Any, name: str) -> Any:
    """The field `name` of a record, which holds an address or a length."""
    kind = context.get_value_type(types.intp)
    return builder.load(_cgutils.get_record_member(builder, value, record.offset(name), kind))


@_intrinsic
def prefetch(typing_context: Any, row: Any, offset: Any) -> Any:
    """In a kernel: have the line of memory on its way that lies `offset` bytes into a row."""

    def make(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address, number = ir.IntType(64), ir.IntType(32)
        place = builder.add(
            builder.ptrtoint(arguments[0], address), context.cast(builder, arguments[1], offset, types.intp)
        )
        byte = ir.IntType(8).as_pointer()
        hint = builder.module.declare_intrinsic(
            "llvm.prefetch", (byte,), ir.FunctionType(ir.VoidType(), (byte, number, number, number))
        )
        to_write, keep_close, data = number(1), number(3), number(1)
        builder.call(hint, (builder.inttoptr(place, byte), to_write, keep_close, data))
        return context.get_dummy_value()

    return types.none(row, offset), make


def copy_bytes(size: int) -> Any:
    """A function for kernels: ``copy(to, at, source, begin)`` copies `size` bytes at once."""

    @_intrinsic
    def copy(typing_context: Any, to: Any, at: Any, source: Any, begin: Any) -> Any:
        def make(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            places = []
            for kind, array, offset in ((to, *arguments[:2]), (source, *arguments[2:])):
                rows = context.make_array(kind)(context, builder, value=array)
                if numba.config.BOUNDSCHECK:  # type: ignore[attr-defined]
                    length = builder.extract_value(rows.shape, 0)
                    last = builder.add(offset, context.get_constant(types.intp, size - 1))
                    for byte in (offset, last):
                        _cgutils.do_boundscheck(context, builder, byte, length)
                places.append(builder.gep(rows.data, [offset]))
            done = 0
            while done < size:
                bits = next(n for n in (64, 32, 16, 8) if size - done >= n // 8)
                here, there = (
                    builder.bitcast(builder.gep(p, [ir.IntType(64)(done)]), ir.IntType(bits).as_pointer())
                    for p in places
                )
                builder.store(builder.load(there, align=1), here, align=1)
                done += bits // 8
            return context.get_dummy_value()

        return types.none(to, types.intp, source, types.intp), make

    return copy


class _Compiling(event.Listener):
    """Says that kernels are being compiled."""

    def on_start(self, event: Any) -> None:
        say_compiling()

    def on_end(self, event: Any) -> None:
        return None


event.register("numba:compile", _Compiling())  # type: ignore[no-untyped-call]

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

"""Kernels as machine code out of an image, called without numba and without LLVM.

An image is a file: a line of JSON that names its kernels, says where they begin and how long the file
is, zeros up to `CODE`, then code that can lie at any address. Modules whose image is missing are compiled
first, each by a process of its own.
"""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Any, Final, TypeVar, cast

import numpy as np

from halfopen.errors import HalfopenError
from halfopen.jit.cache import KEPT, MAKES_AN_IMAGE, PACKAGE, directory, say_compiling

F = TypeVar("F", bound=Callable[..., Any])

CODE: Final = 4096
"""Where the code of an image begins: on a page of its own, below it is the line of JSON."""

_NUMBA: Final = {
    # Every x86-64 machine of the last fifteen years, so that an image serves all that share a home.
    "NUMBA_CPU_NAME": "x86-64-v2",
    "NUMBA_CPU_FEATURES": "",
    # Loops here turn a few times: vectors, and unrolling beyond level 2, make them slower and the code
    # several times as large.
    "NUMBA_LOOP_VECTORIZE": "0",
    "NUMBA_OPT": "2",
}
"""How numba compiles an image."""

_modules: dict[str, dict[str, int]] = {}
"""Modules that have kernels, and the addresses of those that are mapped."""

_rooms: list[mmap.mmap] = []
"""The memory of what is mapped."""

_lock = Lock()


def part(function: F) -> F:
    """A piece of kernels: compiled with them, and not here."""
    return function


inlined = part


def _inside(*_: Any) -> Any:
    """What has a meaning in kernels only (`compiled`)."""


array_of = copy_bytes = prefetch = row_of = _inside


def kernel(*takes: Any, results: int = 1) -> Callable[[F], F]:
    """Call the kernel out of its module's image, without the GIL.

    `takes` are the parameters: `int`, or the dtype of an array (of rows, where it has a shape).
    A kernel gives back `results` integers.
    """

    def made(function: F) -> F:
        _modules.setdefault(function.__module__, {})
        return cast(F, _Kernel(function, takes, results))

    return made


class _Kernel:
    def __init__(self, function: Callable[..., Any], takes: tuple[Any, ...], results: int) -> None:
        self.__doc__ = function.__doc__
        self._module, self._name = function.__module__, function.__name__
        self._takes = [None if each is int else np.dtype(each) for each in takes]
        self._results = ctypes.c_int64 * results
        words = sum(1 if each is None else 5 + 2 * (1 + each.ndim) for each in self._takes)
        # numba's own way to call: where results and an error go, then every word of the arguments.
        self._prototype = ctypes.CFUNCTYPE(
            ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, *[ctypes.c_int64] * words
        )
        self._call: Callable[..., int] | None = None

    def __call__(self, *arguments: Any) -> Any:
        if self._call is None:
            self._call = self._prototype(_address(self._module, self._name))
        words: list[int] = []
        for kind, argument in zip(self._takes, arguments, strict=True):
            if kind is None:
                words.append(int(argument))
                continue
            if (
                argument.dtype != kind.base
                or argument.shape[1:] != kind.shape
                or not argument.flags.c_contiguous
            ):
                raise TypeError(
                    f"{self._name} takes a whole array of {kind}, not {argument.dtype} of shape {argument.shape}"
                )
            words += (0, 0, argument.size, argument.itemsize, argument.ctypes.data)
            words += argument.shape + argument.strides
        results, error = self._results(), ctypes.c_void_p()
        if self._call(ctypes.addressof(results), ctypes.addressof(error), *words):
            raise RuntimeError(f"{self._module}.{self._name} failed")
        return results[0] if len(results) == 1 else tuple(results)


def _image(module: str) -> bytes:
    """The image of a module's kernels: head and code; empty if there is no whole one."""
    for place in _places():
        with suppress(OSError, ValueError, TypeError, KeyError):
            image = (place / f"{module}.image").read_bytes()
            if json.loads(image[:CODE].rstrip(b"\0"))["size"] == len(image):
                return image
    return b""


def _places() -> Iterator[Path]:
    if KEPT is not None:
        yield KEPT
    if directory() != KEPT:
        yield directory()


def _address(module: str, name: str) -> int:
    with _lock:
        if not _modules[module]:
            image = _image(module)
            if not image:
                _compile([each for each in _modules if not _image(each)])
                image = _image(module)
            _modules[module] = _mapped(image)
    return _modules[module][name]


def _compile(modules: list[str]) -> None:
    say_compiling()
    if not sys.executable:
        raise HalfopenError("kernels cannot be compiled: Python does not say where it is (sys.executable)")
    # Nothing of the user's settings of numba, and nothing of the folder we are in (-P).
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_")}
    path = os.pathsep.join(filter(None, [str(PACKAGE.parent), os.environ.get("PYTHONPATH")]))
    processes = [
        subprocess.Popen(
            [sys.executable, "-P", "-m", "halfopen.jit.image", module],
            env=environment | _NUMBA | {MAKES_AN_IMAGE: str(directory()), "PYTHONPATH": path},
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )
        for module in modules
    ]  # fmt: skip
    said = [process.communicate()[1] for process in processes]
    for module, process, words in zip(modules, processes, said, strict=True):
        if process.returncode:
            last = (words.strip().splitlines() or [f"exit code {process.returncode}"])[-1]
            raise HalfopenError(f"{module} could not be compiled: {last}")


def _mapped(image: bytes) -> dict[str, int]:
    """Where the kernels of an image lie now, in memory that can be run but not written."""
    room = mmap.mmap(
        -1, len(image), mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    )  # files may lie where nothing is run
    room.write(image)
    _rooms.append(room)
    at = ctypes.addressof(ctypes.c_char.from_buffer(room))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mprotect(ctypes.c_void_p(at), ctypes.c_size_t(len(image)), mmap.PROT_READ | mmap.PROT_EXEC):
        raise HalfopenError(f"kernels cannot be run in memory: {os.strerror(ctypes.get_errno())}")
    begins = json.loads(image[:CODE].rstrip(b"\0"))["begins"]
    return {name: at + begin for name, begin in begins.items()}

"""Which connections are in a sample: a keyed hash of the client's address and port, below a threshold.

One definition in three forms: plain Python here, a piece of kernels here, and the program that the
operating system runs for each packet (`capture.live.program`). All numbers are unsigned and of 32 bits.
The key is secret, or clients could choose not to be seen. A threshold that is halved leaves half of a
sample, and the half is a sample like any other.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from halfopen.errors import UsageError
from halfopen.jit import I64, inlined

WHOLE: Final = 1 << 32
"""The threshold below which every hash lies."""

FOLD: Final = (0x9E3779B1, 15)
"""For each word: exclusive or with what was folded before, times this, exclusive or with itself shifted right so far."""

LAST: Final = ((0x85EBCA77, 13), (0xC2B2AE3D, 16))
"""At the end twice: times this, exclusive or with itself shifted right so far."""

_MASK: Final = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Sampling:
    """A sample of connections: those whose hash is below `threshold`, 1 to `WHOLE`."""

    key: tuple[int, int] = (0, 0)
    threshold: int = WHOLE

    def __post_init__(self) -> None:
        if not 1 <= self.threshold <= WHOLE:
            raise UsageError("sampling threshold", self.threshold, f"1 to {WHOLE:,}")

    @property
    def rate(self) -> float:
        """The share of connections that are in the sample."""
        return self.threshold / WHOLE

    def hash(self, high: int, low: int, port: int) -> int:
        """The hash of a client, its address in two halves (`model`)."""
        mixed = self.key[0]
        for word in (high >> 32, high & _MASK, low >> 32, low & _MASK, port ^ self.key[1]):
            mixed = folded(mixed, word)
        for factor, shift in LAST:
            mixed = mixed * factor & _MASK
            mixed ^= mixed >> shift
        return mixed

    def takes(self, high: int, low: int, port: int) -> bool:
        """Whether the connections of a client's port are in the sample."""
        return self.hash(high, low, port) < self.threshold


def one_in(many: float) -> Sampling:
    """A sample of one connection in so many (1 or more), under a key that nobody knows."""
    if not 1 <= many <= WHOLE:
        raise UsageError("sampling", many, f"1 to {WHOLE:,}")
    return Sampling((secrets.randbits(32), secrets.randbits(32)), round(WHOLE / many))


def folded(mixed: int, word: int) -> int:
    """What was folded so far with one word more."""
    factor, shift = FOLD
    mixed = (mixed ^ word) * factor & _MASK
    return mixed ^ mixed >> shift


_FACTOR: Final = np.uint64(FOLD[0])
_SHIFT: Final = np.uint64(FOLD[1])
_LOW: Final = np.uint64(_MASK)
_HALF: Final = np.uint64(32)
_FACTOR_1: Final = np.uint64(LAST[0][0])
_SHIFT_1: Final = np.uint64(LAST[0][1])
_FACTOR_2: Final = np.uint64(LAST[1][0])
_SHIFT_2: Final = np.uint64(LAST[1][1])


@inlined
def _fold(mixed: Any, word: Any) -> Any:
    mixed = (mixed ^ word) * _FACTOR & _LOW
    return mixed ^ mixed >> _SHIFT


@inlined
def sample_hash(key_0: Any, key_1: Any, high: Any, low: Any, port: Any) -> Any:
    """`Sampling.hash` as a piece of kernels; keys and halves of the address are uint64. Gives an int64."""
    mixed = _fold(key_0, high >> _HALF)
    mixed = _fold(mixed, high & _LOW)
    mixed = _fold(mixed, low >> _HALF)
    mixed = _fold(mixed, low & _LOW)
    mixed = _fold(mixed, np.uint64(port) ^ key_1)
    mixed = mixed * _FACTOR_1 & _LOW
    mixed = mixed ^ mixed >> _SHIFT_1
    mixed = mixed * _FACTOR_2 & _LOW
    return I64(mixed ^ mixed >> _SHIFT_2)

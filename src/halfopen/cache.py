"""What was made before, kept in memory up to so many bytes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from typing import Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class Cache(Generic[Key, Value]):
    """Values by their keys; those asked for longest ago go first. Safe to share among threads."""

    def __init__(self, most: int, size_of: Callable[[Value], int]) -> None:
        """Keep `most` bytes, each value as large as `size_of` says."""
        self._most, self._size_of = most, size_of
        self._values: OrderedDict[Key, Value] = OrderedDict()
        self._size = 0
        self._lock = Lock()

    def get(self, key: Key) -> Value | None:
        """The value kept for a key; None if there is none."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
            return self._values.get(key)

    def put(self, key: Key, value: Value) -> None:
        """Keep a value, in the place of the one its key had before."""
        with self._lock:
            if (old := self._values.pop(key, None)) is not None:
                self._size -= self._size_of(old)
            self._values[key] = value
            self._size += self._size_of(value)
            while self._size > self._most:
                _, oldest = self._values.popitem(last=False)
                self._size -= self._size_of(oldest)

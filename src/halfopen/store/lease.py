"""Who may commit to a store: one process at a time, in turns.

The lease is taken for each commit, or for a few that belong together, and let go behind them: so sensors of several
servers, captures and upkeep take turns, and nobody keeps others out for longer than a turn takes. What a turn
begins with is read anew, because others committed since the last one.

The lease spares work, it does not guard the data: of two committers that overtake each other the one that comes
second is refused and decides again (see `tables` and `ledger`).
"""

from __future__ import annotations

import fcntl
import os
import socket
import threading
import time
from collections.abc import Callable
from typing import Final, Protocol

from halfopen.errors import LeaseError, StoreError
from halfopen.store.place import Place

MOMENT: Final = 1.0
"""Seconds of waiting before it is told of."""


class Lease(Protocol):
    """The right to commit, among processes. Not for several threads at once."""

    step: float  # s between two attempts

    def attempt(self) -> str | None:
        """Hold the lease from now on: None. If somebody else does, who it is."""
        ...

    def check(self) -> None:
        """Before each commit: LeaseError if the lease held is somebody else's by now."""
        ...

    def release(self) -> None:
        """Let the lease go."""
        ...


class Turn:
    """The lease, among the threads of this process as well: held by ``with``, as often as wanted within itself."""

    def __init__(self, lease: Lease, where: str, patience: float, told: Callable[[str], None]) -> None:
        """`patience` says for how many s others are waited for; `told` hears for whom, once that takes a moment."""
        self._lease, self._where, self._patience, self._told = lease, where, patience, told
        self._lock = threading.RLock()
        self._depth = 0

    def __enter__(self) -> None:
        self._lock.acquire()
        try:
            if not self._depth:
                self._take()
        except BaseException:
            self._lock.release()
            raise
        self._depth += 1

    def __exit__(self, *_: object) -> None:
        self._depth -= 1
        try:
            if not self._depth:
                self._lease.release()
        finally:
            self._lock.release()

    def _take(self) -> None:
        begun = time.monotonic()
        told = False
        while (holder := self._lease.attempt()) is not None:
            waited = time.monotonic() - begun
            if waited >= self._patience:
                words = f"{holder} still commits to it after {waited:.0f} s; end it if it is stopped or hangs"
                raise LeaseError(self._where, words)
            if waited >= MOMENT and not told:
                self._told(holder)
                told = True
            time.sleep(self._lease.step)


class FileLease:
    """The lease of a local store: a lock on a file, which the kernel lets go when the process dies."""

    step = 0.01

    def __init__(self, place: Place) -> None:
        assert place.local is not None
        self._where = place.uri
        self._path = place.local / "committer.lock"
        self._handle = -1

    def attempt(self) -> str | None:
        """Hold the lease from now on: None. If somebody else does, who it is."""
        try:
            handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise StoreError(self._where, error.strerror or str(error)) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(handle, 0)
            os.pwrite(handle, myself().encode(), 0)
        except BlockingIOError:
            holder = os.pread(handle, 500, 0).decode(errors="replace")
            os.close(handle)
            return holder or "another process"
        except OSError as error:
            os.close(handle)
            raise StoreError(self._where, error.strerror or str(error)) from error
        self._handle = handle
        return None

    def check(self) -> None:
        """Nothing to do: nobody takes a lock away."""

    def release(self) -> None:
        """Let the lease go."""
        os.close(self._handle)


def myself() -> str:
    """How this process is called towards those who wait for it."""
    return f"process {os.getpid()} on {socket.gethostname()}"

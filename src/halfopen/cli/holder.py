"""Who runs `halfopen up` on a data directory: one at a time, by a lock that the kernel lets go of with its process."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from halfopen.cli.beginning import apart
from halfopen.config import data_directory
from halfopen.errors import HalfopenError

FILE: Final = "up.lock"
"""Name of the file that is locked, in the data directory."""

_CAREFULLY: Final = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""Root looks into directories of others, too."""


@dataclass(frozen=True)
class Holder:
    """A process, and where it listens (HOST:PORT) once its server answers."""

    pid: int
    api: str = ""
    connectors: str = ""
    visitors: str = ""

    def __str__(self) -> str:
        return f"process {self.pid}, {f'at http://{self.api}/' if self.api else 'which is starting'}"


class Hold:
    """The lock, for as long as this process lives."""

    def __init__(self, data: Path, prepare: Callable[[], None]) -> None:
        """Make the data directory and lock it, in a process that was `prepare`d; raises as `must_be_free`."""
        ours, theirs = socket.socketpair()
        with ours, theirs:
            apart(prepare, _lock, data, theirs)
            _, (self._file,), _, _ = socket.recv_fds(ours, 1, 1)
        self.tell(Holder(os.getpid()))

    def tell(self, holder: Holder) -> None:
        """Let others read this of it."""
        told = json.dumps(asdict(holder)).encode()
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, told, 0)


def holder(data: Path) -> Holder | None:
    """Whoever has a data directory; None where nobody does."""
    try:
        file = os.open(data / FILE, os.O_RDONLY | _CAREFULLY)
    except FileNotFoundError:
        return None
    try:
        if _locked(file, fcntl.LOCK_SH):
            return None
        return Holder(**json.loads(os.pread(file, 4096, 0)))
    except (ValueError, TypeError):
        return None  # it begins just now
    finally:
        os.close(file)


def must_be_free(data: Path) -> None:
    """HalfopenError where a data directory has its `up`."""
    if other := holder(data):
        raise _had(data, str(other))


def _lock(data: Path, to: socket.socket) -> None:
    file = os.open(data_directory(data) / FILE, os.O_RDWR | os.O_CREAT | _CAREFULLY, 0o600)
    if not _locked(file, fcntl.LOCK_EX):
        raise _had(data, "it begins or ends just now")
    socket.send_fds(to, [b"1"], [file])


def _had(data: Path, by: str) -> HalfopenError:
    return HalfopenError(f"{data} has a `halfopen up` already ({by}): end that first, or take another --data")


def _locked(file: int, how: int) -> bool:
    try:
        fcntl.flock(file, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

"""Linux network namespaces without names: they vanish with the process that made them.

A socket belongs to the namespace in which it was opened, wherever it is used later; so a thread
enters one only to open its sockets or to run a command (`setns(2)`).
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

CLONE_NEWNET: Final = 0x40000000
OWN: Final = "/proc/thread-self/ns/net"

_LIBC = ctypes.CDLL(None, use_errno=True)


class MissingError(Exception):
    """Something the test bed needs is not there; the message says what, in words."""


class Namespace:
    """One network namespace, held open by a file descriptor."""

    def __init__(self) -> None:
        made: list[int | OSError] = []

        def make() -> None:
            if _LIBC.unshare(CLONE_NEWNET):
                made.append(OSError(ctypes.get_errno(), "unshare"))
            else:
                made.append(os.open(OWN, os.O_RDONLY))

        thread = threading.Thread(target=make)
        thread.start()
        thread.join()
        if isinstance(made[0], OSError):
            raise MissingError(
                "the test bed makes network namespaces: run it as root, or under "
                f"`unshare --map-root-user --net` ({os.strerror(made[0].errno or 0)})"
            )
        self.fd = made[0]

    def close(self) -> None:
        """Let go of it; it vanishes with its last socket."""
        os.close(self.fd)

    @property
    def path(self) -> str:
        """A path by which `ip` finds this namespace."""
        return f"/proc/{os.getpid()}/fd/{self.fd}"

    @contextmanager
    def entered(self) -> Iterator[None]:
        """This thread inside the namespace."""
        home = os.open(OWN, os.O_RDONLY)
        _enter(self.fd)
        try:
            yield
        finally:
            _enter(home)
            os.close(home)

    def run(self, *commands: str) -> None:
        """Run commands inside, one after the other; the first that fails raises `MissingError`."""
        with self.entered():
            for command in commands:
                words = command.split()
                try:
                    done = subprocess.run(words, capture_output=True, text=True, check=False)
                except FileNotFoundError as error:
                    raise MissingError(f"the test bed needs the command `{words[0]}`") from error
                if done.returncode:
                    raise MissingError(f"`{command}` failed: {done.stderr.strip()}")

    def tune(self, **settings: int) -> None:
        """Set kernel parameters inside (sysctl(8)), ``/`` between their parts written as ``__``."""
        with self.entered():
            for name, value in settings.items():
                path = Path("/proc/sys/net", *name.split("__"))
                try:
                    path.write_text(str(value))
                except OSError as error:
                    raise MissingError(f"the test bed cannot set {path} ({error.strerror})") from error

    def feed_nft(self, rules: str) -> None:
        """Load a text of nftables rules inside."""
        with self.entered():
            try:
                done = subprocess.run(
                    ["nft", "-f", "-"], input=rules, capture_output=True, text=True, check=False
                )
            except FileNotFoundError as error:
                raise MissingError("the test bed needs the command `nft` (nftables)") from error
        if done.returncode:
            raise MissingError(f"nft refused the rules: {done.stderr.strip()}")


def _enter(fd: int) -> None:
    if _LIBC.setns(fd, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")

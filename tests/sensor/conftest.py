"""`halfopen serve` that is killed and comes back at the same address, and a spool that delivers to it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from halfopen.accounts import Accounts
from halfopen.sensor.remote import Remote
from halfopen.store.query import Filters
from halfopen.store.store import Store
from tests.api.conftest import wait_for


class Machine:
    """A server on a free port, over a data directory with tokens of web-1 and web-2 in files."""

    def __init__(self, data: Path) -> None:
        self.data = data
        data.mkdir(mode=0o700)
        with closing(Accounts.open(data)) as accounts:
            for name in ("web-1", "web-2"):
                self.tell(name, accounts.create_token(["sensor:write"], sensor=name)[0])
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def token(self, name: str = "web-1") -> Path:
        return self.data / f"{name}.token"

    def tell(self, name: str, token: str) -> None:
        self.token(name).touch(0o600)
        self.token(name).write_text(f"{token}\n")

    def remote(self, name: str = "web-1") -> Remote:
        return Remote(self.url, self.token(name), "web-1")

    def start(self) -> None:
        log = self.data / "log"
        with log.open("ab") as stream:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "halfopen", "serve", "--data", str(self.data), "--port", str(self.port)],
                env=os.environ, stdout=stream, stderr=stream,
            )  # fmt: skip
        wait_for(self.url, self.process, log)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def lose(self) -> None:
        shutil.rmtree(self.data / "store")

    def numbers(self) -> list[int]:
        """Which connections are in its dataset."""
        return numbers_in(self.data / "store")


def numbers_in(store: Path) -> list[int]:
    with closing(Store(store)) as opened:
        rows = opened.dataset.connections(Filters(), 0, 2**33, 1 << 20)
        return sorted(rows["duplicates"].to_pylist())


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    made = Machine(tmp_path / "data")
    try:
        yield made
    finally:
        made.kill()


def until(what: Callable[[], bool], seconds: float = 20) -> None:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it does not come to pass"
        time.sleep(0.02)

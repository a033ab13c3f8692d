"""The whole server on loopback, with connections in its store."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from halfopen.accounts import Accounts
from halfopen.config import accounts_url
from halfopen.store.committer import Batch
from halfopen.store.store import Store
from tests.api.conftest import wait_for
from tests.house.project import ROOT
from tests.store.rows import row, table

DAY = 86400
COMMITS = 10
"""As many small files of today, beside one with a row too old to be kept."""


@dataclass(frozen=True)
class Served:
    """A server that runs: where, on which store, and with which token."""

    url: str
    store: Path
    log: Path
    token: str
    process: subprocess.Popen[bytes]

    def get(self, path: str) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.token}"}
        return httpx.get(f"{self.url}{path}", headers=headers, timeout=20)

    def metrics(self) -> dict[str, float]:
        """Values by name and labels, as they stand on the page."""
        lines = httpx.get(f"{self.url}/metrics", timeout=20).text.splitlines()
        pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        return {name: float(value) for name, value in pairs}


def fill(store: Store) -> None:
    now = int(time.time())
    committer = store.committer()
    for number in range(1, COMMITS + 1):
        committer.commit([Batch("lyon", "one", number, now, table([row(now - now % DAY + number)]))])
    old = table([row(now - 40 * DAY)])
    committer.commit([Batch("lyon", "one", COMMITS + 1, now, old)])
    committer.follow()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "store", create=True, threads=1)
    fill(opened)
    yield opened
    opened.close()


@contextmanager
def serving(data: Path, *command: str) -> Iterator[Served]:
    """Run a server over the store in `data`; ``PORT`` in its command stands for the port."""
    with closing(Store(data / "store", create=True, threads=1)) as store:
        fill(store)
    with closing(Accounts.open(data, accounts_url())) as accounts:
        token, _ = accounts.create_token(["radar:read"])
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    env = os.environ | {
        "HALFOPEN_SERVER_DATA": str(data), "HALFOPEN_SERVER_STORE": str(data / "store"),
        "HALFOPEN_SERVER_GRACE": "180", "HALFOPEN_SERVER_KEEP_CONNECTIONS": str(30 * DAY), "HALFOPEN_SERVER_KEEP_ROLLUPS": str(400 * DAY),
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")]),
    }  # fmt: skip
    log = data / "log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, *(port if word == "PORT" else word for word in command)],
            env=env, stdout=stream, stderr=stream,
        )  # fmt: skip
    try:
        url = f"http://127.0.0.1:{port}"
        wait_for(url, process, log)
        yield Served(url, data / "store", log, token, process)
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(20)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """`halfopen serve` itself."""
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    with serving(data, "-m", "halfopen", "serve", "--data", str(data), "--port", "PORT") as found:
        yield found


@pytest.fixture
def busy(tmp_path: Path) -> Iterator[Served]:
    """A server with upkeep several times a second."""
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    words = (
        "-m",
        "granian",
        "--interface",
        "asgi",
        "--factory",
        "--host",
        "127.0.0.1",
        "--port",
        "PORT",
        "--no-ws",
    )
    with serving(data, *words, "tests.server.served:app") as found:
        yield found

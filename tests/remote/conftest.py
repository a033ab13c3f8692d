"""`halfopen serve` on loopback, over a data directory with tokens."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from halfopen.accounts import Accounts
from tests.api.conftest import wait_for
from tests.house.project import ROOT
from tests.store.conftest import s3, where

__all__ = ["s3", "where"]


@dataclass(frozen=True)
class Serving:
    """Where it listens, its data directory, and tokens by name."""

    url: str
    data: Path
    log: Path
    tokens: dict[str, str]

    def ask(self, method: str, path: str, token: str, **more: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.tokens[token]}"}
        return httpx.request(method, f"{self.url}/client/v4{path}", headers=headers, timeout=60, **more)


@contextmanager
def serving(data: Path, *options: str, command: Sequence[str] = ("halfopen", "serve")) -> Iterator[Serving]:
    """Run the command, or one in its place, on a data directory; it is ended afterwards."""
    data.mkdir(mode=0o700, exist_ok=True)
    accounts = Accounts.open(data)
    tokens = {
        name: accounts.create_token(permissions, sensor=sensor)[0]
        for name, permissions, sensor in (
            ("radar", ["radar:read"], None),
            ("connections", ["connections:read"], None),
            ("admin", ["admin"], None),
            ("web-1", ["sensor:write"], "web-1"),
            ("web-2", ["sensor:write"], "web-2"),
        )
    }
    accounts.close()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = data / "log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", *command, "--data", str(data), "--port", str(port), *options],
            cwd=ROOT, env=os.environ, stdout=stream, stderr=stream,
        )  # fmt: skip
    try:
        url = f"http://127.0.0.1:{port}"
        wait_for(url, process, log)
        yield Serving(url, data, log, tokens)
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A server over an empty dataset."""
    with serving(tmp_path_factory.mktemp("served") / "data") as found:
        yield found

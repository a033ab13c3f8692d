"""A server on loopback, with tokens for it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from halfopen.accounts import Account, Accounts, Principal
from tests.databases.database import KINDS, Database
from tests.house.project import ROOT


@dataclass(frozen=True)
class Server:
    """Where a server listens, what its log is, and the accounts it serves."""

    url: str
    data: Path
    log: Path
    accounts: Accounts
    tokens: dict[str, str]
    foreign: Account
    email: str
    key: str

    @property
    def api(self) -> str:
        return f"{self.url}/client/v4"

    def get(self, path: str, token: str = "radar", **more: object) -> httpx.Response:
        return self.ask("GET", path, token, **more)

    def ask(self, method: str, path: str, token: str = "radar", **more: object) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.tokens[token]}"}
        return httpx.request(method, f"{self.api}{path}", headers=headers, timeout=10, **more)  # type: ignore[arg-type]

    def logged(self, answer: httpx.Response) -> dict[str, Any]:
        """The line of the log about an answer, which is written after it was sent."""
        identifier, end = answer.headers["x-request-id"], time.monotonic() + 20
        while time.monotonic() < end:
            for line in self.log.read_text().splitlines(keepends=True):
                if f'"{identifier}"' in line and line.endswith("\n"):
                    found: dict[str, Any] = json.loads(line)
                    return found
        pytest.fail(f"no line about {identifier}")


@contextmanager
def running(database: Database, rate: str = "100000/10") -> Iterator[Server]:
    """Run granian on an empty database; it is ended afterwards. By default it grants more than tests ask."""
    data, accounts = database.data, database.open()
    user, key = accounts.create_key("user@example.com")
    foreign = accounts.create_account("Another")
    (own, *_) = accounts.accounts(principal_of(accounts))
    tokens = {
        name: accounts.create_token(permissions, **more)[0]  # type: ignore[arg-type]
        for name, permissions, more in (
            ("radar", ["radar:read"], {}),
            ("user", ["User Details Read"], {}),
            ("admin", ["admin"], {}),
            ("sensor", ["sensor:write"], {"sensor": "web-1"}),
            ("edge", ["edge:report"], {"edge": "lhr-1"}),
            ("scoped", ["admin"], {"account": own.id}),
        )
    }
    tokens["expired"], _ = accounts.create_token(["admin"], expires=timedelta(microseconds=50_000))
    tokens["revoked"], revoked = accounts.create_token(["admin"])
    accounts.revoke_token(revoked.id)
    tokens["unknown"] = "x" * 40
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = os.environ | database.environment | {
        "HALFOPEN_TEST_DATA": str(data), "HALFOPEN_TEST_RATE": rate,
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")]),
    }  # fmt: skip
    log = data / "log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [
                sys.executable, "-m", "granian", "--interface", "asgi", "--factory", "--host", "127.0.0.1",
                "--port", str(port), "--no-ws", "tests.api.served:app",
            ],
            env=env, stdout=stream, stderr=stream,
        )  # fmt: skip
    try:
        url = f"http://127.0.0.1:{port}"
        wait_for(url, process, log)
        yield Server(url, data, log, accounts, tokens, foreign, user.email, key)
    finally:
        process.terminate()
        process.wait(10)
        accounts.close()


def principal_of(accounts: Accounts) -> Principal:
    token, record = accounts.create_token(["admin"], name="set-up")
    principal = accounts.verify(token)
    accounts.revoke_token(record.id)
    assert isinstance(principal, Principal)
    return principal


def wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        assert process.poll() is None, log.read_text()
        try:
            if httpx.get(f"{url}/healthz").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    pytest.fail(log.read_text())


@pytest.fixture(scope="package", params=KINDS)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server on a database of each kind."""
    data = tmp_path_factory.mktemp("api")
    with ExitStack() as stack:
        url = None
        if request.param == "postgresql":
            url = stack.enter_context(request.getfixturevalue("postgresql").database())
        yield stack.enter_context(running(Database(data, url)))


@pytest.fixture(scope="package")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that grants each principal three requests, and one more each second."""
    with running(Database(tmp_path_factory.mktemp("busy")), "3/3") as found:
        yield found

"""Tokens from the command line, on a server that runs, with a database of either kind."""

from __future__ import annotations

import httpx
import pytest

from halfopen.cli.main import main
from tests.databases.database import Database
from tests.server.conftest import Served, serving

SUMMARY = "/client/v4/radar/tcp_resets_timeouts/summary"


def status(server: Served, **headers: str) -> int:
    return httpx.get(server.url + SUMMARY, headers=headers, timeout=20).status_code


def test_a_token_is_good_from_its_making_to_its_revocation(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ("--data", str(database.data))

    def token(*words: str) -> str:
        capsys.readouterr()
        assert main(["token", *words, *data]) == 0
        return capsys.readouterr().out

    with serving(database.data, "-m", "halfopen", "serve", *data, "--port", "PORT") as server:
        made = token("create", "--permission", "radar:read", "--name", "mine").strip()
        bearer = {"Authorization": f"Bearer {made}"}
        assert status(server, **bearer) == 200
        (line,) = [each for each in token("list").splitlines() if "mine" in each]
        token("revoke", line.split()[0])
        assert status(server, **bearer) == 403
        key = token("key", "user@example.com").strip()
        pair = {"X-Auth-Email": "user@example.com", "X-Auth-Key": key}
        assert status(server, **pair) == 200
        token("key", "user@example.com")
        assert status(server, **pair) == 400
    assert (database.data / "accounts.sqlite").exists() == (database.url is None)

"""``halfopen serve`` before it serves."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Ran, spawned


def test_a_port_that_is_taken_is_named(halfopen: Callable[..., Ran], tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ran = halfopen("serve", "--data", tmp_path / "data", "--port", taken.getsockname()[1])
    assert ran.code == 2
    assert ran.err.startswith("halfopen: --host and --port: 127.0.0.1 port ")
    assert "Address already in use" in ran.err


def test_an_address_that_is_none_of_ours_is_named(halfopen: Callable[..., Ran], tmp_path: Path) -> None:
    ran = halfopen("serve", "--data", tmp_path / "data", "--host", "192.0.2.1")
    assert ran.code == 2
    assert "192.0.2.1 port 8787" in ran.err


def test_a_database_of_accounts_that_cannot_be_used_is_told_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HALFOPEN_ACCOUNTS_URL", "postgresql://me:secret@127.0.0.1:1/x")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    ran = spawned("serve", "--data", tmp_path / "data", "--port", port)
    assert ran.code == 1
    assert "halfopen: postgresql://me:***@127.0.0.1:1/x: connection failed" in ran.err
    assert "Traceback" not in ran.err
    assert "secret" not in ran.err

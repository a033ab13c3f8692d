"""``halfopen serve`` before it serves."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

from tests.cli.conftest import Ran


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

"""``halfopen serve`` before it serves."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Ran, spawned
from tests.server.test_upkeep import until
from tests.serving import running

PLACES = Path(__file__).parents[2] / "captures" / "places"


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


def test_times_to_keep_are_told_as_they_were_given(halfopen: Callable[..., Ran], tmp_path: Path) -> None:
    ran = halfopen("serve", "--data", tmp_path, "--keep-connections", "30h", "--keep-rollups", "1d")
    assert ran.code == 2
    assert "--keep-rollups: 1d cannot be used" in ran.err
    assert "--keep-connections (30h)" in ran.err


@pytest.mark.parametrize("given", ["0s", "3", "1d", "-1m", "12345s"])
def test_a_grace_that_is_none_is_told(halfopen: Callable[..., Ran], tmp_path: Path, given: str) -> None:
    ran = halfopen("serve", "--data", tmp_path, f"--grace={given}")
    assert (ran.code, ran.out) == (2, "")
    assert f"--grace: {given} cannot be used; accepted: a time such as 30s, 3m or 1h" in ran.err


@pytest.mark.parametrize("host", ["nonsense..x", "no-such-host.invalid", "x" * 70, ""])
def test_a_name_that_is_no_hosts_is_refused_in_a_line(
    halfopen: Callable[..., Ran], tmp_path: Path, host: str
) -> None:
    ran = halfopen("serve", "--data", tmp_path / "data", "--host", host)
    assert (ran.code, len(ran.err.splitlines())) == (2, 1)
    assert f"{host} port 8787 cannot be used" in ran.err


def test_a_name_is_served_at_its_address_which_is_told_once_it_listens(tmp_path: Path) -> None:
    with running(tmp_path, host="localhost") as url:
        port = url.rpartition(":")[2]
        line = re.compile(rf"halfopen: serving http://(127\.0\.0\.1|\[::1\]):{port}/client/v4\n")
        assert until(lambda: line.search((tmp_path / "log").read_text()) is not None)


def test_nothing_is_served_where_the_start_fails(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "files.parquet").write_bytes(b"no Parquet")
    ran = spawned("serve", "--data", tmp_path)
    assert ran.code == 1
    assert "files.parquet" in ran.err
    assert "serving" not in ran.err


@pytest.mark.parametrize(
    ("content", "words"), [(b"no places", "own.mmdb: not an MMDB file"), (None, "No such file")]
)
def test_places_files_that_cannot_be_read_are_named(
    halfopen: Callable[..., Ran], tmp_path: Path, content: bytes | None, words: str
) -> None:
    path = tmp_path / "own.mmdb"
    if content:
        path.write_bytes(content)
    ran = halfopen("serve", "--data", tmp_path / "data", "--places", path)
    assert (ran.code, len(ran.err.splitlines())) == (1, 1)
    assert words in ran.err


def test_the_data_directory_may_hold_places(halfopen: Callable[..., Ran], tmp_path: Path) -> None:
    (tmp_path / "places").mkdir()
    (tmp_path / "places" / "bad.mmdb").write_bytes(b"no places")
    ran = halfopen("serve", "--data", tmp_path)
    assert (ran.code, "bad.mmdb" in ran.err) == (1, True)
    ran = halfopen("serve", "--data", tmp_path, "--places", PLACES, "--host", "192.0.2.1")
    assert (ran.code, "192.0.2.1 port 8787" in ran.err) == (2, True)


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

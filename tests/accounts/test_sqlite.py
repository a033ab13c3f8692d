"""SQLite in the data directory: its files are nobody else's, and what is no database is said."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from halfopen.accounts import Accounts
from halfopen.config import data_directory, default_data
from halfopen.errors import DatabaseError, UsageError


def test_what_is_no_database_is_said(tmp_path: Path) -> None:
    (tmp_path / "accounts.sqlite").write_bytes(b"no database at all" * 100)
    with pytest.raises(DatabaseError, match="not a database"):
        Accounts.open(tmp_path)
    with pytest.raises(DatabaseError, match="No such file or directory"):
        Accounts.open(tmp_path / "nowhere")


def test_nobody_else_can_read_the_files(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        data = data_directory(tmp_path / "made" / "data")
        accounts = Accounts.open(data)
        accounts.create_token(["admin"])
    finally:
        os.umask(before)
    assert stat.S_IMODE(data.stat().st_mode) == 0o700
    files = list(data.iterdir())
    assert {each.name for each in files} >= {"accounts.sqlite", "accounts.sqlite-wal"}
    assert {stat.S_IMODE(each.stat().st_mode) for each in files} == {0o600}
    accounts.close()


def test_the_data_directory_of_a_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert data_directory() == default_data() == tmp_path / "halfopen"
    monkeypatch.setenv("XDG_DATA_HOME", "relative")
    monkeypatch.setenv("HOME", "/home/somebody")
    assert default_data() == Path("/home/somebody/.local/share/halfopen")
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="--data"):
        data_directory(tmp_path / "file")
    with pytest.raises(UsageError, match="--data"):
        data_directory(tmp_path / "file" / "below")

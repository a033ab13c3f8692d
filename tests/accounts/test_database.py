"""The database: made, migrated and opened by several at once; its files are nobody else's."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateTable

from halfopen.accounts import Accounts, Principal
from halfopen.accounts.schema import METADATA, REVISION
from halfopen.config import accounts_url, data_directory, default_data
from halfopen.errors import AccountsError, UsageError


def scripts() -> Config:
    config = Config()
    config.set_main_option("script_location", "halfopen.accounts:migrations")
    return config


def test_the_migrations_make_the_tables_of_the_schema(tmp_path: Path) -> None:
    Accounts.open(tmp_path).close()
    engine = create_engine(f"sqlite:///{tmp_path / 'accounts.sqlite'}")
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []
    engine.dispose()
    assert ScriptDirectory.from_config(scripts()).get_heads() == [REVISION]


def test_a_database_without_tables_and_one_with_them(tmp_path: Path) -> None:
    sqlite3.connect(tmp_path / "accounts.sqlite").close()
    first = Accounts.open(tmp_path)
    token, _ = first.create_token(["admin"])
    first.close()
    again = Accounts.open(tmp_path)
    assert isinstance(again.verify(token), Principal)
    again.close()


def test_opening_an_up_to_date_one_needs_no_alembic(tmp_path: Path) -> None:
    Accounts.open(tmp_path).close()
    program = (
        "import sys; from pathlib import Path; from halfopen.accounts import Accounts; "
        "Accounts.open(Path(sys.argv[1])); print('alembic' in sys.modules)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program, tmp_path], capture_output=True, text=True, check=True
    )
    assert ran.stdout == "False\n"


def test_a_database_of_a_later_version_is_left_alone(tmp_path: Path) -> None:
    Accounts.open(tmp_path).close()
    database = sqlite3.connect(tmp_path / "accounts.sqlite")
    database.execute("UPDATE alembic_version SET version_num = '9999'")
    database.commit()
    database.close()
    with pytest.raises(AccountsError, match="written by another version of Halfopen"):
        Accounts.open(tmp_path)


def test_a_migration_that_fails_leaves_nothing(tmp_path: Path) -> None:
    database = sqlite3.connect(tmp_path / "accounts.sqlite")
    database.execute("CREATE TABLE tokens (id TEXT)")  # in the way of the last table of the migration
    database.commit()
    with pytest.raises(AccountsError, match="tokens already exists"):
        Accounts.open(tmp_path)
    assert database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall() == [("tokens",)]
    database.close()


def test_what_is_no_database_is_said(tmp_path: Path) -> None:
    (tmp_path / "accounts.sqlite").write_bytes(b"no database at all" * 100)
    with pytest.raises(AccountsError, match="not a database"):
        Accounts.open(tmp_path)
    with pytest.raises(AccountsError, match="No such file or directory"):
        Accounts.open(tmp_path / "nowhere")


def test_processes_that_open_at_once_agree(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from halfopen.accounts import Accounts\n"
        "sys.stdin.read(1)\n"
        "a = Accounts.open(Path(sys.argv[1])); print(a.create_token(['admin'])[0])"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, tmp_path],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for _ in range(4)
    ]  # fmt: skip
    tokens = []
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("x")
        process.stdin.flush()
    for process in processes:
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        tokens.append(out.strip())
    accounts = Accounts.open(tmp_path)
    found = [accounts.verify(token) for token in tokens]
    users = {each.user.id for each in found if isinstance(each, Principal)}
    assert len(found) == 4
    assert len(users) == 1
    accounts.close()


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


def test_another_database_is_named_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HALFOPEN_ACCOUNTS_URL", raising=False)
    assert accounts_url() is None
    monkeypatch.setenv("HALFOPEN_ACCOUNTS_URL", "postgresql://host/name")
    assert accounts_url() == "postgresql://host/name"


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("postgresql://me:secret@127.0.0.1:1/x", "."),
        ("mysql://me:secret@127.0.0.1/x", "not a URL of PostgreSQL"),
        ("secret", "not a URL of a database"),
        ("postgresql+nothing://me:secret@127.0.0.1/x", "driver is not installed"),
    ],
)
def test_a_database_that_cannot_be_reached_is_said_without_its_password(
    tmp_path: Path, url: str, why: str
) -> None:
    with pytest.raises(AccountsError, match=why) as failed:
        Accounts.open(tmp_path, url)
    assert "secret" not in str(failed.value)


def test_the_tables_can_be_made_in_postgresql() -> None:
    made = StringIO()
    for table in METADATA.sorted_tables:
        made.write(str(CreateTable(table).compile(dialect=postgresql.dialect())))  # type: ignore[no-untyped-call]
    assert "BYTEA" in made.getvalue()
    assert "SERIAL" not in made.getvalue()

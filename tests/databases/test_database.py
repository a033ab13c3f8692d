"""The database of either kind: made, migrated, and left alone where it is somebody else's."""

from __future__ import annotations

import subprocess
import sys

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

from halfopen.accounts import Principal
from halfopen.config import accounts_url
from halfopen.database.metadata import REVISION
from halfopen.errors import DatabaseError
from halfopen.tunnels.schema import TUNNELS
from tests.databases.database import Database


def test_the_migrations_make_the_tables_of_the_schema(database: Database) -> None:
    database.open().close()
    all_tables = TUNNELS.metadata  # a schema is known where it was imported
    with database.connection() as connection:
        assert compare_metadata(MigrationContext.configure(connection), all_tables) == []


def test_the_last_migration_is_that_of_the_schema() -> None:
    config = Config()
    config.set_main_option("script_location", "halfopen.database:migrations")
    assert ScriptDirectory.from_config(config).get_heads() == [REVISION]


def test_what_was_kept_is_there_when_it_is_opened_again(database: Database) -> None:
    with database.accounts() as first:
        token, _ = first.create_token(["admin"])
    with database.accounts() as again:
        assert isinstance(again.verify(token), Principal)


def test_opening_an_up_to_date_one_needs_no_alembic(database: Database) -> None:
    database.open().close()
    program = (
        "import sys; from pathlib import Path; from halfopen.accounts import Accounts; "
        "Accounts.open(Path(sys.argv[1]), sys.argv[2] or None); print('alembic' in sys.modules)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program, database.data, database.url or ""],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert ran.stdout == "False\n"


def test_a_database_of_a_later_version_is_left_alone(database: Database) -> None:
    database.open().close()
    with database.connection() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(DatabaseError, match="written by another version of Halfopen"):
        database.open()


def test_a_migration_that_fails_leaves_nothing(database: Database) -> None:
    with database.connection() as connection:
        # In the way of the last table of the migration.
        connection.execute(text("CREATE TABLE tokens (id TEXT)"))
    with pytest.raises(DatabaseError, match=r'"?tokens"? already exists'):
        database.open()
    with database.connection() as connection:
        assert inspect(connection).get_table_names() == ["tokens"]


def test_another_database_is_named_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert accounts_url() is None
    monkeypatch.setenv("HALFOPEN_ACCOUNTS_URL", "postgresql://host/name")
    assert accounts_url() == "postgresql://host/name"

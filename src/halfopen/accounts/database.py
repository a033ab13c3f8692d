"""The database behind the accounts: SQLite in the data directory, or PostgreSQL by URL; brought up to date."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from halfopen.accounts.schema import REVISION
from halfopen.errors import AccountsError

FILE: Final = "accounts.sqlite"
"""Name of the SQLite file in a data directory."""

_WAIT: Final = 10.0  # seconds to wait for another process that writes
_SETTING_UP: Final = 0x68616C66  # number of the lock that PostgreSQL holds while one process sets up
_WRITES: Final = "halfopen_writes"
_CHANNEL: Final = "halfopen"
_LOOK: Final = 0.02  # seconds between two looks whether SQLite has changed
_LISTEN: Final = 1.0  # seconds for which PostgreSQL is listened to at a time


class Database:
    """An open database, with its tables up to date. Safe to share between threads."""

    def __init__(self, engine: Engine, name: str) -> None:
        self._engine = engine
        self.name = name

    @classmethod
    def in_directory(cls, directory: Path) -> Database:
        """The SQLite file of a data directory, made with mode 0600 where it does not exist."""
        path = directory / FILE
        try:
            # SQLite gives its journals the mode of the database.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        except OSError as error:
            raise AccountsError(str(path), error.strerror or str(error)) from None
        database = cls(_sqlite(path), str(path))
        with _alone(directory):
            database._bring_up_to_date()
        return database

    @classmethod
    def at(cls, url: str) -> Database:
        """A PostgreSQL database, by a URL such as ``postgresql://user:password@host/name``."""
        try:
            parsed = make_url(url)
            name = parsed.render_as_string(hide_password=True)
            if parsed.get_backend_name() != "postgresql":
                raise AccountsError(name, "not a URL of PostgreSQL")
            engine = create_engine(parsed, pool_pre_ping=True)
        except (NoSuchModuleError, ModuleNotFoundError) as error:
            raise AccountsError(name, f"its driver is not installed ({error})") from None
        except ArgumentError:
            raise AccountsError("the URL of the accounts", "not a URL of a database") from None
        database = cls(engine, name)
        database._bring_up_to_date()
        return database

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that only reads."""
        with self._told(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that may write, and on SQLite waits for its turn at its begin."""
        engine = self._engine.execution_options(**{_WRITES: True})
        with self._told(), engine.begin() as connection:
            yield connection

    def tell(self, connection: Connection) -> None:
        """Within `writing`: tell those who watch, in every process, once it is committed."""
        if connection.dialect.name == "postgresql":  # SQLite shows by itself
            connection.execute(text(f"NOTIFY {_CHANNEL}"))

    @contextmanager
    def watching(self) -> Iterator[Callable[[], bool]]:
        """Whether anything has changed since it was asked last; each question takes a while, at most a second."""
        with self._told():
            connection = self._engine.raw_connection()
            driver = connection.driver_connection
            connection.detach()  # never to be anybody's else again: it listens
            try:
                watch = _listening if self._engine.dialect.name == "postgresql" else _looking
                yield watch(driver)
            except self._engine.dialect.loaded_dbapi.Error as error:
                raise AccountsError(self.name, str(error)) from error
            finally:
                connection.close()

    def now(self, connection: Connection) -> int:
        """The time (microseconds since 1970, UTC) by the one clock that all processes of this database share."""
        if connection.dialect.name == "postgresql":
            moment = text("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint")
            return int(connection.execute(moment).scalar_one())
        return time.time_ns() // 1000

    def wait_for_others(self, connection: Connection) -> None:
        """Within `writing`: be the only process that sets something up. On SQLite, whoever writes is alone."""
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _SETTING_UP})

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            reason = str(getattr(error, "orig", None) or error).splitlines()[0]
            raise AccountsError(self.name, reason) from error

    def _bring_up_to_date(self) -> None:
        with self.reading() as connection:
            if _revision(connection) == REVISION:
                return  # the common case, without importing Alembic
        with self.writing() as connection:
            self.wait_for_others(connection)
            self._migrate(connection)

    def _migrate(self, connection: Connection) -> None:
        from alembic import command
        from alembic.config import Config
        from alembic.util import CommandError

        config = Config()
        config.set_main_option("script_location", "halfopen.accounts:migrations")
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise AccountsError(self.name, f"written by another version of Halfopen ({error})") from None


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return found


def _looking(connection: Any) -> Callable[[], bool]:
    """SQLite counts the commits of other connections."""

    def version() -> int:
        found: int = connection.execute("PRAGMA data_version").fetchone()[0]
        return found

    seen = version()

    def changed() -> bool:
        nonlocal seen
        time.sleep(_LOOK)
        before, seen = seen, version()
        return seen != before

    return changed


def _listening(connection: Any) -> Callable[[], bool]:
    connection.autocommit = True
    connection.execute(f"LISTEN {_CHANNEL}")
    return lambda: any(True for _ in connection.notifies(timeout=_LISTEN, stop_after=1))


def _sqlite(path: Path) -> Engine:
    engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": _WAIT})

    @event.listens_for(engine, "connect")
    def connected(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # transactions begin where we say so, tables' changes in them
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA journal_mode = WAL")

    @event.listens_for(engine, "begin")
    def begun(connection: Connection) -> None:
        writes = connection.get_execution_options().get(_WRITES)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Hold the lock of a directory: SQLite does not wait where two processes first switch to WAL at once."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)

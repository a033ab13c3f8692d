"""The database behind the accounts: SQLite in the data directory, or PostgreSQL by URL; brought up to date."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from pathlib import Path
from threading import Lock
from typing import Any, Final

from sqlalchemy import Connection, Engine, inspect, text
from sqlalchemy.exc import SQLAlchemyError

from halfopen.database.engines import CHANNEL, WRITES, listening, looking, postgresql, sqlite
from halfopen.database.metadata import REVISION
from halfopen.errors import DatabaseError

FILE: Final = "accounts.sqlite"
"""Name of the SQLite file in a data directory."""

_ALONE: Final = 0x68616C66  # number of the lock that PostgreSQL gives to one transaction at a time


class Database:
    """An open database, with its tables up to date. Safe to share between threads."""

    def __init__(self, engine: Engine, name: str) -> None:
        self._engine = engine
        self.name = name
        # Threads of one process take turns here: SQLite's own waiting is by chance, and holds a connection each.
        self._turn: AbstractContextManager[Any] = Lock() if engine.dialect.name == "sqlite" else nullcontext()

    @classmethod
    def open(cls, data: Path, url: str | None = None) -> Database:
        """That of a data directory, or the PostgreSQL database at `url`."""
        return cls.at(url) if url else cls.in_directory(data)

    @classmethod
    def revision(cls, data: Path, url: str | None = None) -> str | None:
        """The migration that the tables of `open` are the result of, as they are left; None where there are none yet."""
        path = data / FILE
        if not url and not path.exists():
            return None
        looked_at = cls(*postgresql(url)) if url else cls(sqlite(path), str(path))
        try:
            with looked_at.reading() as connection:
                return _revision(connection)
        finally:
            looked_at.close()

    @classmethod
    def in_directory(cls, directory: Path) -> Database:
        """The SQLite file of a data directory, made with mode 0600 where it does not exist."""
        path = directory / FILE
        try:
            # SQLite gives its journals the mode of the database.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        except OSError as error:
            raise DatabaseError(str(path), error.strerror or str(error)) from None
        database = cls(sqlite(path), str(path))
        with _alone(directory):
            database._bring_up_to_date()
        return database

    @classmethod
    def at(cls, url: str) -> Database:
        """A PostgreSQL database, by a URL such as ``postgresql://user:password@host/name``."""
        database = cls(*postgresql(url))
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
        engine = self._engine.execution_options(**{WRITES: True})
        with self._turn, self._told(), engine.begin() as connection:
            yield connection

    def tell(self, connection: Connection) -> None:
        """Within `writing`: tell those who watch, in every process, once it is committed."""
        if connection.dialect.name == "postgresql":  # SQLite shows by itself
            connection.execute(text(f"NOTIFY {CHANNEL}"))

    @contextmanager
    def watching(self) -> Iterator[Callable[[], bool]]:
        """Whether anything has changed since it was asked last; each question takes a while, at most a second."""
        with self._told():
            try:
                connection = self._engine.raw_connection()
                driver = connection.driver_connection
                connection.detach()  # never to be anybody's else again: it listens
                with closing(connection):
                    yield (listening if self._engine.dialect.name == "postgresql" else looking)(driver)
            except self._engine.dialect.loaded_dbapi.Error as error:
                raise DatabaseError(self.name, str(error)) from error

    def now(self, connection: Connection) -> int:
        """The time (microseconds since 1970, UTC) by the one clock that all processes of this database share."""
        if connection.dialect.name == "postgresql":
            moment = text("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint")
            return int(connection.execute(moment).scalar_one())
        return time.time_ns() // 1000

    @contextmanager
    def writing_alone(self) -> Iterator[Connection]:
        """`writing`, one at a time in all processes: what it reads stays so. On SQLite, every `writing` is."""
        with self.writing() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _ALONE})
            yield connection

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            reason = str(getattr(error, "orig", None) or error).splitlines()[0]
            raise DatabaseError(self.name, reason) from error

    def _bring_up_to_date(self) -> None:
        try:
            with self.reading() as connection:
                if _revision(connection) == REVISION:
                    return  # the common case, without importing Alembic
            with self.writing_alone() as connection:
                self._migrate(connection)
        except DatabaseError:
            self.close()
            raise

    def _migrate(self, connection: Connection) -> None:
        from alembic import command
        from alembic.config import Config
        from alembic.util import CommandError

        config = Config()
        config.set_main_option("script_location", "halfopen.database:migrations")
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise DatabaseError(self.name, f"written by another version of Halfopen ({error})") from None


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return found


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Hold the lock of a directory: SQLite does not wait where two processes first switch to WAL at once."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)

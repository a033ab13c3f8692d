"""How a database is opened: SQLite at a path, PostgreSQL at a URL."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from halfopen.config import ACCOUNTS_URL
from halfopen.errors import DatabaseError

WRITES: Final = "halfopen_writes"
"""Execution option of a transaction that may write."""

WAIT: Final = 10.0
"""Seconds to wait for others: on SQLite for one that writes, on PostgreSQL for a connection of this process."""

CHANNEL: Final = "halfopen"
"""What PostgreSQL's notifications are told on."""

_LOOK: Final = 0.02  # seconds between two looks
_LISTEN: Final = 1.0  # seconds for which PostgreSQL is listened to at a time
_SCHEMES: Final = ("postgresql", "postgres", "postgresql+psycopg")
_SHAPE: Final = "not a URL such as postgresql://user:password@host/database"
_CONNECTING: Final[dict[str, str | int]] = {
    "application_name": "halfopen",
    "connect_timeout": 5,  # s
    # A host that went away without a word is noticed: in silence after 60 s, with a question under way after 10.
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,  # ms
}


def sqlite(path: Path) -> Engine:
    """The engine of a SQLite file: transactions that write begin with their turn, readers are never in the way."""
    engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": WAIT}, hide_parameters=True)

    @event.listens_for(engine, "connect")
    def connected(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # transactions begin where we say so, tables' changes in them
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA journal_mode = WAL")

    @event.listens_for(engine, "begin")
    def begun(connection: Connection) -> None:
        writes = connection.get_execution_options().get(WRITES)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def postgresql(url: str) -> tuple[Engine, str]:
    """The engine of a PostgreSQL database, not connected yet, and its name without a password.

    What the query of the URL says to libpq (``?sslmode=verify-full``) goes before what we would say.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        parsed = None
    if parsed is None or "@" in (parsed.host or ""):  # not told: what was given may be nothing but a password
        raise DatabaseError(ACCOUNTS_URL, f"{_SHAPE} (other signs than letters and digits as %40)")
    name = _name(parsed)
    if parsed.drivername not in _SCHEMES:
        raise DatabaseError(name, _SHAPE)
    ours = {key: value for key, value in _CONNECTING.items() if key not in parsed.query}
    try:
        engine = create_engine(
            parsed.set(drivername="postgresql+psycopg"),
            connect_args=ours,
            hide_parameters=True,
            pool_pre_ping=True,
            pool_timeout=WAIT,
        )
    except ModuleNotFoundError:
        raise DatabaseError(
            name, "its driver is not installed (pip install 'halfopen[postgresql]')"
        ) from None
    return engine, name


def looking(connection: Any) -> Callable[[], bool]:
    """Whether SQLite, by a connection of its driver, counts commits of others since it was asked last."""

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


def listening(connection: Any) -> Callable[[], bool]:
    """Whether PostgreSQL, by a connection of its driver, has told of a change since it was asked last."""
    connection.autocommit = True
    connection.execute(f"LISTEN {CHANNEL}")

    def changed() -> bool:
        if not any(True for _ in connection.notifies(timeout=_LISTEN, stop_after=1)):
            return False
        time.sleep(_LOOK)  # they come in showers: one look for each
        for _ in connection.notifies(timeout=0):
            pass
        return True

    return changed


def _name(url: URL) -> str:
    # libpq takes a password from the query as well, so of the query only the host is told.
    shown = {key: value for key, value in url.query.items() if key == "host"}
    return url.set(query=shown).render_as_string(hide_password=True)

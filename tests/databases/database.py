"""One database of one test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import Connection

from halfopen.accounts import Accounts
from halfopen.config import ACCOUNTS_URL
from halfopen.database.database import FILE
from halfopen.database.engines import postgresql, sqlite

KINDS: Final = ("sqlite", "postgresql")


@dataclass(frozen=True)
class Database:
    """A database nobody else uses, empty at first: SQLite in `data`, or PostgreSQL at `url`."""

    data: Path
    url: str | None = None

    @property
    def environment(self) -> dict[str, str]:
        """What tells a process to use it, beside ``--data``."""
        return {ACCOUNTS_URL: self.url or ""}

    def open(self) -> Accounts:
        """The accounts in it, to be closed."""
        return Accounts.open(self.data, self.url)

    def accounts(self) -> AbstractContextManager[Accounts]:
        """The accounts in it, for a while."""
        return closing(self.open())

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """A transaction beside whatever Halfopen does in it; committed where nothing is raised."""
        engine = postgresql(self.url)[0] if self.url else sqlite(self.data / FILE)
        with engine.begin() as connection:
            yield connection
        engine.dispose()

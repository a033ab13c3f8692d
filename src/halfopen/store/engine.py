"""DuckDB in this process: queries over lists of Parquet files, and nothing that reaches out."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from queue import Empty, LifoQueue
from typing import Any, Final, NamedTuple

import duckdb

_AT_ONCE: Final = 2 + (os.cpu_count() or 1)
"""Questions answered at a time: each uses all cores, more of them take memory only."""

_METADATA: Final = 64 << 20
"""Bytes of what is known of files, those that are gone too: beyond them the database is opened anew."""

_LOOK: Final = 256
"""Questions between two looks at them."""

_STREAMED: Final = 1 << 16
"""Rows of one batch of a stream."""

_PAGE: Final = 100_000
"""Rows of a page, with those before it, up to which they are chosen by what orders them and then read."""

_INTERRUPTED: Final = "Query interrupted"
"""The whole message of the RuntimeError in which DuckDB tells of Ctrl-C."""


class Mixed(list[str]):
    """Local files of which some may be without columns that others have; each is looked at for that, which takes time."""


class _Cursor(NamedTuple):
    database: duckdb.DuckDBPyConnection
    connection: duckdb.DuckDBPyConnection

    def close(self) -> None:
        self.connection.close()


class Engine:
    """One in-memory database, asked by any number of threads and by `_AT_ONCE` of them at a time.

    It is opened at the first question: 20 MiB that an ingestion can use until then.
    """

    def __init__(self, threads: int | None = None) -> None:
        self._threads = threads
        self._opened: duckdb.DuckDBPyConnection | None = None
        self._opening = threading.Lock()
        self._asked = count(1)
        self._cursors: LifoQueue[_Cursor | None] = LifoQueue()  # None: still to be opened
        for _ in range(_AT_ONCE):
            self._cursors.put(None)

    def ask(self, query: str, sources: Mapping[str, Any], values: Sequence[object] = ()) -> Any:
        """The answer as a `pyarrow.Table`.

        `sources` are named in the query as ``{name}``: a list of local files, or anything that DuckDB reads
        (Arrow tables, Arrow datasets).
        """
        with self._cursor() as own, _named(own, sources) as (cursor, names):
            return cursor.sql(query.format(**names), params=list(values)).to_arrow_table()

    def columns(
        self, query: str, sources: Mapping[str, Any], values: Sequence[object] = ()
    ) -> Mapping[str, Any]:
        """The answer, as that of `ask`, in one NumPy array for each column; for small ones this is sooner."""
        with self._cursor() as own, _named(own, sources) as (cursor, names):
            return cursor.execute(query.format(**names), list(values)).fetchnumpy()

    def stream(self, query: str, sources: Mapping[str, Any], values: Sequence[object] = ()) -> Iterator[Any]:
        """The answer, as that of `ask`, in record batches of `_STREAMED` rows made while they are taken."""
        # A cursor of its own: who takes the rows may ask other things meanwhile, and take long.
        with self._database().cursor() as own, _named(own, sources) as (cursor, names):
            yield from cursor.sql(query.format(**names), params=list(values)).to_arrow_reader(_STREAMED)

    def close(self) -> None:
        """Let go of the memory; queries still running in other threads end first."""
        if self._opened is not None:
            for _ in range(_AT_ONCE):
                if (cursor := self._cursors.get()) is not None:
                    cursor.close()
            self._opened.close()

    def _database(self) -> duckdb.DuckDBPyConnection:
        with self._opening:
            if self._opened is None:
                config: dict[str, str | bool | int | float | list[str]] = {
                    # Else DuckDB would look for extensions on the network.
                    "autoinstall_known_extensions": "false",
                    "autoload_known_extensions": "false",
                    # Of a page only its own rows are read whole, not all that it was chosen from.
                    "late_materialization_max_rows": str(_PAGE),
                }
                if self._threads is not None:
                    config["threads"] = self._threads
                self._opened = duckdb.connect(":memory:", config=config)
                # Files never change under their names; global, or cursors would not have it.
                self._opened.execute("SET GLOBAL parquet_metadata_cache = true")
            return self._opened

    @contextmanager
    def _cursor(self) -> Iterator[duckdb.DuckDBPyConnection]:
        cursor = self._cursors.get()
        try:
            if cursor is not None and cursor.database is not self._opened:
                cursor = cursor.close()
            if cursor is None:
                database = self._database()
                cursor = _Cursor(database, database.cursor())
            yield cursor.connection
            if next(self._asked) % _LOOK == 0 and _metadata(cursor.connection) > _METADATA:
                self._renew(cursor.database)
        finally:
            self._cursors.put(cursor)

    def _renew(self, database: duckdb.DuckDBPyConnection) -> None:
        """Have the next question open another database; the memory of this one goes with its last cursor."""
        with self._opening:
            if self._opened is database:
                self._opened = None
        for _ in range(self._cursors.qsize()):  # those in use are looked at when they are taken again
            with suppress(Empty):
                if (idle := self._cursors.get_nowait()) is not None and idle.database is database:
                    idle = idle.close()
                self._cursors.put(idle)


@contextmanager
def _named(
    cursor: duckdb.DuckDBPyConnection, sources: Mapping[str, Any]
) -> Iterator[tuple[duckdb.DuckDBPyConnection, dict[str, str]]]:
    """The cursor, and how a query names the sources meanwhile."""
    names = {}
    for name, source in sources.items():
        if isinstance(source, list):
            files = ", ".join(_quoted(path) for path in source)
            mixed = isinstance(source, Mixed)
            names[name] = f"read_parquet([{files}], hive_partitioning = false, union_by_name = {mixed})"
        else:
            names[name] = f"source_{threading.get_ident()}_{name}"
            cursor.register(names[name], source)
    try:
        yield cursor, names
    except RuntimeError as error:
        if str(error) == _INTERRUPTED:
            raise KeyboardInterrupt from None
        raise
    finally:
        for name, source in sources.items():
            if not isinstance(source, list):
                cursor.unregister(names[name])


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _metadata(connection: duckdb.DuckDBPyConnection) -> int:
    query = "SELECT sum(memory_usage_bytes)::BIGINT FROM duckdb_memory() WHERE tag = 'OBJECT_CACHE'"
    (size,) = connection.execute(query).fetchall()[0]
    return int(size or 0)

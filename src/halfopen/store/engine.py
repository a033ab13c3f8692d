"""DuckDB in this process: queries over lists of Parquet files, and nothing that reaches out."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import duckdb

_STREAMED: Final = 1 << 16
"""Rows of one batch of a stream."""


class Engine:
    """One in-memory database; every thread asks through a cursor of its own.

    It is opened at the first question: 20 MiB that an ingestion can use until then.
    """

    def __init__(self, threads: int | None = None) -> None:
        self._threads = threads
        self._opened: duckdb.DuckDBPyConnection | None = None
        self._opening = threading.Lock()
        self._own = threading.local()

    def ask(self, query: str, sources: Mapping[str, Any], values: Sequence[object] = ()) -> Any:
        """The answer as a `pyarrow.Table`.

        `sources` are named in the query as ``{name}``: a list of local files, or anything that DuckDB reads
        (Arrow tables, Arrow datasets).
        """
        with _named(self._cursor(), sources) as (cursor, names):
            return cursor.sql(query.format(**names), params=list(values)).to_arrow_table()

    def columns(
        self, query: str, sources: Mapping[str, Any], values: Sequence[object] = ()
    ) -> Mapping[str, Any]:
        """The answer, as that of `ask`, in one NumPy array for each column; for small ones this is sooner."""
        with _named(self._cursor(), sources) as (cursor, names):
            return cursor.execute(query.format(**names), list(values)).fetchnumpy()

    def stream(self, query: str, sources: Mapping[str, Any], values: Sequence[object] = ()) -> Iterator[Any]:
        """The answer, as that of `ask`, in record batches of `_STREAMED` rows made while they are taken."""
        # A cursor of its own: the thread may ask other things meanwhile.
        with self._database().cursor() as own, _named(own, sources) as (cursor, names):
            yield from cursor.sql(query.format(**names), params=list(values)).to_arrow_reader(_STREAMED)

    def close(self) -> None:
        """Let go of the memory; queries still running in other threads end first."""
        if self._opened is not None:
            self._opened.close()

    def _database(self) -> duckdb.DuckDBPyConnection:
        with self._opening:
            if self._opened is None:
                # Else DuckDB would look for extensions on the network.
                config: dict[str, str | bool | int | float | list[str]] = {
                    "autoinstall_known_extensions": "false",
                    "autoload_known_extensions": "false",
                }
                if self._threads is not None:
                    config["threads"] = self._threads
                self._opened = duckdb.connect(":memory:", config=config)
                self._opened.execute(
                    "SET parquet_metadata_cache = true"
                )  # files never change under their names
            return self._opened

    def _cursor(self) -> duckdb.DuckDBPyConnection:
        if not hasattr(self._own, "cursor"):
            self._own.cursor = self._database().cursor()
        cursor: duckdb.DuckDBPyConnection = self._own.cursor
        return cursor


@contextmanager
def _named(
    cursor: duckdb.DuckDBPyConnection, sources: Mapping[str, Any]
) -> Iterator[tuple[duckdb.DuckDBPyConnection, dict[str, str]]]:
    """The cursor, and how a query names the sources meanwhile."""
    names = {}
    for name, source in sources.items():
        if isinstance(source, list):
            files = ", ".join(_quoted(path) for path in source)
            names[name] = f"read_parquet([{files}], hive_partitioning = false)"
        else:
            names[name] = f"source_{threading.get_ident()}_{name}"
            cursor.register(names[name], source)
    try:
        yield cursor, names
    finally:
        for name, source in sources.items():
            if not isinstance(source, list):
                cursor.unregister(names[name])


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"

"""The connection table as ndjson, CSV and Parquet, all written from one schema, by default `arrow.SCHEMA`.

A writer's `encode` runs in the thread of its capture, `write` and `close` in the main thread.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import IO, Any, Final, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from halfopen.arrow import SCHEMA
from halfopen.cli.text import printable
from halfopen.model import SECOND

ROW_GROUP: Final = 1 << 16
"""Rows in one row group of a Parquet file; what is kept in memory until it is full."""


class Writer(Protocol):
    """Turns record batches of one schema into one output."""

    def __init__(self, stream: IO[bytes], schema: Any = SCHEMA) -> None: ...

    def encode(self, batch: Any) -> Any:
        """The batch as `write` takes it."""
        ...

    def write(self, encoded: Any) -> None:
        """Add to the output."""
        ...

    def close(self, about: Mapping[str, object]) -> None:
        """End the output; `about` goes where the format has a place for it."""
        ...


class Ndjson:
    """One JSON object per line and connection."""

    def __init__(self, stream: IO[bytes], schema: Any = SCHEMA) -> None:
        self._stream = stream
        self._schema = schema

    def encode(self, batch: Any) -> Any:
        """Complete lines, formatted column by column."""
        if not len(batch):
            return b""
        _, offsets, characters = _joined([*_object(self._schema, batch.columns), "\n"]).buffers()
        return characters[: int(np.frombuffer(offsets, np.int32)[len(batch)])]  # of all lines, without a gap

    def write(self, encoded: Any) -> None:
        """Write lines, at once, for readers of a pipe."""
        self._stream.write(encoded)
        self._stream.flush()

    def close(self, about: Mapping[str, object]) -> None:
        """Nothing follows the last line."""


class Csv:
    """Flat columns: ``evidence_...``, ``trigger_...``, tags separated by spaces (RFC 4180).

    Text is as it is, but safe for a terminal on one.
    """

    def __init__(self, stream: IO[bytes], schema: Any = SCHEMA) -> None:
        self._stream = stream
        self._terminal = stream.isatty()
        empty = pa.RecordBatch.from_pylist([], schema)
        stream.write(",".join(name for name, _ in _flat(empty)).encode() + b"\r\n")

    def encode(self, batch: Any) -> Any:
        """Complete lines."""
        names, columns = zip(*_flat(batch), strict=True)
        if self._terminal:
            columns = tuple(map(_shown, columns))
        sink = pa.BufferOutputStream()
        options = pa.csv.WriteOptions(include_header=False, quoting_style="needed", eol="\r\n")
        pa.csv.write_csv(pa.RecordBatch.from_arrays(list(columns), list(names)), sink, options)
        return sink.getvalue()

    def write(self, encoded: Any) -> None:
        """Write lines, at once, for readers of a pipe."""
        self._stream.write(encoded)
        self._stream.flush()

    def close(self, about: Mapping[str, object]) -> None:
        """Nothing follows the last line."""


class Parquet:
    """The table as it is, with what there is to say about the run in its metadata."""

    def __init__(self, stream: IO[bytes], schema: Any = SCHEMA) -> None:
        self._file = pa.parquet.ParquetWriter(stream, schema, compression="zstd")
        self._waiting: list[Any] = []
        self._rows = 0

    def encode(self, batch: Any) -> Any:
        """The batch itself."""
        return batch

    def write(self, encoded: Any) -> None:
        """Keep until there is a row group."""
        self._waiting.append(encoded)
        self._rows += len(encoded)
        if self._rows >= ROW_GROUP:
            self._flush()

    def close(self, about: Mapping[str, object]) -> None:
        """Write what waits, the metadata and the end of the file."""
        self._flush()
        self._file.add_key_value_metadata({"halfopen": json.dumps(about)})
        self._file.close()

    def _flush(self) -> None:
        if self._waiting:
            self._file.write_table(pa.Table.from_batches(self._waiting).unify_dictionaries())
        self._waiting, self._rows = [], 0


WRITERS: Final[Mapping[str, type[Writer]]] = {"ndjson": Ndjson, "csv": Csv, "parquet": Parquet}


def _object(fields: Any, columns: list[Any]) -> Iterator[Any]:
    """A JSON object per row, as literals and columns of text in turn."""
    opening = "{"
    for field, column in zip(fields, columns, strict=True):
        yield f'{opening}"{field.name}":'
        yield from _value(field.type, column)
        opening = ","
    yield "}"


def _value(kind: Any, column: Any) -> Iterator[Any]:
    if pa.types.is_struct(kind):
        yield from _object(kind, column.flatten())
    elif pa.types.is_list(kind):
        yield "["
        different = column.flatten().unique()
        words = pc.index_in(column.flatten(), different)
        quoted = _quoted(different).take(words)
        yield pc.binary_join(pa.ListArray.from_arrays(column.offsets, quoted), ",")
        yield "]"
    elif pa.types.is_timestamp(kind):
        yield from ('"', _instant(column), '"')
    elif pa.types.is_dictionary(kind):
        yield _quoted(column.dictionary).take(column.indices)
    elif pa.types.is_string(kind):
        yield _quoted(column)
    else:
        yield column.cast(pa.string())


def _quoted(words: Any) -> Any:
    """JSON strings of a column of text; null stays null."""
    if pc.any(pc.match_substring_regex(words, r'["\\\x00-\x1f\x7f]')).as_py():
        return pa.array(
            [None if word is None else json.dumps(word) for word in words.to_pylist()], pa.string()
        )
    return pc.binary_join_element_wise('"', words, '"', "")


def _instant(column: Any) -> Any:
    """RFC 3339 times in UTC with nanoseconds; each different second is formatted once."""
    times = column.cast(pa.int64()).to_numpy()
    seconds, index = np.unique(times // SECOND, return_inverse=True)
    days = pa.array([f"{np.datetime64(second, 's')}." for second in seconds.tolist()], pa.string())
    parts = pa.array(times % SECOND).cast(pa.string())
    return pc.binary_join_element_wise(days.take(pa.array(index)), pc.ascii_lpad(parts, 9, "0"), "Z", "")


def _joined(pieces: list[Any]) -> Any:
    """Literals and columns side by side; null reads ``null``."""
    return pc.binary_join_element_wise(*pieces, "", null_handling="replace", null_replacement="null")


def _shown(column: Any) -> Any:
    """A column whose text a terminal may show."""
    if not pa.types.is_string(column.type):
        return column
    return pa.array([None if text is None else printable(text) for text in column.to_pylist()], pa.string())


def _flat(batch: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The columns of CSV."""
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if pa.types.is_struct(column.type):
            for field, inner in zip(column.type, column.flatten(), strict=True):
                yield f"{name}_{field.name}", inner
        elif pa.types.is_list(column.type) and pa.types.is_struct(column.type.value_type):
            continue  # a table in a table
        elif pa.types.is_list(column.type):
            yield name, pc.binary_join(column, " ")
        elif pa.types.is_timestamp(column.type):
            yield name, _instant(column)
        elif pa.types.is_dictionary(column.type):
            yield name, column.cast(pa.string())
        else:
            yield name, column

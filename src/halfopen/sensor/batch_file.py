"""One batch on the disk: a line of JSON that says what it is, then the Arrow stream as it goes on the wire."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from zlib import crc32

import msgspec
import pyarrow as pa

from halfopen.store.place import sync
from halfopen.store.schema import INCOMING, completed

LONGEST_HEAD: Final = 1 << 13

NEW: Final = ".new"
"""How the name of a file ends that is not there as a whole yet."""


class Damaged(ValueError):  # noqa: N818 - not a fault of whoever reads: the batch is set aside
    """A file that holds no batch."""


@dataclass(frozen=True, slots=True)
class Head:
    """What a batch says beside its rows (as `store.committer.Batch`), and what tells whether the file is whole."""

    number: int
    watermark: int
    since: int | None = None
    until: int | None = None
    rate: float = 1.0
    drops: int = 0
    counters: Mapping[str, int] = field(default_factory=dict)
    rows: int = 0
    size: int = 0  # bytes of the stream
    crc: int = 0  # CRC-32 of the stream

    def line(self) -> bytes:
        """The head as the file begins with it."""
        return msgspec.json.encode(self) + b"\n"


def read_head(path: Path) -> Head:
    """The head of a file; Damaged if it has none."""
    with path.open("rb") as file:
        return _head(file.readline(LONGEST_HEAD))


def read(path: Path) -> tuple[Head, bytes]:
    """Head and stream of a file; Damaged if they do not belong together."""
    with path.open("rb") as file:
        head = _head(file.readline(LONGEST_HEAD))
        stream = file.read()
    if len(stream) != head.size or crc32(stream) != head.crc:
        raise Damaged(f"{len(stream):,} bytes that are not the {head.size:,} of its head")
    return head, stream


def _head(line: bytes) -> Head:
    try:
        return msgspec.json.decode(line, type=Head)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Damaged(f"no head: {error}") from None


def write(path: Path, parts: Sequence[Any]) -> None:
    """Write a file that is there as a whole or not at all, on the disk when this returns."""
    fresh = path.with_name(path.name + NEW)
    try:
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except OSError:
        fresh.unlink(missing_ok=True)  # it takes room that others need
        raise
    sync(path.parent)


def stream_of(rows: Any) -> Any:
    """Rows of `schema.INCOMING` as one Arrow IPC stream, a buffer: no dictionaries, nothing compressed."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, INCOMING) as stream:
        stream.write_table(rows.combine_chunks())
    return sink.getvalue()


def rows_of(stream: Any) -> Any:
    """The table of `schema.INCOMING` in an Arrow IPC stream."""
    with pa.ipc.open_stream(stream) as reader:
        return completed(reader.read_all(), INCOMING)

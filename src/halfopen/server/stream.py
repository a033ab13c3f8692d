"""Rows that a sensor sends, from bytes that anybody could have made: nothing is taken but what the store holds.

One Arrow IPC stream of `store.schema.INCOMING`, without compression (a small body cannot become a large table) and
without dictionaries. Sensors of before send it without the columns that were added since.
"""

from __future__ import annotations

import struct
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from halfopen.connections.rules import SIGNATURES, Tag
from halfopen.errors import InvalidError, Rejected, SizeError
from halfopen.model import FIRST_PACKET, PACKETS_KEPT, SECOND, LeftOut, Relation, Stage, TriggerKind
from halfopen.places.countries import CONTINENTS, COUNTRIES
from halfopen.store.schema import ADDED, FIRST_PACKETS, INCOMING, completed

MOST_BYTES: Final = 64 << 20
MOST_ROWS: Final = 1_000_000
MOST_PIECES: Final = 10_000
"""Record batches of one stream."""

AHEAD: Final = 3600
"""Seconds by which a sensor's clock may be ahead."""

_NUMBERS: Final = {
    "client_port": (0, 65535),
    "server_port": (0, 65535),
    "ip_version": (4, 6),
    "packets": (0, 255),
    "stage": (0, max(Stage)),
    "signature": (0, len(SIGNATURES)),
    "rules_version": (1, 65535),
    "tags": (0, (1 << len(Tag)) - 1),
    "weight": (1, 10**9),
    "resets": (0, 255),
    "reset_acks": (0, 255),
    "reset_echoes": (0, 255),
    "data_after_reset": (0, 255),
    "duplicates": (0, 2**32 - 1),
    "gap": (0, 10**10),
    "asn": (1, 2**32 - 1),
}
_TEXTS: Final = {
    "client": r"\A[0-9A-Za-z.:_-]{1,64}\z",
    "server": r"\A[0-9A-Za-z.:_-]{1,64}\z",
    "seq_relation": rf"\A({'|'.join(each.name for each in Relation if each)})\z",
    "left_out": rf"\A({'|'.join(each.name for each in LeftOut if each)})\z",
    "trigger_kind": rf"\A({'|'.join(each.name for each in TriggerKind if each)})\z",
}
_WORDS: Final = {"location": pa.array(COUNTRIES), "continent": pa.array(sorted(CONTINENTS))}
_IN_WORDS: Final = {
    "ip_version": "4 or 6",
    "signature": f"0 for none, or a signature of the row's stage, up to {len(SIGNATURES)}",
    "weight": "1 / rate, at most 1,000,000,000",
    "location": "a country of ISO 3166-1 (alpha-2), or XK",
    "continent": f"one of {', '.join(sorted(CONTINENTS))}",
    FIRST_PACKETS.name: f"{FIRST_PACKET.itemsize} bytes for each of at most {PACKETS_KEPT} packets",
}
_TIMES: Final = ("start_ns", "end_ns")
_LENGTHS: Final = pa.array([FIRST_PACKET.itemsize * count for count in range(PACKETS_KEPT + 1)], pa.int32())
_BEFORE: Final = pa.schema([each for each in INCOMING if each.name not in ADDED])
_LONGEST_NAME: Final = 1024  # bytes

_MOST_SIGNATURES: Final = 100
_SIGNED: Final = pa.array(
    [stage * _MOST_SIGNATURES for stage in Stage]
    + [each.stage * _MOST_SIGNATURES + each.number for each in SIGNATURES],
    pa.int64(),
)
"""Each stage with the signatures that it may have, or none, as one number."""

_ROUNDING: Final = 1e-6
"""By how much a weight times the rate may differ from 1."""

MAY_LACK: Final = {
    *_TEXTS, *_WORDS, *ADDED, "trigger", "gap", "asn", "ttl_delta", "ip_id_delta", "seq_delta",
} - {"server"}  # fmt: skip
"""The columns that may hold null."""


def accepted(name: str) -> str:
    """What a column may hold, in words that complete "... is not"; empty for anything of its type."""
    if name in _TIMES:
        return f"from {'0' if name == 'start_ns' else 'start_ns'} to {AHEAD:,} s ahead of the server's clock"
    if name in _IN_WORDS:
        return _IN_WORDS[name]
    if name in _NUMBERS:
        least, most = _NUMBERS[name]
        return f"from {least:,} to {most:,}"
    if name in _TEXTS:
        return f"a text that matches {_TEXTS[name][2:-2]}"
    return f"a text of at most {_LONGEST_NAME:,} bytes" if name == "trigger" else ""


def rows_of(body: bytes, now: int, rate: float) -> Any:
    """The table in a body at the time `now` (s), sampled at a `rate`. InvalidError says what is wrong, SizeError that
    it is too much."""
    try:
        _look(body)
        with pa.ipc.open_stream(body) as stream:
            schema = _known(stream.schema)
            pieces, count = [], 0
            for piece in stream:
                count += piece.num_rows
                if count > MOST_ROWS:
                    raise SizeError(413, "body", MOST_ROWS, "rows")
                piece.validate(full=True)
                pieces.append(piece)
    except (pa.ArrowException, OSError, ValueError, struct.error) as error:
        raise _wrong(f"no Arrow IPC stream: {str(error).splitlines()[0][:200]}") from None
    plain = [pa.RecordBatch.from_arrays(piece.columns, schema=schema) for piece in pieces]
    rows = pa.Table.from_batches(plain, schema)
    if rows.nbytes > len(body):
        raise _wrong("columns share their bytes")
    rows = completed(rows, INCOMING)
    _check_values(rows, now, rate)
    return rows


def _wrong(words: str) -> InvalidError:
    return InvalidError([Rejected("body", "", words=words)], 1001)


def _look(body: bytes) -> None:
    """Refuse what only reading it would show: dictionaries and compressed buffers."""
    messages = pa.ipc.MessageReader.open_stream(body)
    pieces = 0
    while True:
        try:
            message = messages.read_next_message()
        except StopIteration:
            return
        if message.type == "record batch":
            pieces += 1
            if pieces > MOST_PIECES:
                raise SizeError(413, "body", MOST_PIECES, "record batches")
            if _compressed(message.metadata.to_pybytes()):
                raise _wrong("compressed buffers, accepted are plain ones")
        elif message.type != "schema":
            raise _wrong(f"a {message.type}, accepted are record batches after one schema")


def _compressed(metadata: bytes) -> bool:
    """Whether the message of a record batch says that its buffers are compressed (Arrow's Message.fbs)."""
    (root,) = struct.unpack_from("<I", metadata)
    header = _field(metadata, root, 2)
    (offset,) = struct.unpack_from("<I", metadata, header)
    return _field(metadata, header + offset, 3) != 0


def _field(raw: bytes, table: int, number: int) -> int:
    """Where a field of a FlatBuffers table lies; 0 where the table has it not."""
    (back,) = struct.unpack_from("<i", raw, table)
    fields = table - back
    (size,) = struct.unpack_from("<H", raw, fields)
    at = 4 + 2 * number
    if at >= size:
        return 0
    (offset,) = struct.unpack_from("<H", raw, fields + at)
    return table + offset if offset else 0


def _known(schema: Any) -> Any:
    """The schema of ours that a stream has: that of now, or the one without what was added."""
    ours = _BEFORE if len(schema) == len(_BEFORE) else INCOMING
    if len(schema) != len(ours):
        raise _wrong(f"{len(schema)} columns, accepted are {len(INCOMING)}")
    for found, wanted in zip(schema, ours, strict=True):
        if found.name != wanted.name:
            raise _wrong(f"column {found.name[:100]!r}, expected there is {wanted.name!r}")
        if found.type != wanted.type:
            raise _wrong(f"column {wanted.name}: {str(found.type)[:100]}, accepted is {wanted.type}")
    return ours


def _check_values(rows: Any, now: int, rate: float) -> None:
    """Refuse values that no connection has: answers are made of them for everybody."""
    ranges = _NUMBERS | dict.fromkeys(_TIMES, (0, (now + AHEAD) * SECOND))
    right = {
        **{
            name: pc.and_(pc.greater_equal(rows[name], least), pc.less_equal(rows[name], most))
            for name, (least, most) in ranges.items()
        },
        **{name: pc.match_substring_regex(rows[name], pattern) for name, pattern in _TEXTS.items()},
        **{name: pc.is_in(rows[name].drop_null(), words) for name, words in _WORDS.items()},
        "trigger": pc.less_equal(pc.binary_length(rows["trigger"]), _LONGEST_NAME),
        FIRST_PACKETS.name: pc.is_in(pc.binary_length(rows[FIRST_PACKETS.name]).drop_null(), _LENGTHS),
    }
    off = pc.abs(pc.subtract(pc.multiply(rows["weight"], rate), 1))
    signed = pc.add(pc.multiply(rows["stage"].cast("int64"), _MOST_SIGNATURES), rows["signature"])
    for name, more in (
        ("ip_version", pc.not_equal(rows["ip_version"], 5)),
        ("end_ns", pc.greater_equal(rows["end_ns"], rows["start_ns"])),
        ("weight", pc.less_equal(off, _ROUNDING)),
        ("signature", pc.or_(pc.is_null(signed), pc.is_in(signed, _SIGNED))),
    ):
        right[name] = pc.and_(right[name], more)
    for name, each in right.items():
        if not pc.all(each, min_count=0).as_py():
            raise _wrong(f"column {name}: a value that is not {accepted(name)}")
    for name in INCOMING.names:
        if rows[name].null_count and name not in MAY_LACK:
            raise _wrong(f"column {name}: null")

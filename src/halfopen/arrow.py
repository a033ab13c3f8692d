"""The connection table in Arrow: one schema, filled in bulk from judged connections.

The table of the library, the lines of ndjson, the columns of CSV and the Parquet file are all this
schema; docs/output.md explains every column.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from halfopen.connections.rules import RULES_VERSION, SIGNATURES, signature_id, tag_names
from halfopen.model import (
    MAPPED_PREFIX,
    NO_TIME,
    SECOND,
    UNKNOWN_DELTA,
    Bytes,
    LeftOut,
    Relation,
    Rows,
    Stage,
    TriggerKind,
)
from halfopen.pipeline import Judged

_WORD = pa.dictionary(pa.int8(), pa.string())
_TIME = pa.timestamp("ns", "UTC")

EVIDENCE = pa.struct(
    [
        ("ttl_delta", pa.int32()),
        ("ip_id_delta", pa.int32()),
        ("seq_relation", pa.string()),
        ("seq_delta", pa.int32()),
        ("resets", pa.uint8()),
        ("reset_acks", pa.uint8()),
        ("reset_echoes", pa.uint8()),
        ("gap", pa.float64()),
        ("data_after_reset", pa.uint8()),
        ("duplicates", pa.uint32()),
        ("left_out", pa.string()),
    ]
)
TRIGGER = pa.struct([("kind", pa.string()), ("name", pa.string()), ("port", pa.uint16())])

SCHEMA = pa.schema(
    [
        ("file", pa.dictionary(pa.int32(), pa.string())),
        ("client", pa.string()),
        ("client_port", pa.uint16()),
        ("server", pa.string()),
        ("server_port", pa.uint16()),
        ("start", _TIME),
        ("end", _TIME),
        ("packets", pa.uint8()),
        ("stage", _WORD),
        ("signature", _WORD),
        ("rules_version", pa.uint16()),
        ("tags", pa.list_(pa.string())),
        ("evidence", EVIDENCE),
        ("trigger", TRIGGER),
        ("asn", pa.uint32()),
        ("location", pa.string()),
        ("continent", pa.string()),
    ]
)
"""One row per connection."""

_STAGES = pa.array([stage.name for stage in Stage])
_SIGNATURES = pa.array([signature_id(number) for number in range(len(SIGNATURES) + 1)])
_RELATIONS = pa.array([relation.name for relation in Relation if relation])
_LEFT_OUT = pa.array([reason.name for reason in LeftOut if reason])
_TRIGGERS = pa.array([kind.name for kind in TriggerKind if kind])
_OCTETS = pa.array([str(octet) for octet in range(256)])


def record_batch(judged: Judged) -> Any:
    """The connections of `judged` as one `pyarrow.RecordBatch` of `SCHEMA`."""
    rows = judged.rows
    flat = columns(judged)
    stage = np.where(rows["left_out"] == LeftOut.decided, rows["stage"], np.uint8(Stage.undecided))
    whole = flat | {
        "file": pa.DictionaryArray.from_arrays(
            np.zeros(len(rows), np.int32), pa.array([_text(os.fsencode(judged.file))])
        ),
        "client": addresses(rows["client_hi"], rows["client_lo"]),
        "stage": pa.DictionaryArray.from_arrays(stage.astype(np.int8), _STAGES),
        "signature": pa.DictionaryArray.from_arrays(rows["signature"].astype(np.int8), _SIGNATURES),
        "tags": _tags(rows["tags"]),
        "evidence": _struct(EVIDENCE, *(flat[field.name] for field in EVIDENCE)),
        "trigger": _struct(TRIGGER, flat["trigger_kind"], flat["trigger"], flat["server_port"]),
    }
    return pa.RecordBatch.from_arrays([whole[each.name].cast(each.type) for each in SCHEMA], schema=SCHEMA)


def columns(judged: Judged) -> dict[str, Any]:
    """The columns that need no choice of the output, by name: evidence and trigger flat, times in ns.

    Text is dictionary-encoded: few words stand in many rows.
    """
    rows, places = judged.rows, judged.places
    plain = ("client_port", "server_port", "start", "end", "packets")
    counted = ("resets", "reset_acks", "reset_echoes", "data_after_reset", "duplicates")
    deltas = ("ttl_delta", "ip_id_delta", "seq_delta")
    return {
        **{name: _plain(rows[name]) for name in (*plain, *counted)},
        **{name: _known(rows[name], UNKNOWN_DELTA) for name in deltas},
        "gap": pa.array(rows["gap"] / SECOND, mask=rows["gap"] == NO_TIME),
        "seq_relation": _words(rows["relation"], _RELATIONS),
        "left_out": _words(rows["left_out"], _LEFT_OUT),
        "rules_version": pa.array(np.full(len(rows), RULES_VERSION, np.uint16)),
        "server": encoded_addresses(rows["server_hi"], rows["server_lo"]),
        "trigger_kind": _words(rows["trigger"], _TRIGGERS),
        "trigger": _names(rows, judged.names),
        "asn": _known(places["asn"], 0),
        "location": _codes(places["location"]),
        "continent": _codes(places["continent"]),
    }


def table(batches: Iterable[Any], about: Mapping[str, object]) -> Any:
    """One `pyarrow.Table` of all batches; `about` goes as JSON into its metadata, key ``halfopen``."""
    whole = pa.Table.from_batches(list(batches), SCHEMA).unify_dictionaries()
    return whole.replace_schema_metadata({"halfopen": json.dumps(about)})


def _plain(column: NDArray[Any]) -> Any:
    return pa.array(column.copy())  # a single row would be shared otherwise, and rows are reused


def _known(column: NDArray[Any], unknown: int) -> Any:
    return pa.array(column.copy(), mask=column == unknown)


def _struct(kind: Any, *inner: Any) -> Any:
    cast = [column.cast(field.type) for column, field in zip(inner, kind, strict=True)]
    return pa.StructArray.from_arrays(cast, fields=list(kind))


def _words(numbers: NDArray[np.uint8], words: Any) -> Any:
    """The words that numbers from 1 on stand for; null for 0."""
    return pa.DictionaryArray.from_arrays(pa.array(numbers.astype(np.int8) - 1, mask=numbers == 0), words)


def reworded(column: Any, words: Callable[[list[Any]], list[str | None]]) -> Any:
    """A dictionary-encoded column with each of its different values put into text; equal text falls together."""
    different = pa.array(words(column.dictionary.to_pylist()), pa.string()).dictionary_encode()
    return pa.DictionaryArray.from_arrays(different.indices.take(column.indices), different.dictionary)


def distinct(
    high: NDArray[np.uint64], low: NDArray[np.uint64]
) -> tuple[Any, NDArray[np.uint64], NDArray[np.uint64]]:
    """The number of each address among the different ones, and the halves of those."""
    encoded = _encoded(np.stack([high, low], axis=1).view("V16").ravel())
    _, raw = encoded.dictionary.buffers()
    halves = np.frombuffer(raw, np.uint64).reshape(-1, 2)[: len(encoded.dictionary)]
    return encoded.indices, halves[:, 0], halves[:, 1]


def _encoded(column: NDArray[Any]) -> Any:
    """A dictionary-encoded column of values that are compared as bytes."""
    raw = pa.py_buffer(np.ascontiguousarray(column))
    return pa.Array.from_buffers(pa.binary(column.itemsize), len(column), [None, raw]).dictionary_encode()


def encoded_addresses(high: NDArray[np.uint64], low: NDArray[np.uint64]) -> Any:
    """Addresses that come back often, as text (RFC 5952), dictionary-encoded."""
    numbers, *different = distinct(high, low)
    return pa.DictionaryArray.from_arrays(numbers, addresses(*different))


def addresses(high: NDArray[np.uint64], low: NDArray[np.uint64]) -> Any:
    """Addresses as text (RFC 5952)."""
    mapped = (high == 0) & (low >> np.uint64(32) == MAPPED_PREFIX >> 32)
    if mapped.all():
        return _dotted(low)
    texts = pa.concat_arrays([_dotted(low[mapped]), _colons(high[~mapped], low[~mapped])])
    places = np.empty(len(low), np.int64)
    places[np.concatenate([np.flatnonzero(mapped), np.flatnonzero(~mapped)])] = np.arange(len(low))
    return texts.take(pa.array(places))


def _dotted(low: NDArray[np.uint64]) -> Any:
    octets = [_OCTETS.take(pa.array((low >> np.uint64(shift)) & np.uint64(255))) for shift in (24, 16, 8, 0)]
    return pc.binary_join_element_wise(*octets, ".")


def _colons(high: NDArray[np.uint64], low: NDArray[np.uint64]) -> Any:
    halves = np.stack([high, low], axis=1).astype(">u8")
    different, index = np.unique(halves.view("V16").ravel(), return_inverse=True)
    texts = [socket.inet_ntop(socket.AF_INET6, raw.tobytes()) for raw in different]
    return pa.array(texts, pa.string()).take(pa.array(index))


def _tags(bits: NDArray[np.uint64]) -> Any:
    """Lists of tag names, made once for each different set of bits."""
    sets = pa.array(bits.copy()).dictionary_encode()
    lists = pa.array([tag_names(each) for each in sets.dictionary.to_pylist()], pa.list_(pa.string()))
    return lists.take(sets.indices)


def _text(raw: bytes) -> str:
    """Bytes as text; what is not UTF-8 appears as backslash escapes."""
    return raw.decode("utf-8", "backslashreplace")


def _names(rows: Rows, names: Bytes) -> Any:
    """Names as text, dictionary-encoded; null where there is none."""
    named = rows["trigger"] != TriggerKind.none
    begins = rows["name_offset"][named].astype(np.int32)
    # Names lie in the order of their rows: each is one piece, and what may lie before the next another.
    bounds = np.stack([begins, begins + rows["name_length"][named]], axis=1).ravel()
    pieces = pa.Array.from_buffers(
        pa.binary(), max(len(bounds) - 1, 0), [None, pa.py_buffer(bounds), pa.py_buffer(names)]
    )
    numbers = pa.array(2 * (np.cumsum(named) - 1), mask=~named)
    return reworded(
        pieces.take(numbers).dictionary_encode(), lambda different: [_text(raw) for raw in different]
    )


def _codes(column: NDArray[np.bytes_]) -> Any:
    """Two-letter codes, dictionary-encoded; null where empty."""
    return reworded(
        _encoded(column),
        lambda different: [code.rstrip(b"\0").decode("ascii", "replace") or None for code in different],
    )

"""The connection table in Arrow: one schema, filled in bulk from judged connections.

The table of the library, the lines of ndjson, the columns of CSV and the Parquet file are all this
schema; docs/output.md explains every column.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterable, Mapping
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
_RELATIONS = pa.array([None, *(relation.name for relation in Relation if relation)])
_LEFT_OUT = pa.array([None, *(reason.name for reason in LeftOut if reason)])
_TRIGGERS = pa.array([None, *(kind.name for kind in TriggerKind if kind)])
_OCTETS = pa.array([str(octet) for octet in range(256)])


def record_batch(judged: Judged) -> Any:
    """The connections of `judged` as one `pyarrow.RecordBatch` of `SCHEMA`."""
    rows, places = judged.rows, judged.places
    count = len(rows)
    stage = np.where(rows["left_out"] == LeftOut.decided, rows["stage"], np.uint8(Stage.undecided))
    columns = [
        pa.DictionaryArray.from_arrays(
            np.zeros(count, np.int32), pa.array([_text(os.fsencode(judged.file))])
        ),
        addresses(rows["client_hi"], rows["client_lo"]),
        _plain(rows["client_port"]),
        addresses(rows["server_hi"], rows["server_lo"]),
        _plain(rows["server_port"]),
        _plain(rows["start"]).cast(_TIME),
        _plain(rows["end"]).cast(_TIME),
        _plain(rows["packets"]),
        pa.DictionaryArray.from_arrays(stage.astype(np.int8), _STAGES),
        pa.DictionaryArray.from_arrays(rows["signature"].astype(np.int8), _SIGNATURES),
        pa.array(np.full(count, RULES_VERSION, np.uint16)),
        _tags(rows["tags"]),
        _struct(
            EVIDENCE,
            _known(rows["ttl_delta"], UNKNOWN_DELTA),
            _known(rows["ip_id_delta"], UNKNOWN_DELTA),
            _RELATIONS.take(_plain(rows["relation"])),
            _known(rows["seq_delta"], UNKNOWN_DELTA),
            _plain(rows["resets"]),
            _plain(rows["reset_acks"]),
            _plain(rows["reset_echoes"]),
            pa.array(rows["gap"] / SECOND, mask=rows["gap"] == NO_TIME),
            _plain(rows["data_after_reset"]),
            _plain(rows["duplicates"]),
            _LEFT_OUT.take(_plain(rows["left_out"])),
        ),
        _struct(
            TRIGGER,
            _TRIGGERS.take(_plain(rows["trigger"])),
            _names(rows, judged.names),
            _plain(rows["server_port"]),
        ),
        _known(places["asn"], 0),
        _codes(places["location"]),
        _codes(places["continent"]),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=SCHEMA)


def table(batches: Iterable[Any], about: Mapping[str, object]) -> Any:
    """One `pyarrow.Table` of all batches; `about` goes as JSON into its metadata, key ``halfopen``."""
    whole = pa.Table.from_batches(list(batches), SCHEMA).unify_dictionaries()
    return whole.replace_schema_metadata({"halfopen": json.dumps(about)})


def _plain(column: NDArray[Any]) -> Any:
    return pa.array(column.copy())  # a single row would be shared otherwise, and rows are reused


def _known(column: NDArray[Any], unknown: int) -> Any:
    return pa.array(column.copy(), mask=column == unknown)


def _struct(kind: Any, *columns: Any) -> Any:
    return pa.StructArray.from_arrays(columns, fields=list(kind))


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
    different, index = np.unique(bits, return_inverse=True)
    lists = pa.array([tag_names(int(each)) for each in different], pa.list_(pa.string()))
    return lists.take(pa.array(index))


def _text(raw: bytes) -> str:
    """Bytes as text; what is not UTF-8 appears as backslash escapes."""
    return raw.decode("utf-8", "backslashreplace")


def _names(rows: Rows, names: Bytes) -> Any:
    raw = names.tobytes()
    return pa.array(
        [
            _text(raw[offset : offset + length]) if kind else None
            for kind, offset, length in zip(
                rows["trigger"].tolist(),
                rows["name_offset"].tolist(),
                rows["name_length"].tolist(),
                strict=True,
            )
        ],
        pa.string(),
    )


def _codes(column: NDArray[np.bytes_]) -> Any:
    """Two-letter codes; null where empty."""
    different, index = np.unique(column, return_inverse=True)
    words = pa.array([code.decode("ascii", "replace") or None for code in different.tolist()], pa.string())
    return words.take(pa.array(index))

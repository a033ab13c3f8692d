"""Connections of the store as they are told: columns named and nested as in every output, with sensor and weight."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from halfopen.connections.rules import SIGNATURES, signature_id, tag_names
from halfopen.model import FIRST_PACKET, SECOND, UNKNOWN_DELTA, Stage, flag_names
from halfopen.store.schema import CONNECTIONS, EVIDENCE, INCOMING, completed

_STAGES: Final = pa.array([stage.name for stage in Stage])
_SIGNATURES: Final = pa.array([signature_id(number) for number in range(len(SIGNATURES) + 1)])
_FLAGS: Final = pa.array([flag_names(flags) for flags in range(256)])
_TIME: Final = pa.timestamp("ns", "UTC")
_WORDS: Final = {"stage": pa.string(), "signature": pa.string(), "tags": pa.list_(pa.string())}
_TRIGGER: Final = {"kind": "trigger_kind", "name": "trigger", "port": "server_port"}
_PACKET: Final = {
    "time": pa.float64(),
    "flags": pa.string(),
    "seq": pa.int32(),
    "ack": pa.int32(),
    "length": pa.int32(),
    "window": pa.int32(),
    "ttl": pa.int16(),
    "ip_id": pa.int32(),
}
_STRUCTURES: Final = {
    "evidence": pa.struct([(column.name, column.type) for column in EVIDENCE]),
    "trigger": pa.struct([(name, INCOMING.field(column).type) for name, column in _TRIGGER.items()]),
    "first_packets": pa.list_(pa.struct(list(_PACKET.items()))),
}


def _kind(name: str) -> Any:
    if name in ("file", "sensor"):
        return pa.string()
    if name in ("start", "end"):
        return _TIME
    return _WORDS.get(name) or _STRUCTURES.get(name) or INCOMING.field(name).type


TOLD: Final = pa.schema(
    [
        (name, _kind(name))
        for name in (
            *("file", "client", "client_port", "server", "server_port", "start", "end", "packets"),
            *("stage", "signature", "rules_version", "tags", "evidence", "trigger"),
            *("asn", "location", "continent", "sensor", "weight", "first_packets"),
        )
    ]
)
"""The columns of `arrow.SCHEMA`, `file` being the capture's digest; then the sensor, the weight and the packets."""


def named(rows: Any) -> Any:
    """Rows of `schema.CONNECTIONS` with names in the place of the numbers and bits of stage, signature and tags, and
    with all columns: those from files of before may be without some."""
    rows = completed(rows, CONNECTIONS.written)
    tags = pa.array([tag_names(bits) for bits in rows["tags"].to_pylist()], pa.list_(pa.string()))
    words = {
        "stage": _STAGES.take(rows["stage"].combine_chunks()),
        "signature": _SIGNATURES.take(rows["signature"].combine_chunks()),
        "tags": tags,
    }
    for name, column in words.items():
        rows = rows.set_column(rows.schema.get_field_index(name), name, column)
    return rows


def told(rows: Any) -> Any:
    """One record batch of `TOLD` from rows that are `named`."""

    def column(name: str) -> Any:
        if name in ("start", "end"):
            return rows[f"{name}_ns"].combine_chunks().cast(_TIME)
        if name == "trigger":
            return structure(name, [rows[each] for each in _TRIGGER.values()])
        if name == "evidence":
            return structure(name, [rows[each.name] for each in EVIDENCE])
        if name == "first_packets":
            return _packets(*(rows[each].combine_chunks() for each in (name, "ip_version")))
        return rows[name].combine_chunks()

    def structure(name: str, columns: list[Any]) -> Any:
        return pa.StructArray.from_arrays(
            [each.combine_chunks() for each in columns], fields=list(_STRUCTURES[name])
        )

    return pa.RecordBatch.from_arrays([column(name) for name in TOLD.names], schema=TOLD)


def _packets(column: Any, versions: Any) -> Any:
    """Lists of packets from `FIRST_PACKETS` and the IP versions of the connections."""
    pieces = column.fill_null(b"")
    packets = np.frombuffer(b"".join(pieces.to_pylist()), FIRST_PACKET)
    counts = pc.binary_length(pieces).to_numpy() // FIRST_PACKET.itemsize
    ends = np.cumsum(counts)
    first = np.zeros(len(packets), bool)
    first[(ends - counts)[counts > 0]] = True
    unknown = {
        "ack": packets["ack"] == UNKNOWN_DELTA,
        "window": first & (packets["length"] == 0),
        "ip_id": np.repeat(versions.to_numpy() == 6, counts),
    }
    given = {
        "time": pa.array(packets["time"] / SECOND),
        "flags": _FLAGS.take(pa.array(packets["flags"].copy())),
    }
    fields = [
        given[name]
        if name in given
        else pa.array(packets[name].astype(kind.to_pandas_dtype()), mask=unknown.get(name))
        for name, kind in _PACKET.items()
    ]
    structures = pa.StructArray.from_arrays(fields, list(_PACKET))
    return pa.ListArray.from_arrays(
        pa.array(np.append(0, ends).astype(np.int32)), structures, mask=column.is_null()
    )

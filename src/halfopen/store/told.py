"""Connections of the store as they are told: columns named and nested as in every output, with sensor and weight."""

from __future__ import annotations

from typing import Any, Final

import pyarrow as pa

from halfopen.connections.rules import SIGNATURES, signature_id, tag_names
from halfopen.model import Stage
from halfopen.store.schema import EVIDENCE, INCOMING

_STAGES: Final = pa.array([stage.name for stage in Stage])
_SIGNATURES: Final = pa.array([signature_id(number) for number in range(len(SIGNATURES) + 1)])
_TIME: Final = pa.timestamp("ns", "UTC")
_WORDS: Final = {"stage": pa.string(), "signature": pa.string(), "tags": pa.list_(pa.string())}
_TRIGGER: Final = {"kind": "trigger_kind", "name": "trigger", "port": "server_port"}
_STRUCTURES: Final = {
    "evidence": pa.struct([(column.name, column.type) for column in EVIDENCE]),
    "trigger": pa.struct([(name, INCOMING.field(column).type) for name, column in _TRIGGER.items()]),
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
            *("asn", "location", "continent", "sensor", "weight"),
        )
    ]
)
"""The columns of `arrow.SCHEMA`, `file` being the capture's digest; then the sensor and the weight."""


def named(rows: Any) -> Any:
    """Rows of `schema.CONNECTIONS` with names in the place of the numbers and bits of stage, signature and tags."""
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
        return rows[name].combine_chunks()

    def structure(name: str, columns: list[Any]) -> Any:
        return pa.StructArray.from_arrays(
            [each.combine_chunks() for each in columns], fields=list(_STRUCTURES[name])
        )

    return pa.RecordBatch.from_arrays([column(name) for name in TOLD.names], schema=TOLD)

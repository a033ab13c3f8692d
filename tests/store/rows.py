"""Connections, and what they add up to in plain Python."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Final

import pyarrow as pa

from halfopen.connections.rules import signature_id, tag_names
from halfopen.model import SECOND, Stage
from halfopen.store.query import Cell, Choice, Dimension, Filters
from halfopen.store.schema import INCOMING

BEGIN: Final = 1_795_392_000
"""A Monday 00:00 UTC (s)."""

SPAN: Final = 16 * 86400

Row = dict[str, Any]


def row(start: int = BEGIN, **columns: Any) -> Row:
    """One connection as it comes in; `start` in s."""
    plain: Row = dict.fromkeys(INCOMING.names) | {
        "start_ns": start * SECOND, "end_ns": start * SECOND + 1, "client": "192.0.2.1", "client_port": 50000,
        "server": "198.51.100.1", "server_port": 443, "ip_version": 4, "packets": 3, "stage": 1, "signature": 1,
        "rules_version": 1, "tags": 1, "weight": 1.0,
    }  # fmt: skip
    return plain | columns


def table(rows: Iterable[Row]) -> Any:
    return pa.Table.from_pylist(list(rows), INCOMING)


def passes(filters: Filters, sensor: str, each: Row) -> bool:
    plain: list[tuple[Choice[Any], Any]] = [
        (filters.asn, each["asn"]), (filters.location, each["location"]), (filters.sensor, sensor),
        (filters.continent, each["continent"]), (filters.ip_version, each["ip_version"]),
        (filters.server_port, each["server_port"]), (filters.signature, signature_id(each["signature"])),
    ]  # fmt: skip
    for choice, value in plain:
        if (choice.include and value not in choice.include) or value in choice.exclude:
            return False
    tags = set(tag_names(each["tags"]))
    return not (filters.tag.include and not tags & filters.tag.include) and not tags & filters.tag.exclude


def keys(by: Dimension, sensor: str, each: Row) -> list[str]:
    if by is Dimension.tag:
        return tag_names(each["tags"])
    if by is Dimension.stage:
        return [Stage(each["stage"]).name]
    if by is Dimension.signature:
        return [signature_id(each["signature"])]
    if by is Dimension.sensor:
        return [sensor]
    value = each[by.value]
    return ["" if value is None else str(value)]


def counted(
    rows: Iterable[tuple[str, Row]], filters: Filters, start: int, end: int, step: int | None,
    by: Dimension = Dimension.stage,
) -> list[Cell]:  # fmt: skip
    """What `Dataset.counts` must answer for (sensor, row)."""
    sums: dict[tuple[int, str], list[float]] = defaultdict(lambda: [0, 0.0, 0.0])
    for sensor, each in rows:
        time = each["start_ns"] // SECOND
        if each["stage"] == Stage.undecided or not start <= time < end or not passes(filters, sensor, each):
            continue
        bucket = start if step is None else time - time % step
        if step == 604800:
            bucket = time - (time + 259200) % 604800
        for key in keys(by, sensor, each):
            cell = sums[bucket, key]
            cell[0] += 1
            cell[1] += each["weight"]
            cell[2] += each["weight"] ** 2
    return [Cell(bucket, key, int(n), w, s) for (bucket, key), (n, w, s) in sorted(sums.items())]

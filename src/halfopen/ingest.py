"""From judged connections to rows of the store: what is kept, what each stands for, and when it was."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import pyarrow as pa

from halfopen.arrow import addresses, columns, distinct, encoded_addresses, reworded
from halfopen.model import CONNECTION, FIRST_PACKET, MAPPED_PREFIX, PLACE, Rows
from halfopen.pipeline import Judged
from halfopen.privacy import Address, Privacy
from halfopen.store.schema import INCOMING

_MOST: Final = 1 << 15
"""Rows of a record batch: enough that what is done for each batch does not count."""


def incoming(
    batches: Iterator[Judged], privacy: Privacy, *, weight: float = 1.0, shift: int = 0
) -> Iterator[Any]:
    """Record batches of the columns of `store.schema.INCOMING`, their text dictionary-encoded, from decided
    connections with their packets in arrays of their own, all moved by `shift` ns."""
    for judged in _gathered(batches):
        yield _rows(judged, privacy, weight, shift)


def _gathered(batches: Iterator[Judged]) -> Iterator[Judged]:
    """The same connections in batches of about `_MOST`."""
    waiting: list[Judged] = []
    count = 0
    for judged in batches:
        waiting.append(judged)
        count += len(judged.rows)
        if count >= _MOST:
            yield _together(waiting)
            waiting, count = [], 0
    if waiting:
        yield _together(waiting)


def _together(batches: list[Judged]) -> Judged:
    # As bytes: NumPy joins structured rows field by field.
    rows = np.concatenate([each.rows.view(np.uint8) for each in batches]).view(CONNECTION)
    places = np.concatenate([each.places.view(np.uint8) for each in batches]).view(PLACE)
    packets = np.concatenate([each.packets.view(np.uint8) for each in batches]).view(FIRST_PACKET)
    counts = [len(each.rows) for each in batches]
    for offset, lengths in (
        ("name_offset", [len(each.names) for each in batches]),
        ("packets_offset", [len(each.packets) for each in batches]),
    ):
        begins = np.cumsum([0, *lengths[:-1]])
        rows[offset] += np.repeat(begins, counts).astype(np.uint32)
    return Judged(batches[0].file, rows, np.concatenate([each.names for each in batches]), places, packets)


def _rows(judged: Judged, privacy: Privacy, weight: float, shift: int) -> Any:
    rows = judged.rows
    high, low = rows["client_hi"], rows["client_lo"]
    mapped = (high == 0) & (low >> np.uint64(32) == MAPPED_PREFIX >> 32)
    flat = columns(judged)
    given = flat | {
        "start_ns": pa.array(rows["start"] + shift),
        "end_ns": pa.array(rows["end"] + shift),
        "client": _clients(high, low, privacy),
        "ip_version": pa.array(np.where(mapped, np.int8(4), np.int8(6))),
        "stage": pa.array(rows["stage"].copy()),
        "signature": pa.array(rows["signature"].copy()),
        "tags": pa.array(rows["tags"].copy()),
        "weight": pa.repeat(weight, len(rows)),
        "trigger": reworded(flat["trigger"], privacy.names),
        "first_packets": _first_packets(rows, judged.packets),
    }
    return pa.RecordBatch.from_arrays([_fitted(given[each.name], each) for each in INCOMING], INCOMING.names)


def _first_packets(rows: Rows, packets: Rows) -> Any:
    """The column `FIRST_PACKETS` of connections."""
    counts = rows["packets"].astype(np.int64)
    ends = np.cumsum(counts)
    if len(packets) != counts.sum():  # those of connections that are not among the rows lie between them
        places = np.arange(counts.sum()) + np.repeat(rows["packets_offset"] - (ends - counts), counts)
        packets = packets.view(f"V{FIRST_PACKET.itemsize}")[places]
    offsets = (np.append(0, ends) * FIRST_PACKET.itemsize).astype(np.int32)
    return pa.Array.from_buffers(
        pa.binary(), len(rows), [None, pa.py_buffer(offsets), pa.py_buffer(packets.view(np.uint8))]
    )


def _fitted(column: Any, field: Any) -> Any:
    return column if pa.types.is_dictionary(column.type) else column.cast(field.type)


def _clients(high: Any, low: Any, privacy: Privacy) -> Any:
    match privacy.address:
        case Address.none:
            return pa.nulls(len(low), pa.string())
        case Address.hash:
            numbers, *different = distinct(high, low)
            hashed = pa.array(privacy.hashed_addresses(*different), pa.string())
            return pa.DictionaryArray.from_arrays(numbers, hashed)
        case Address.truncated:
            return encoded_addresses(*privacy.truncated(high, low))
        case Address.full:
            return addresses(high, low)

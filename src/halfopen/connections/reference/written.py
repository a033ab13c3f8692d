"""What became final, as rows of CONNECTION."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from halfopen.connections.reference.connection import Connection, Packet, ahead
from halfopen.connections.reference.verdict import Verdict
from halfopen.model import CONNECTION, FIRST_PACKET, UNKNOWN_DELTA, ConnectionBatch


class Written:
    """Rows, names and packets of connections until they are handed on."""

    def __init__(self) -> None:
        self._rows: list[tuple[Any, ...]] = []
        self._names = bytearray()
        self._packets: list[tuple[int, ...]] = []

    def add(self, connection: Connection, verdict: Verdict) -> None:
        """Write the row of a connection."""
        kind, name = connection.name
        row = {
            "client_hi": connection.client[0], "client_lo": connection.client[1], "client_port": connection.client[2],
            "server_hi": connection.server[0], "server_lo": connection.server[1], "server_port": connection.server[2],
            "start": connection.start, "end": connection.last, "gap": verdict.gap,
            "tags": sum(1 << tag for tag in verdict.tags),
            "ttl_delta": verdict.ttl_delta, "ip_id_delta": verdict.ip_id_delta, "seq_delta": verdict.seq_delta,
            "name_offset": len(self._names), "name_length": len(name), "trigger": kind,
            "duplicates": connection.duplicates, "packets": len(connection.packets), "stage": verdict.stage,
            "left_out": verdict.left_out, "signature": verdict.signature, "relation": verdict.relation,
            "resets": verdict.resets, "reset_acks": verdict.reset_acks, "reset_echoes": connection.echoes,
            "data_after_reset": verdict.data_after_reset, "halvings": connection.halvings,
            "packets_offset": len(self._packets),
        }  # fmt: skip
        self._packets += (_seen(connection, packet) for packet in connection.packets)
        self._names += name
        assert CONNECTION.names is not None
        self._rows.append(tuple(row[column] for column in CONNECTION.names))

    def drain(self) -> Iterator[ConnectionBatch]:
        """Hand on what there is, in one batch."""
        if self._rows:
            rows, names = np.array(self._rows, CONNECTION), np.frombuffer(bytes(self._names), np.uint8)
            packets = np.array(self._packets, FIRST_PACKET)
            self._rows, self._names, self._packets = [], bytearray(), []
            yield ConnectionBatch(rows, names, packets)


def _seen(connection: Connection, packet: Packet) -> tuple[int, ...]:
    """A row of FIRST_PACKET. Of a SYN that waits for more without data the table has no room for the window."""
    first = connection.first_ack
    alone = packet is connection.packets[0] and not packet.length
    return (
        packet.ts - connection.start,
        connection.relative(packet.seq),
        max(ahead(packet.ack, first - 1), UNKNOWN_DELTA + 1)
        if first is not None and packet.acknowledges
        else UNKNOWN_DELTA,
        min(packet.length, 0xFFFF),
        0 if alone else packet.window,
        packet.ip_id,
        packet.flags,
        packet.ttl,
    )

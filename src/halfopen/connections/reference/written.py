"""What became final, as rows of CONNECTION."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from halfopen.connections.reference.connection import Connection
from halfopen.connections.reference.verdict import Verdict
from halfopen.model import CONNECTION, ConnectionBatch


class Written:
    """Rows and names of connections until they are handed on."""

    def __init__(self) -> None:
        self._rows: list[tuple[Any, ...]] = []
        self._names = bytearray()

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
        }  # fmt: skip
        self._names += name
        assert CONNECTION.names is not None
        self._rows.append(tuple(row[column] for column in CONNECTION.names))

    def drain(self) -> Iterator[ConnectionBatch]:
        """Hand on what there is, in one batch."""
        if self._rows:
            rows, names = np.array(self._rows, CONNECTION), np.frombuffer(bytes(self._names), np.uint8)
            self._rows, self._names = [], bytearray()
            yield ConnectionBatch(rows, names)

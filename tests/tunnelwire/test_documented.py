"""The page about the tunnel wire tells the limits that hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from halfopen.edge.connectors import quic_connection
from halfopen.tunnelwire import headers
from halfopen.tunnelwire.http2 import link
from halfopen.tunnelwire.quic import head
from halfopen.tunnelwire.rpc import edge_control, vat

PAGE = Path(__file__).parents[2] / "docs" / "tunnel-wire.md"


def size(count: int) -> str:
    return f"{count >> 20} MiB" if count >= 1 << 20 else f"{count >> 10} KiB"


@pytest.mark.parametrize(
    "row",
    [
        f"| {size(edge_control.STRANGER)}, {size(edge_control.CONFIGURATION)} |",
        f"| questions open at once | {vat.QUESTIONS} |",
        f"| {size(headers.MOST)} in base64, {headers.COUNT:,} of them |",
        f"| {size(link.FRAME)}; {size(link.HEADERS)} |",
        f"| the message that a data stream of QUIC begins with | {size(head.LONGEST)} |",
        f"| {size(link.FIRST_WINDOW)} over HTTP/2, {size(link.STREAM_WINDOW)} once as much was taken |",
        f"| {size(quic_connection.FIRST_WINDOW)}, {size(quic_connection.STREAM_WINDOW)} once as much was taken |",
        f"| {link.STREAMS:,}, or as many",
        f"| {link.QUIET:g} s, then {link.PATIENCE:g} s",
    ],
)
def test_limits(row: str) -> None:
    assert row in PAGE.read_text()

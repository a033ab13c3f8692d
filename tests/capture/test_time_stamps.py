"""Time stamps that cannot be."""

from __future__ import annotations

import struct
from pathlib import Path

from halfopen.capture.source import open_captures
from halfopen.model import SECOND


def test_a_fraction_beyond_a_second_does_not_move_the_clock(tmp_path: Path) -> None:
    """The packet keeps its second: the connection it belongs to is not torn apart by the clock."""
    header = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101)
    packets = b"".join(
        struct.pack("<IIII", 1000 + n, fraction, 0, 0) for n, fraction in enumerate([5, 2**31, 7])
    )
    path = tmp_path / "x.pcap"
    path.write_bytes(header + packets)
    (capture,) = open_captures([str(path)])
    assert not list(capture.batches())
    assert capture.clock == 1002 * SECOND + 7000

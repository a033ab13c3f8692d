"""pcapng files, block by block: sections, interfaces, enhanced, simple and obsolete packets.

Source: draft-ietf-opsawg-pcapng.
"""

from __future__ import annotations

import struct

from halfopen.testing.pcap import ByteOrder

OPTION_TSRESOL, OPTION_TSOFFSET = 9, 14


class Pcapng:
    """A file being written; its first section is there from the beginning.

    ::

        file = Pcapng()
        file.interface(link=1, tsresol=9)
        file.packet(ts, frame)
        path.write_bytes(file.data)
    """

    def __init__(self, byteorder: ByteOrder = "little") -> None:
        self.data = b""
        self.section(byteorder)

    def section(self, byteorder: ByteOrder = "little") -> None:
        """Begin a section (4.1); interfaces are numbered anew."""
        self._order = "<" if byteorder == "little" else ">"
        self._interfaces: list[tuple[int, int]] = []
        self.block(0x0A0D0D0A, self._pack("IHHq", 0x1A2B3C4D, 1, 0, -1))

    def interface(
        self, link: int = 1, *, snaplen: int = 0, tsresol: int | None = None, tsoffset: int | None = None
    ) -> int:
        """Describe an interface (4.2) and return its number.

        `tsresol` is the option's byte: a power of ten, or of two with the top bit set; left out it
        means microseconds. `tsoffset` is in seconds.
        """
        options = b""
        if tsresol is not None:
            options += self._option(OPTION_TSRESOL, bytes([tsresol]))
        if tsoffset is not None:
            options += self._option(OPTION_TSOFFSET, self._pack("q", tsoffset))
        if options:
            options += self._pack("HH", 0, 0)
        self.block(1, self._pack("HHI", link, 0, snaplen) + options)
        self._interfaces.append((6 if tsresol is None else tsresol, tsoffset or 0))
        return len(self._interfaces) - 1

    def packet(self, ts: int, frame: bytes, *, interface: int = 0, length: int | None = None) -> None:
        """An enhanced packet (4.3); `ts` in ns, rounded down to what the interface resolves."""
        stamp = self._stamp(ts, interface)
        head = self._pack(
            "IIIII", interface, stamp >> 32, stamp & 0xFFFF_FFFF, len(frame), length or len(frame)
        )
        self.block(6, head + _padded(frame))

    def simple_packet(self, frame: bytes, *, length: int | None = None) -> None:
        """A simple packet (4.4), without a time."""
        self.block(3, self._pack("I", length or len(frame)) + _padded(frame))

    def obsolete_packet(
        self, ts: int, frame: bytes, *, interface: int = 0, length: int | None = None
    ) -> None:
        """A packet block (appendix A), as old writers made them; the count of drops is unknown."""
        stamp = self._stamp(ts, interface)
        numbers = (interface, 0xFFFF, stamp >> 32, stamp & 0xFFFF_FFFF, len(frame), length or len(frame))
        self.block(2, self._pack("HHIIII", *numbers) + _padded(frame))

    def block(self, kind: int, body: bytes) -> None:
        """Any block; `body` must be a multiple of four long."""
        total = len(body) + 12
        self.data += self._pack("II", kind, total) + body + self._pack("I", total)

    def _option(self, code: int, value: bytes) -> bytes:
        return self._pack("HH", code, len(value)) + _padded(value)

    def _stamp(self, ts: int, interface: int) -> int:
        resolution, offset = self._interfaces[interface]
        ticks = 1 << (resolution & 0x7F) if resolution & 0x80 else 10**resolution
        return (ts - offset * 1_000_000_000) * ticks // 1_000_000_000

    def _pack(self, layout: str, *values: int) -> bytes:
        return struct.pack(self._order + layout, *values)


def _padded(value: bytes) -> bytes:
    return value + b"\0" * (-len(value) % 4)

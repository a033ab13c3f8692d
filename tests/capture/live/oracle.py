"""What the kernel's program must keep, from the readable reader and the definition of a sample."""

from __future__ import annotations

from collections.abc import Set

from halfopen.capture.live.program import HEADERS, WITH_DATA
from halfopen.capture.reference.frames import Packet
from halfopen.model import Flag
from halfopen.sampling import Sampling

LOW = (1 << 64) - 1
TAGS = (b"\x81\0", b"\x88\xa8", b"\x91\0")
LABELS = (b"\x88\x47", b"\x88\x48", b"\x88\x64")
EXTENSIONS = (0, 43, 44, 51, 60)


def kept(packet: Packet, ports: Set[int], sampling: Sampling, *, outgoing: bool = False) -> int:
    """Bytes of a TCP packet that are to be kept."""
    if not outgoing and packet.dst_port in ports and _takes(sampling, packet.src, packet.src_port):
        return WITH_DATA
    ends = packet.flags & (Flag.SYN | Flag.FIN | Flag.RST)
    if ends and packet.src_port in ports and _takes(sampling, packet.dst, packet.dst_port):
        return HEADERS
    return 0


def exact(link: int, frame: bytes) -> bool:
    """Whether the program reads all headers of a frame, Ethernet (1) or raw IP; it lets through what it does not."""
    if link == 1:
        kind, frame = frame[12:14], frame[14:]
        for _ in range(2):
            if kind in TAGS:
                kind, frame = frame[2:4], frame[4:]
        if kind in (*TAGS, *LABELS):
            return False
    return not (len(frame) > 6 and frame[0] >> 4 == 6 and frame[6] in EXTENSIONS)


def _takes(sampling: Sampling, address: int, port: int) -> bool:
    return sampling.takes(address >> 64, address & LOW, port)

"""What passes an interface, recorded by a packet socket while scenarios watch (packet(7))."""

from __future__ import annotations

import ctypes
import fcntl
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from ipaddress import ip_address
from typing import Final, NamedTuple

from halfopen.model import SECOND, Flag
from halfopen.testing.namespaces import Namespace
from halfopen.testing.packets import TCP, End
from halfopen.testing.pcap import Frame

ETH_P_ALL: Final = 3
SO_TIMESTAMPNS: Final = 35
SO_RCVBUFFORCE: Final = 33
SIOCETHTOOL: Final = 0x8946
ETHTOOL_OFF: Final = (0x17, 0x1F, 0x24, 0x2C)
"""Checksums left to a card, and segments larger than the MTU (TSO, GSO, GRO): none on our wires."""


class Seen(NamedTuple):
    """The TCP header of a recorded frame."""

    src: End
    dst: End
    flags: Flag
    seq: int
    ack: int
    length: int
    ip_id: int
    ttl: int

    @property
    def next(self) -> int:
        """The sequence number behind this segment."""
        return (
            self.seq + self.length + bool(self.flags & Flag.SYN) + bool(self.flags & Flag.FIN)
        ) & 0xFFFFFFFF


def seen(frame: bytes) -> Seen | None:
    """The TCP header of a plain Ethernet frame; None where there is none."""
    kind = frame[12:14]
    if kind == b"\x08\0" and frame[23] == TCP:
        tcp = 14 + (frame[14] & 15) * 4
        (end,) = struct.unpack_from("!H", frame, 16)
        src, dst, ip_id, ttl = frame[26:30], frame[30:34], int.from_bytes(frame[18:20], "big"), frame[22]
        end += 14
    elif kind == b"\x86\xdd" and frame[20] == TCP:
        tcp, ip_id, ttl = 54, 0, frame[21]
        src, dst = frame[22:38], frame[38:54]
        end = 54 + int.from_bytes(frame[18:20], "big")
    else:
        return None
    sport, dport, seq, ack, offset, flags = struct.unpack_from("!HHIIBB", frame, tcp)
    length = end - tcp - (offset >> 4) * 4
    ends = (str(ip_address(src)), sport), (str(ip_address(dst)), dport)
    return Seen(*ends, Flag(flags), seq, ack, length, ip_id, ttl)


class Recorder:
    """All frames of one interface of one namespace, both directions, from now on.

    `watch` is called with every TCP header and its frame as they come: a middlebox that looks.
    """

    def __init__(
        self, namespace: Namespace, interface: str, watch: Callable[[Seen, Frame], None] | None = None
    ) -> None:
        self.frames: list[Frame] = []
        self._watch = watch
        self._news = threading.Condition(threading.RLock())
        with namespace.entered():
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        with suppress(PermissionError):  # in a user namespace the ordinary buffer has to do
            self._socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 26)
        self._socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self._socket.bind((interface, ETH_P_ALL))
        self._socket.settimeout(0.1)
        self._recording = True
        self._thread = threading.Thread(target=self._record, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop recording; the frames stay."""
        self._recording = False
        self._thread.join()
        self._socket.close()

    def of(self, address: str, since: int = 0) -> list[Frame]:
        """The frames from `since` (ns) on that name `address`, quoted ones too."""
        packed = ip_address(address).packed
        with self._news:
            return [frame for frame in self.frames if frame.ts >= since and packed in frame.data]

    def wait_for(
        self, address: str, wanted: Callable[[list[Seen]], bool], *, since: int = 0, seconds: float = 10
    ) -> list[Seen]:
        """The TCP headers of `address` as soon as `wanted` says yes to them; TimeoutError if it never does."""
        found: list[Seen] = []

        def ready() -> bool:
            found[:] = [header for frame in self.of(address, since) if (header := seen(frame.data))]
            return wanted(found)

        with self._news:
            if not self._news.wait_for(ready, seconds):
                raise TimeoutError(f"{address}: what the scenario waits for did not happen")
        return found

    def _record(self) -> None:
        while self._recording:
            try:
                data, ancillary, _, _ = self._socket.recvmsg(65536, 64)
            except TimeoutError:
                continue
            seconds, part = struct.unpack("qq", ancillary[0][2])
            frame = Frame(seconds * SECOND + part, data)
            if self._watch and (header := seen(data)):
                self._watch(header, frame)
            with self._news:
                self.frames.append(frame)
                self._news.notify_all()


def no_offloads(interface: str) -> None:
    """Let every packet leave this interface of the current namespace as it will arrive."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        for feature in ETHTOOL_OFF:
            value = ctypes.create_string_buffer(struct.pack("II", feature, 0), 8)
            request = struct.pack("16sQ", interface.encode(), ctypes.addressof(value))
            fcntl.ioctl(handle, SIOCETHTOOL, request)

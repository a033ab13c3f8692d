"""A middlebox that cuts connections: every packet of the clients passes through it, one by one.

It forwards in the place of the kernel, so what a server receives before and after the cut is known to the
packet. What becomes of a connection, its fate, hangs on the server's address.
"""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from halfopen.model import Flag, Stage
from halfopen.testing import packets
from halfopen.testing.packets import RST_ACK, End
from halfopen.testing.recorder import Seen, seen
from halfopen.testing.testbed import CLIENT_NETS, TestBed

RST: Final = Flag.RST

_RULES: Final = f"""
table inet middlebox {{
  chain forward {{
    type filter hook forward priority -10;
    iifname near0 ip saddr {{ {", ".join(net for net in CLIENT_NETS if ":" not in net)} }} meta l4proto tcp drop
    iifname near0 ip6 saddr {{ {", ".join(net for net in CLIENT_NETS if ":" in net)} }} meta l4proto tcp drop
  }}
}}
"""
_ETHERNET: Final = 14


class Depth(IntEnum):
    """How far a connection has come, by what passed of the client."""

    NOTHING = 0
    SYN = 1
    ACK = 2
    DATA = 3
    MORE_DATA = 4


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of connections, and how that is to be told.

    Once a connection has come to `depth`, `resets` (flags and ack number) are sent to the server in the
    client's name, and nothing more of the client passes.
    """

    name: str
    stage: Stage
    signature: int = 0
    depth: Depth | None = None
    resets: tuple[tuple[Flag, int | None], ...] = ()  # None: the ack number that the client would send


FATES: Final = (
    Fate("goes well", Stage.no_match),
    Fate("dropped after the SYN", Stage.post_syn, 1, Depth.SYN),
    Fate("RST after the SYN", Stage.post_syn, 2, Depth.SYN, ((RST, 0),)),
    Fate("RST+ACK after the SYN", Stage.post_syn, 3, Depth.SYN, ((RST_ACK, None),)),
    Fate("first data dropped", Stage.post_ack, 5, Depth.ACK),
    Fate("RST after the handshake", Stage.post_ack, 6, Depth.ACK, ((RST, 0),)),
    Fate("two RST+ACK after the handshake", Stage.post_ack, 9, Depth.ACK, ((RST_ACK, None),) * 2),
    Fate("dropped after the first data", Stage.post_psh, 10, Depth.DATA),
    Fate("RST after the first data", Stage.post_psh, 11, Depth.DATA, ((RST, 0),)),
    Fate("RST and RST+ACK after the first data", Stage.post_psh, 13, Depth.DATA, ((RST, 0), (RST_ACK, None))),
    Fate("three RST+ACK after the first data", Stage.post_psh, 14, Depth.DATA, ((RST_ACK, None),) * 3),
    Fate("RST with ack numbers 1 and 0", Stage.post_psh, 17, Depth.DATA, ((RST, 1), (RST, 0))),
    Fate("RST after more data", Stage.later_in_flow, 18, Depth.MORE_DATA, ((RST, 0),)),
    Fate("RST+ACK after more data", Stage.later_in_flow, 19, Depth.MORE_DATA, ((RST_ACK, None),)),
    Fate("dropped after more data", Stage.no_match, 0, Depth.MORE_DATA),
)
"""What can become of a connection, each behind server addresses of its own."""


def address_of(fate: Fate, *, ipv6: bool = False) -> str:
    """The server's address behind which connections have a fate."""
    number = FATES.index(fate)
    return f"2001:db8:ffff::{number + 1:x}" if ipv6 else f"203.0.113.{160 + number}"


@dataclass(slots=True)
class _Passing:
    depth: Depth = Depth.NOTHING
    data: set[int] = field(default_factory=set)  # where data began
    cut: bool = False


class Middlebox:
    """Forwards from the clients' side of a test bed to the servers' while the body runs; a context manager."""

    def __init__(self, bed: TestBed) -> None:
        bed.middle.feed_nft(_RULES)
        self._bed = bed
        self._fates: Mapping[str, Fate] = {
            address_of(fate, ipv6=ipv6): fate for fate in FATES for ipv6 in (False, True)
        }
        self._passing: dict[tuple[End, End], _Passing] = {}
        self._random = random.Random(1)
        with bed.middle.entered():
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 23)
        self._socket.bind(("near0", 3))
        self._socket.settimeout(0.1)
        self._running = True
        self._thread = threading.Thread(target=self._run, name="middlebox", daemon=True)

    def __enter__(self) -> Middlebox:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._running = False
        self._thread.join()
        self._socket.close()
        self._bed.middle.run("nft delete table inet middlebox")

    def _run(self) -> None:
        while self._running:
            try:
                frame, (_, _, kind, *_) = self._socket.recvfrom(65536)
            except TimeoutError:
                continue
            if kind != socket.PACKET_OUTGOING and (header := seen(frame)):
                self._forward(header, frame[_ETHERNET:])

    def _forward(self, header: Seen, packet: bytes) -> None:
        fate = self._fates.get(header.dst[0], FATES[0])
        passing = self._passing.setdefault((header.src, header.dst), _Passing())
        if header.flags & Flag.SYN and passing.depth > Depth.SYN:  # the port is used again
            passing = self._passing[header.src, header.dst] = _Passing()
        if passing.cut:
            return
        self._bed.inject(packet)
        if header.flags & Flag.SYN:
            passing.depth = Depth.SYN
        elif header.length:
            passing.data.add(header.seq)
            passing.depth = Depth.DATA if len(passing.data) == 1 else Depth.MORE_DATA
        elif passing.depth == Depth.SYN:
            passing.depth = Depth.ACK
        if fate.depth == passing.depth:
            passing.cut = True
            for flags, ack in fate.resets:
                self._reset(header, flags, header.ack if ack is None else ack)

    def _reset(self, header: Seen, flags: Flag, ack: int) -> None:
        """As another stack would make it, at another distance."""
        packet = packets.tcp(
            header.src, header.dst, flags, seq=header.next, ack=ack, window=0, ttl=47,
            ip_id=self._random.randrange(1, 65536), dont_fragment=False,
        )  # fmt: skip
        self._bed.inject(packet)

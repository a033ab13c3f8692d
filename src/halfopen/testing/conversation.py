"""A connection written as a script: every call is one packet, both sides' numbers are kept.

::

    c = Conversation(("192.0.2.10", 40000), ("203.0.113.200", 443))
    c.syn().syn_ack().ack().data(client_hello("www.example")).wait(3).rst()
    Path("x.pcap").write_bytes(pcap(framed(c)))
"""

from __future__ import annotations

from typing import Any, Final, TypeVar

from halfopen.model import SECOND
from halfopen.testing import packets
from halfopen.testing.links import LINKS
from halfopen.testing.packets import ACK, FIN, FIN_ACK, PSH_ACK, RST, RST_ACK, SYN, SYN_ACK, End
from halfopen.testing.pcap import Frame

START: Final = 1_750_000_000 * SECOND
STEP: Final = 10_000_000
"""Time between two packets of a script (ns), unless it waits."""

Self = TypeVar("Self", bound="Conversation")


class Side:
    """One end: its next sequence number, what it has seen of the other, and its IP-ID."""

    def __init__(self, end: End, isn: int, ttl: int, ip_id: int) -> None:
        self.end = end
        self.isn = isn
        self.next = isn
        self.seen = 0
        self.ttl = ttl
        self.ip_id = ip_id

    def new_ip_id(self) -> int:
        """The next IP-ID: counts up, or stays 0 where it began with 0."""
        now = self.ip_id
        self.ip_id = (now + 1) & 0xFFFF if now else 0
        return now


class Conversation:
    """Both ends of one connection and the packets they have sent.

    Every packet moves the clock on by `STEP`. Any field of `packets.tcp` can be overridden in any
    call; a packet with its own `seq` leaves the side's sequence number alone, and so does a RST.
    """

    def __init__(
        self,
        client: End,
        server: End,
        *,
        start: int = START,
        client_isn: int = 1_000_000,
        server_isn: int = 9_000_000,
        client_ttl: int = 57,
        server_ttl: int = 64,
        client_ip_id: int = 1000,
        server_ip_id: int = 30000,
    ) -> None:
        self.client = Side(client, client_isn, client_ttl, client_ip_id)
        self.server = Side(server, server_isn, server_ttl, server_ip_id)
        self.now = start
        self.packets: list[Frame] = []

    def wait(self: Self, seconds: float) -> Self:
        """Let time pass."""
        self.now += round(seconds * SECOND)
        return self

    def at(self: Self, ts: int) -> Self:
        """Set the clock (ns since the epoch), backwards too."""
        self.now = ts
        return self

    def send(self: Self, side: Side, flags: int, **fields: Any) -> Self:
        """One packet of `side`; the other has seen its bytes, unless `lost` is true: then it is not recorded."""
        other = self.server if side is self.client else self.client
        lost = fields.pop("lost", False)
        payload = fields.get("payload", b"")
        values: dict[str, Any] = {
            "seq": side.next,
            "ack": side.seen if flags & ACK else 0,
            "ttl": side.ttl,
            **fields,
        }
        if "ip_id" not in fields:
            values["ip_id"] = side.new_ip_id()
        if not flags & RST and "seq" not in fields:
            side.next = (side.next + len(payload) + bool(flags & SYN) + bool(flags & FIN)) & 0xFFFF_FFFF
            if not lost:
                other.seen = side.next
        if not lost:
            self.packets.append(Frame(self.now, packets.tcp(side.end, other.end, flags, **values)))
        self.now += STEP
        return self

    def again(self: Self, *, back: int = 1) -> Self:
        """Send the `back`-th last recorded packet once more, byte by byte (a copy, not a new packet)."""
        self.packets.append(Frame(self.now, self.packets[-back].data))
        self.now += STEP
        return self

    def syn(self: Self, **fields: Any) -> Self:
        """The client's SYN; called again it is a retransmission."""
        self.client.next = self.client.isn
        return self.send(self.client, SYN, **{"options": packets.LINUX_SYN_OPTIONS, **fields})

    def syn_ack(self: Self, **fields: Any) -> Self:
        """The server's SYN-ACK; called again it is a retransmission."""
        self.server.next = self.server.isn
        return self.send(self.server, SYN_ACK, **{"options": packets.LINUX_SYN_OPTIONS, **fields})

    def ack(self: Self, **fields: Any) -> Self:
        """An ACK of the client without data."""
        return self.send(self.client, ACK, **fields)

    def data(self: Self, payload: bytes, *, psh: bool = True, **fields: Any) -> Self:
        """Data of the client, pushed unless `psh` is false."""
        return self.send(self.client, PSH_ACK if psh else ACK, payload=payload, **fields)

    def resend(self: Self, payload: bytes, *, psh: bool = True, **fields: Any) -> Self:
        """The last `payload` of the client once more: a retransmission, with an IP-ID of its own."""
        return self.data(payload, psh=psh, seq=self.client.next - len(payload), **fields)

    def fin(self: Self, **fields: Any) -> Self:
        """FIN+ACK of the client."""
        return self.send(self.client, FIN_ACK, **fields)

    def rst(self: Self, **fields: Any) -> Self:
        """A bare RST in the client's name, at its next sequence number."""
        return self.send(self.client, RST, **fields)

    def rst_ack(self: Self, **fields: Any) -> Self:
        """RST+ACK in the client's name."""
        return self.send(self.client, RST_ACK, **fields)

    def reply(self: Self, payload: bytes = b"", **fields: Any) -> Self:
        """Data of the server; without a payload its bare ACK."""
        return self.send(self.server, PSH_ACK if payload else ACK, payload=payload, **fields)

    def server_fin(self: Self, **fields: Any) -> Self:
        """FIN+ACK of the server."""
        return self.send(self.server, FIN_ACK, **fields)

    def server_rst(self: Self, **fields: Any) -> Self:
        """A bare RST in the server's name."""
        return self.send(self.server, RST, **fields)

    def server_rst_ack(self: Self, **fields: Any) -> Self:
        """RST+ACK in the server's name: how a closed port refuses a SYN."""
        return self.send(self.server, RST_ACK, **fields)

    def unreachable(self: Self, by: str, **fields: Any) -> Self:
        """ICMP destination unreachable from `by`, quoting the last recorded packet."""
        self.packets.append(Frame(self.now, packets.unreachable(by, self.packets[-1].data, **fields)))
        self.now += STEP
        return self

    def tick(self: Self) -> Self:
        """A UDP datagram of the server: it moves the capture's clock on and is no connection."""
        datagram = packets.udp((self.server.end[0], 9), (self.client.end[0], 9), b"tick")
        self.packets.append(Frame(self.now, datagram))
        self.now += STEP
        return self

    def open(self: Self) -> Self:
        """The three packets of the handshake."""
        return self.syn().syn_ack().ack()


def framed(*conversations: Conversation, link: str = "ethernet") -> list[Frame]:
    """The packets of all `conversations` in the order of time, each in a frame of `link` (see `LINKS`)."""
    wrap = LINKS[link].wrap
    together = sorted((f for c in conversations for f in c.packets), key=lambda f: f.ts)
    return [Frame(f.ts, wrap(f.data)) for f in together]

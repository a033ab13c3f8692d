"""Packets recorded twice, and packets that only look alike (D14)."""

from __future__ import annotations

from halfopen.testing.conversation import STEP, Conversation, framed
from halfopen.testing.packets import RST, checksum
from halfopen.testing.payloads import client_hello, http_answer
from halfopen.testing.pcap import Frame
from halfopen.testing.play import Play, reset
from scenes import asked, drawn, exchange, real, talk

HELLO = client_hello("copies.example")
MICROSECOND = 1000


def mirrored(_: Play, frames: list[Frame]) -> list[Frame]:
    """What a tap sees that a switch feeds twice: every frame again, 3 microseconds later."""
    return [copy for f in frames for copy in (f, Frame(f.ts + 3 * MICROSECOND, f.data))]


def _client_twice(c: Conversation, later: int) -> list[Frame]:
    client = c.client.end[0]
    copies = [Frame(f.ts + later, f.data) for f in c.packets if _source(f.data) == client]
    c.packets += copies
    return framed(c)


def _source(packet: bytes) -> str:
    return ".".join(map(str, packet[12:16]))


@drawn()
def rst_mirrored() -> list[Frame]:
    """Synthesised for exact copies: one RST+ACK recorded twice, 40 microseconds apart, with one IP-ID."""
    c = talk().open().data(HELLO).reply().rst_ack()
    return framed(c.at(c.now - STEP + 40 * MICROSECOND).again())


@real()
def rst_storm(play: Play) -> None:
    """After the ClientHello the middlebox sends three equal RSTs with IP-ID 0 at once."""
    asked(play, HELLO)
    for _ in range(3):
        play.inject(RST, ip_id=0)
    play.arrived(RST, count=3)


@drawn()
def acks_with_windows() -> list[Frame]:
    """Synthesised: IP-ID 0 throughout; four ACKs within 4 ms that differ in nothing but the window."""
    c = talk(client_ip_id=0).open().data(HELLO).reply(http_answer())
    for window in (500, 501, 502, 503):
        c.ack(window=window)
        c.now -= STEP - 1000 * MICROSECOND
    return framed(c.rst())


@drawn()
def copies_20ms_apart() -> list[Frame]:
    """Synthesised for exact copies: each packet of the client recorded again 20 ms later; then silence."""
    c = talk().syn().wait(0.1).syn_ack().ack().wait(0.1).data(HELLO).wait(0.1).reply()
    frames = _client_twice(c, 20_000_000)
    return frames + framed(talk().at(c.now).wait(11).tick())


@drawn()
def copies_120ms_apart() -> list[Frame]:
    """Synthesised for exact copies: each packet of the client again 120 ms later, too late for a copy; then silence."""
    c = talk().syn().wait(0.2).syn_ack().ack().wait(0.2).data(HELLO).wait(0.2).reply()
    frames = _client_twice(c, 120_000_000)
    return frames + framed(talk().at(c.now).wait(11).tick())


@drawn()
def copies_without_ip_id() -> list[Frame]:
    """Synthesised for exact copies: IP-ID 0; the ACK again after 2 ms is a copy, the ClientHello after 6 ms is not."""
    c = talk(client_ip_id=0).open()
    c.at(c.now - STEP + 2_000_000).again().wait(0.1).data(HELLO)
    c.at(c.now - STEP + 6_000_000).again().reply()
    return framed(c.wait(11).tick())


@real(ipv6=True, keep=mirrored)
def ipv6_mirrored(play: Play) -> None:
    """A request, its answer and a RST over IPv6; then every frame doubled, 3 microseconds later, as by a tap fed twice."""
    client, _ = exchange(play)
    reset(client)
    play.arrived(RST)


@real(keep=mirrored)
def mirrored_refused(play: Play) -> None:
    """A SYN to a closed port; then every frame doubled, 3 microseconds later, as by a tap fed twice."""
    play.begin()
    play.sent(RST)


@drawn()
def acks_with_options() -> list[Frame]:
    """Synthesised: IP-ID 0 throughout; three ACKs within 2 ms that differ in their time stamp option only."""
    c = talk(client_ip_id=0).open().data(HELLO).reply(http_answer())
    for stamp in (1, 2, 3):
        c.ack(options=bytes((1, 1, 8, 10, 0, 0, 0, stamp, 0, 0, 0, 9)))
        c.now -= STEP - 1000 * MICROSECOND
    return framed(c.rst())


@drawn()
def copies_across_a_router() -> list[Frame]:
    """Synthesised: every packet of the client recorded on both sides of a router, 1 ms later with a TTL less by one."""
    c = talk().open().data(HELLO).reply().rst(ttl=99)
    client = c.client.end[0]
    c.packets += [
        Frame(f.ts + 1000 * MICROSECOND, _routed(f.data)) for f in c.packets if _source(f.data) == client
    ]
    return framed(c)


def _routed(packet: bytes) -> bytes:
    head = packet[:8] + bytes([packet[8] - 1, packet[9], 0, 0]) + packet[12:20]
    return head[:10] + checksum(head).to_bytes(2, "big") + head[12:] + packet[20:]


@drawn()
def rst_storm_beyond_ten() -> list[Frame]:
    """Synthesised to choose the count: after the ClientHello nine RSTs, each with an IP-ID of its own."""
    c = talk().open().data(HELLO).reply()
    for _ in range(9):
        c.rst()
    return framed(c)

"""Link layers, tunnels, fragments and files in pieces (D1, D18). The link layers are put around drawn packets."""

from __future__ import annotations

import struct
from functools import partial

from halfopen.testing import packets
from halfopen.testing.conversation import START, Conversation, framed
from halfopen.testing.links import LOOP as LOOPBACK
from halfopen.testing.links import NFLOG, NULL, RAW, SLL, SLL2, ethernet
from halfopen.testing.payloads import client_hello, http_answer
from halfopen.testing.pcap import Frame
from scenes import drawn, talk

HELLO = client_hello("links.example")


def reset_after_hello(**talk_options: bool) -> Conversation:
    """The same short story for every link: a handshake, a ClientHello, an injected RST."""
    return talk(**talk_options).open().data(HELLO).reply().rst(ttl=99, ip_id=9000)


@drawn()
def link_vlan() -> list[Frame]:
    """Synthesised link layer: Ethernet with an 802.1Q tag."""
    return framed(reset_after_hello(), link="vlan")


@drawn()
def link_qinq() -> list[Frame]:
    """Synthesised link layer: Ethernet with an 802.1ad and an 802.1Q tag."""
    return framed(reset_after_hello(), link="qinq")


@drawn()
def link_pppoe() -> list[Frame]:
    """Synthesised link layer: PPPoE, IPv6 inside."""
    return framed(reset_after_hello(ipv6=True), link="pppoe")


@drawn()
def link_mpls() -> list[Frame]:
    """Synthesised link layer: Ethernet with two MPLS labels."""
    return framed(reset_after_hello(), link="mpls")


@drawn(link=SLL)
def link_sll() -> list[Frame]:
    """Synthesised link layer: Linux cooked, version 1."""
    return framed(reset_after_hello(), link="sll")


@drawn(link=SLL2)
def link_sll2() -> list[Frame]:
    """Synthesised link layer: Linux cooked, version 2, IPv6 inside."""
    return framed(reset_after_hello(ipv6=True), link="sll2")


@drawn(link=NULL)
def link_null() -> list[Frame]:
    """Synthesised link layer: BSD loopback."""
    return framed(reset_after_hello(), link="null")


@drawn(link=LOOPBACK)
def link_loop() -> list[Frame]:
    """Synthesised link layer: OpenBSD loopback, IPv6 inside."""
    return framed(reset_after_hello(ipv6=True), link="loop")


@drawn(link=RAW)
def link_raw() -> list[Frame]:
    """Synthesised link layer: raw IP."""
    return framed(reset_after_hello(), link="raw")


@drawn(link=NFLOG)
def link_nflog() -> list[Frame]:
    """Synthesised link layer: Linux NFLOG with a prefix."""
    return framed(reset_after_hello(), link="nflog")


@drawn(link=147)
def link_unknown() -> list[Frame]:
    """Synthesised: a link type reserved for private use."""
    return framed(reset_after_hello())


@drawn()
def vxlan_inner_syn() -> list[Frame]:
    """Synthesised: a SYN inside VXLAN."""
    inner = framed(talk().syn())
    return [Frame(f.ts, ethernet(packets.vxlan("198.51.100.1", "203.0.113.201", f.data))) for f in inner]


@drawn()
def tunnels() -> list[Frame]:
    """Synthesised: a SYN in each of GRE, IPIP, 6in4, GENEVE, GTP, ERSPAN and CAPWAP, and quoted by ICMP."""
    ends = "198.51.100.1", "203.0.113.201"
    syn = talk().syn().packets[0].data
    six = talk(ipv6=True).syn().packets[0].data
    erspan = struct.pack("!HHIII", 0x1000, 0x88BE, 1, 0x1000_0000, 0) + ethernet(syn)
    capwap = struct.pack("!BBHI", 0, 0x10, 0, 0) + ethernet(syn)
    exceeded = packets.unreachable(ends[0], syn)
    exceeded = exceeded[:20] + _with_checksum(b"\x0b\0" + exceeded[22:])
    inside = (
        packets.gre(*ends, syn),
        packets.ipip(*ends, syn),
        packets.ipip(*ends, six),
        packets.geneve(*ends, ethernet(syn)),
        packets.gtp(*ends, syn),
        packets.ip(*ends, packets.GRE, erspan),
        packets.udp((ends[0], 40000), (ends[1], 5247), capwap),
        exceeded,
    )
    return [Frame(START + i * 10_000_000, ethernet(packet)) for i, packet in enumerate(inside)]


@drawn()
def fragments() -> list[Frame]:
    """Synthesised to place the cut: the ClientHello in two IPv4 fragments, the name in the first; then a RST."""
    c = talk().open().data(HELLO).reply().rst()
    whole = c.packets[3]
    src, dst = c.client.end[0], c.server.end[0]
    ipv4 = partial(packets.ipv4, src, dst, packets.TCP, ip_id=77, ttl=57, dont_fragment=False)
    body = whole.data[20:]
    first = ipv4(body[:160], more_fragments=True)
    rest = ipv4(body[160:], fragment_offset=160)
    c.packets[3:4] = [Frame(whole.ts, first), Frame(whole.ts + 1000, rest)]
    return framed(c)


@drawn()
def ipv6_extensions() -> list[Frame]:
    """Synthesised: IPv6 with hop-by-hop and destination options before TCP; a ClientHello and a RST."""
    c = reset_after_hello(ipv6=True)
    headers = packets.extension(60) + packets.extension(packets.TCP)
    return [
        Frame(
            f.ts,
            ethernet(
                f.data[:4]
                + struct.pack("!HB", len(f.data) - 40 + len(headers), 0)
                + f.data[7:40]
                + headers
                + f.data[40:]
            ),
        )
        for f in c.packets
    ]


@drawn()
def ip_options() -> list[Frame]:
    """Synthesised: IPv4 with options (router alert) in the client's packets; a ClientHello and a RST."""
    c, alert = talk(), bytes.fromhex("94040000")
    c.syn(ip_options=alert).syn_ack().ack(ip_options=alert).data(HELLO, ip_options=alert).reply()
    return framed(c.rst(ip_options=alert, ip_id=9000, ttl=99))


@drawn()
def snaplen_cut() -> list[Frame]:
    """Synthesised: a snaplen of 54 bytes keeps the headers and no data; a ClientHello and a RST."""
    return [Frame(f.ts, f.data[:54], len(f.data)) for f in framed(reset_after_hello())]


@drawn()
def snaplen_too_short() -> list[Frame]:
    """Synthesised: a snaplen of 40 bytes ends before the TCP flags."""
    return [Frame(f.ts, f.data[:40], len(f.data)) for f in framed(reset_after_hello())]


def _rotated() -> list[Frame]:
    c = talk().open().data(HELLO).reply(http_answer()).ack()
    c.wait(5).fin().server_fin().ack()
    return framed(c)


@drawn()
def rotated_1() -> list[Frame]:
    """Synthesised to place the cut: the first of two files, the handshake, a ClientHello and its answer."""
    return _rotated()[:5]


@drawn()
def rotated_2() -> list[Frame]:
    """Synthesised to place the cut: the second of two files, an ACK and both FINs."""
    return _rotated()[5:]


def _with_checksum(message: bytes) -> bytes:
    bare = message[:2] + b"\0\0" + message[4:]
    return bare[:2] + struct.pack("!H", packets.checksum(bare)) + bare[4:]

"""What one frame becomes: a row, or a count that says why not."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address
from typing import Any

import pytest

from halfopen.model import MAPPED_PREFIX, Counter, Kind, Option, Trait, counts
from tests.capture import layers
from tests.capture.comparison import assert_same
from tests.capture.layers import GRE, ICMP, ICMPV6, IPV6, UDP, ethernet, ipv4, ipv6, pcap, record, tcp, udp


def row_of(frame: bytes, link: int = 1, length: int | None = None) -> Any:
    """The one row of a capture of one frame."""
    rows = assert_same(pcap(record(1, frame, length), link=link)).rows
    assert len(rows) == 1
    return rows[0]


def counted(frame: bytes, link: int = 1, length: int | None = None) -> str:
    """The counter of a frame that makes no row."""
    read = assert_same(pcap(record(1, frame, length), link=link))
    assert len(read.rows) == 0
    (name,) = {name for name, count in counts(read.counters).items() if count} - {"packets"}
    return name


def test_every_field_of_a_segment() -> None:
    options = b"\x02\x04\x05\xb4\x01\x03\x03\x08\x04\x02\x01\x01"
    row = row_of(ethernet(ipv4(tcp(b"GET /", options=options, flags=0x18))))
    assert row["ts"] == 10**9
    assert (row["src_hi"], row["src_lo"]) == (0, MAPPED_PREFIX | int(layers.CLIENT))
    assert (row["dst_hi"], row["dst_lo"]) == (0, MAPPED_PREFIX | int(layers.SERVER))
    assert (row["src_port"], row["dst_port"], row["seq"], row["ack"]) == (40000, 443, 1000, 2000)
    assert (row["flags"], row["window"], row["ttl"], row["ip_id"]) == (0x18, 512, 60, 7)
    assert (row["kind"], row["traits"]) == (Kind.TCP, Trait.DONT_FRAGMENT)
    assert (row["payload_length"], row["payload_captured"]) == (5, 5)
    assert row["options"] == Option.MSS | Option.SCALE | Option.SCALE_8 | Option.SACK_PERMITTED
    assert row["options_hash"] != 0


def test_ipv6_has_no_identification() -> None:
    row = row_of(ethernet(ipv6(tcp(b"x")), IPV6))
    assert int(row["src_hi"]) << 64 | int(row["src_lo"]) == int(layers.CLIENT6)
    assert (row["traits"], row["ip_id"], row["ttl"], row["payload_length"]) == (Trait.IPV6, 0, 61, 1)


def test_payload_is_found_where_the_row_says() -> None:
    read = assert_same(pcap(record(1, ethernet(ipv4(tcp(b"one")))), record(2, ethernet(ipv4(tcp(b"two"))))))
    assert read.payloads == [b"one", b"two"]


def test_link_padding_is_no_data() -> None:
    assert row_of(ethernet(ipv4(tcp())) + bytes(6))["payload_length"] == 0


def test_segmentation_offload_leaves_the_length_to_the_frame() -> None:
    assert row_of(ethernet(ipv4(tcp(b"x" * 100), total=0)))["payload_length"] == 100
    assert row_of(ethernet(ipv6(tcp(b"x" * 100), length=0), IPV6))["payload_length"] == 100
    assert row_of(ethernet(ipv4(tcp(b"x" * 10), total=0)), length=9000)["payload_length"] == 9000 - 54


@pytest.mark.parametrize("link", [12, 14, 101])
def test_raw_links_carry_either_version(link: int) -> None:
    assert row_of(ipv4(tcp()), link)["traits"] == Trait.DONT_FRAGMENT
    assert row_of(ipv6(tcp()), link)["traits"] == Trait.IPV6


def test_raw_links_of_one_version() -> None:
    assert row_of(ipv4(tcp()), 228)["kind"] == Kind.TCP
    assert row_of(ipv6(tcp()), 229)["kind"] == Kind.TCP


@pytest.mark.parametrize("link", [0, 108])
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("family", [2, 10, 24, 28, 30])
def test_loopback_in_either_byte_order(link: int, order: str, family: int) -> None:
    inner = ipv4(tcp()) if family == 2 else ipv6(tcp())
    assert row_of(struct.pack(order + "I", family) + inner, link)["kind"] == Kind.TCP


@pytest.mark.parametrize(("link", "header"), [(113, 14), (276, 0)])
def test_linux_cooked(link: int, header: int) -> None:
    frame = bytearray(16 if link == 113 else 20)
    frame[header : header + 2] = b"\x08\x00"
    assert row_of(bytes(frame) + ipv4(tcp()), link)["kind"] == Kind.TCP


@pytest.mark.parametrize("order", "<>")
def test_netfilter_log(order: str) -> None:
    attributes = struct.pack(order + "HHB3xHHI", 5, 10, 0, 8, 3, 77)  # a prefix with padding, then a mark
    frame = b"\x02\0\0\0" + attributes + struct.pack(order + "HH", 4 + 40, 9) + ipv4(tcp())
    read = assert_same(pcap(record(1, frame, order=order), link=239, order=order))
    assert read.counters[Counter.tcp] == 1


@pytest.mark.parametrize("tag", [0x8100, 0x88A8, 0x9100])
def test_vlan_tags_one_inside_another(tag: int) -> None:
    inner = struct.pack(">HHHH", 5, 0x8100, 6, 0x0800) + ipv4(tcp())
    assert row_of(ethernet(inner, tag))["dst_port"] == 443


def test_mpls_stack_and_pppoe_session() -> None:
    assert row_of(ethernet(b"\0\x01\0\x40\0\x02\x01\x40" + ipv6(tcp()), 0x8847))["traits"] == Trait.IPV6
    assert row_of(ethernet(struct.pack(">BBHHH", 0x11, 0, 1, 42, 0x21) + ipv4(tcp()), 0x8864))["ttl"] == 60
    assert counted(ethernet(b"\0\x01\x01\x40" + bytes(30), 0x8847)) == "not_ip"
    assert counted(ethernet(struct.pack(">BBHHH", 0x11, 0, 1, 42, 0xC021) + bytes(20), 0x8864)) == "not_ip"


def test_ipv4_options_and_ipv6_extension_headers() -> None:
    assert row_of(ethernet(ipv4(tcp(b"x"), options=bytes(40))))["payload_length"] == 1
    chain = bytes([43, 0, 0, 0, 0, 0, 0, 0]) + bytes([60, 1]) + bytes(14)
    chain += bytes([51, 0]) + bytes(6) + bytes([6, 4]) + bytes(22)
    row = row_of(ethernet(ipv6(chain + tcp(b"x"), 0), IPV6))
    assert (row["src_port"], row["payload_length"]) == (40000, 1)
    assert counted(ethernet(ipv6(bytes(8) * 17 + tcp(), 0), IPV6)) == "malformed"


def test_first_fragments_only() -> None:
    assert row_of(ethernet(ipv4(tcp(b"x" * 8), fragment=0x2000)))["payload_length"] == 8
    assert counted(ethernet(ipv4(bytes(40), fragment=0x0003))) == "fragment"
    assert row_of(ethernet(ipv6(struct.pack(">BBHI", 6, 0, 1, 9) + tcp(), 44), IPV6))["seq"] == 1000
    assert counted(ethernet(ipv6(struct.pack(">BBHI", 6, 0, 8, 9) + bytes(40), 44), IPV6)) == "fragment"


def test_a_packet_cut_by_the_snaplen_is_used_as_long_as_its_flags_are_there() -> None:
    frame = ethernet(ipv4(tcp(b"x" * 50, options=b"\x01\x01\x08\x0a" + bytes(8))))
    whole = row_of(frame)
    for captured in range(14 + 20 + 14, len(frame)):
        row = row_of(frame[:captured], length=len(frame))
        assert (row["flags"], row["payload_length"]) == (whole["flags"], 50)
        assert row["payload_captured"] == max(0, captured - 66)
        assert row["window"] == (512 if captured >= 50 else 0)
    assert row_of(frame[:54], length=len(frame))["options_hash"] == 0
    for captured in range(14 + 20 + 14):
        assert counted(frame[:captured], length=len(frame)) == "cut_short"


def test_what_is_not_tcp_over_ip() -> None:
    assert counted(ethernet(bytes(28), 0x0806)) == "not_ip"
    assert counted(ethernet(ipv4(udp(b"question", 53), UDP))) == "not_tcp"
    assert counted(bytes(40), link=105) == "unknown_link"
    assert assert_same(pcap(record(1, bytes(40)), link=105)).links == {105: 1}
    assert assert_same(pcap(record(1, bytes(40)), link=60000)).links == {1023: 1}


@pytest.mark.parametrize(
    "frame",
    [
        ethernet(b"\x55" + bytes(39)),  # no such version
        ethernet(b"\x44" + bytes(39)),  # IPv4 header of 16 bytes
        ethernet(ipv4(tcp(), total=19)),
        ethernet(ipv4(tcp(), total=39)),  # no room for a TCP header
        ethernet(ipv4(tcp()[:12] + b"\x40" + tcp()[13:])),  # TCP header of 16 bytes
        ethernet(ipv4(tcp()[:12] + b"\xf0" + tcp()[13:])),  # longer than the packet
        ethernet(ipv4(tcp()))[:30],  # shorter on the wire than its headers
        bytes(3),
    ],
)
def test_headers_that_contradict_themselves(frame: bytes) -> None:
    assert counted(frame) == "malformed"


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"\x01\x01\x08\x0a" + bytes(8), Option.TIMESTAMP),
        (b"\x08\x0a" + bytes(8) + b"\x00\x02", Option.TIMESTAMP),
        (b"\x03\x03\x07\x01", Option.SCALE),
        (b"\x05\x0a" + bytes(8) + b"\x01\x01", Option.OTHER),
        (b"\x02\x03\x05\x01", Option.OTHER),  # a segment size of odd length
        (b"\x02\x04\x05\xb4\x1e\x01\x00\x00", Option.MSS | Option.OTHER),  # a length that cannot be
        (b"\x1e\x09\x00\x00", Option.OTHER),  # runs out of the header
        (bytes(4), Option(0)),
    ],
)
def test_options(data: bytes, found: Option) -> None:
    assert row_of(ethernet(ipv4(tcp(options=data))))["options"] == found


def test_the_hash_tells_option_bytes_apart() -> None:
    stamps = [b"\x01\x01\x08\x0a" + struct.pack(">II", value, 0) for value in range(200)]
    hashes = {int(row_of(ethernet(ipv4(tcp(options=stamp))))["options_hash"]) for stamp in stamps}
    assert len(hashes) == 200
    assert row_of(ethernet(ipv4(tcp())))["options_hash"] == 0


INNER = ipv4(tcp())


@pytest.mark.parametrize(
    ("protocol", "body"),
    [
        (4, INNER),
        (41, ipv6(tcp())),
        (GRE, b"\0\0\x08\0" + INNER),
        (GRE, b"\xb0\0\x86\xdd" + bytes(12) + ipv6(tcp())),
        (GRE, b"\0\0\x65\x58" + ethernet(INNER)),
        (GRE, b"\x10\0\x88\xbe" + bytes(4) + bytes(8) + ethernet(INNER)),
        (GRE, b"\0\0\x88\xbe" + ethernet(INNER)),
        (GRE, b"\x10\0\x22\xeb" + bytes(4) + bytes(11) + b"\x01" + bytes(8) + ethernet(INNER)),
        (UDP, udp(b"\x08" + bytes(7) + ethernet(INNER), 4789)),
        (UDP, udp(b"\x08" + bytes(7) + ethernet(b"\0\5\x08\0" + INNER, 0x8100), 4789)),
        (UDP, udp(b"\x01\0\x65\x58" + bytes(4) + bytes(4) + ethernet(INNER), 6081)),
        (UDP, udp(b"\0\0\x08\0" + bytes(4) + INNER, 6081)),
        (UDP, udp(b"\x30\xff" + bytes(6) + INNER, 2152)),
        (UDP, udp(b"\x34\xff" + bytes(6) + b"\0\0\0\x85" + b"\x01\0\0\0" + INNER, 2152)),
        (UDP, udp(bytes([0, 2 << 3]) + bytes(6) + ethernet(INNER), 5247)),
        (UDP, udp(bytes([0, 2 << 3, 1]) + bytes(5 + 26) + b"\xaa\xaa\3\0\0\0\x08\0" + INNER, 5247)),
        (UDP, udp(ipv6(tcp()), 3544)),
        (UDP, udp(bytes(8) + ipv6(tcp()), 3544)),
    ],
)
def test_tcp_in_a_tunnel_is_counted_and_not_followed(protocol: int, body: bytes) -> None:
    assert counted(ethernet(ipv4(body, protocol))) == "tunnelled"
    assert counted(ethernet(ipv6(body, protocol), IPV6)) == "tunnelled"


@pytest.mark.parametrize("port", [4789, 6081, 2152, 5247, 3544])
def test_a_tunnel_port_alone_is_no_tunnel(port: int) -> None:
    assert counted(ethernet(ipv4(udp(bytes(60), port), UDP))) == "not_tcp"
    assert (
        counted(ethernet(ipv4(udp(b"\x08" + bytes(7) + ethernet(ipv4(bytes(30), UDP)), port), UDP)))
        == "not_tcp"
    )


def test_unreachable_from_a_router() -> None:
    error = layers.unreachable(ipv4(tcp())[:28])
    row = row_of(ethernet(ipv4(error, ICMP, source=IPv4Address("203.0.113.9"), to=layers.CLIENT)))
    assert (row["kind"], row["traits"]) == (Kind.UNREACHABLE, Trait.DONT_FRAGMENT)
    assert (row["src_lo"], row["dst_lo"]) == (
        MAPPED_PREFIX | int(layers.CLIENT),
        MAPPED_PREFIX | int(layers.SERVER),
    )
    assert (row["src_port"], row["dst_port"], row["seq"], row["ack"], row["flags"]) == (
        40000,
        443,
        1000,
        0,
        0,
    )
    assert row["payload_length"] == 0


def test_unreachable_from_the_responder() -> None:
    four = ethernet(ipv4(layers.unreachable(ipv4(tcp())), ICMP, source=layers.SERVER, to=layers.CLIENT))
    six = ipv6(layers.unreachable(ipv6(tcp()), 1), ICMPV6, source=layers.SERVER6, to=layers.CLIENT6)
    for frame in (four, ethernet(six, IPV6)):
        row = row_of(frame)
        assert row["kind"] == Kind.UNREACHABLE
        assert row["traits"] & Trait.FROM_RESPONDER
        assert (row["seq"], row["ack"], row["flags"]) == (1000, 2000, 0x18)


def test_quotes_count_as_tunnelled() -> None:
    frame = ethernet(ipv4(layers.unreachable(ipv4(tcp())), ICMP))
    assert assert_same(pcap(record(1, frame))).counters[Counter.tunnelled] == 1
    assert counted(ethernet(ipv4(layers.unreachable(ipv4(tcp()), 11), ICMP))) == "tunnelled"
    assert counted(ethernet(ipv4(layers.unreachable(ipv4(udp(b"", 53), UDP)), ICMP))) == "not_tcp"
    assert counted(ethernet(ipv4(layers.unreachable(ipv4(bytes(8), fragment=5)), ICMP))) == "not_tcp"
    assert counted(ethernet(ipv4(bytes(8) + ipv4(tcp()), ICMP))) == "not_tcp"  # an echo reply

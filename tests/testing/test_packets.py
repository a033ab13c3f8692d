"""The builder writes what it is told: fields, checksums, link layers, tunnels."""

from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halfopen.capture.source import open_captures
from halfopen.model import Counter, Flag, Kind, Trait
from halfopen.testing import packets
from halfopen.testing.conversation import START, Conversation, framed
from halfopen.testing.links import LINKS, ethernet
from halfopen.testing.packets import PSH_ACK, SYN
from halfopen.testing.pcap import Frame, pcap
from halfopen.testing.recorder import seen

PORTS = st.integers(0, 0xFFFF)
NUMBERS = st.integers(0, 0xFFFFFFFF)


@st.composite
def ends(draw: st.DrawFn) -> tuple[packets.End, packets.End]:
    kind = draw(st.sampled_from([IPv4Address, IPv6Address]))
    address = st.integers(0, 2 ** (32 if kind is IPv4Address else 128) - 1).map(lambda n: str(kind(n)))
    return (draw(address), draw(PORTS)), (draw(address), draw(PORTS))


@given(
    ends(),
    NUMBERS,
    NUMBERS,
    st.integers(0, 255),
    PORTS,
    st.integers(0, 255),
    st.binary(max_size=99),
    st.data(),
)
def test_every_field_is_written(
    both: tuple[packets.End, packets.End],
    seq: int,
    ack: int,
    flags: int,
    ip_id: int,
    ttl: int,
    payload: bytes,
    data: st.DataObject,
) -> None:
    options = data.draw(st.binary(max_size=40))
    src, dst = both
    packet = packets.tcp(
        src, dst, flags, seq=seq, ack=ack, ttl=ttl, ip_id=ip_id, payload=payload, options=options
    )
    header = seen(ethernet(packet))
    assert header is not None
    assert (header.src, header.dst) == (src, dst)
    assert (header.seq, header.ack, header.flags, header.length) == (seq, ack, Flag(flags), len(payload))
    assert header.ttl == ttl
    assert header.ip_id == (0 if ":" in src[0] else ip_id)


@given(ends(), st.binary(max_size=99))
def test_checksums_are_right(both: tuple[packets.End, packets.End], payload: bytes) -> None:
    packet = packets.tcp(*both, PSH_ACK, payload=payload)
    six = packet[0] >> 4 == 6
    segment = packet[40 if six else 20 :]
    addresses = packet[8:40] if six else packet[12:20]
    pseudo = addresses + (len(segment).to_bytes(4, "big") + (6).to_bytes(4, "big"))
    assert packets.checksum(pseudo + segment) == 0
    if not six:
        assert packets.checksum(packet[:20]) == 0


@pytest.mark.parametrize("ipv6", [False, True])
@pytest.mark.parametrize("link", LINKS)
def test_every_link_layer_is_read_back(link: str, ipv6: bool, tmp_path: Path) -> None:
    ends = (("2001:db8::1", 5), ("2001:db8::2", 6)) if ipv6 else (("192.0.2.1", 5), ("192.0.2.2", 6))
    talk = Conversation(*ends).open().data(b"hello").rst()
    file = tmp_path / "x.pcap"
    file.write_bytes(pcap(framed(talk, link=link), LINKS[link].number))
    (capture,) = open_captures([str(file)])
    rows = [row.copy() for batch in capture.batches() for row in batch.rows]
    assert not capture.problems
    assert [(row["ts"], row["src_port"], row["payload_length"]) for row in rows] == [
        (START, 5, 0),
        (START + 10_000_000, 6, 0),
        (START + 20_000_000, 5, 0),
        (START + 30_000_000, 5, 5),
        (START + 40_000_000, 5, 0),
    ]
    assert {bool(row["traits"] & Trait.IPV6) for row in rows} == {ipv6}


@pytest.mark.parametrize("ends", [("192.0.2.1", "192.0.2.2"), ("2001:db8::1", "2001:db8::2")])
def test_unreachable_quotes_the_packet(ends: tuple[str, str], tmp_path: Path) -> None:
    syn = packets.tcp((ends[0], 1234), (ends[1], 80), SYN, seq=9)
    complaint = packets.unreachable(ends[1], syn)
    file = tmp_path / "x.pcap"
    file.write_bytes(pcap([Frame(START, ethernet(complaint))]))
    (capture,) = open_captures([str(file)])
    (row,) = [row.copy() for batch in capture.batches() for row in batch.rows]
    assert (row["kind"], row["src_port"], row["dst_port"]) == (Kind.UNREACHABLE, 1234, 80)
    assert row["traits"] & Trait.FROM_RESPONDER


@pytest.mark.parametrize("tunnel", [packets.gre, packets.ipip, packets.gtp])
def test_tunnels_of_packets_are_tunnels(tunnel: object, tmp_path: Path) -> None:
    assert callable(tunnel)
    syn = packets.tcp(("192.0.2.1", 1), ("192.0.2.2", 2), SYN)
    _is_tunnelled(tunnel("198.51.100.1", "198.51.100.2", syn), tmp_path)


@pytest.mark.parametrize("tunnel", [packets.vxlan, packets.geneve])
def test_tunnels_of_frames_are_tunnels(tunnel: object, tmp_path: Path) -> None:
    assert callable(tunnel)
    syn = ethernet(packets.tcp(("192.0.2.1", 1), ("192.0.2.2", 2), SYN))
    _is_tunnelled(tunnel("198.51.100.1", "198.51.100.2", syn), tmp_path)


def _is_tunnelled(packet: bytes, tmp_path: Path) -> None:
    file = tmp_path / "x.pcap"
    file.write_bytes(pcap([Frame(START, ethernet(packet))]))
    (capture,) = open_captures([str(file)])
    assert not [row for batch in capture.batches() for row in batch.rows]
    assert capture.counters[Counter.tunnelled] == 1

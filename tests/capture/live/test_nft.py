"""The printed rules, loaded by `nft` into a namespace, log what the sensor is to see: real traffic, recorded beside them."""

from __future__ import annotations

import socket
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

import pytest

from halfopen.capture.live.nflog import Nflog
from halfopen.capture.live.nflog_socket import open_group
from halfopen.capture.live.nft import rules
from halfopen.capture.live.wire import Losses
from halfopen.errors import UsageError
from halfopen.model import PACKETS_KEPT, Flag
from halfopen.testing import packets
from halfopen.testing.namespaces import Namespace
from halfopen.testing.packets import RST, SYN, End
from halfopen.testing.play import LINGER_RESET, receive, socket_of
from halfopen.testing.recorder import seen
from halfopen.testing.testbed import TestBed
from tests.beds import bed_of

Require = Callable[[bool, str], None]
Net = IPv4Network | IPv6Network
Packet = tuple[bool, int, int, int, int]  # of the client, flags, seq, ack, length of the payload

GROUP = 7
SNAPLEN = 200
HOSTS = (("192.0.2.5", "203.0.113.130"), ("2001:db8:1::5", "2001:db8:ffff::5"))
OTHER_SERVERS = {"203.0.113.130": "203.0.113.131", "2001:db8:ffff::5": "2001:db8:ffff::6"}
BEGINS_OR_ENDS = Flag.SYN | Flag.FIN | Flag.RST


@pytest.fixture
def bed(require: Require) -> Iterator[TestBed]:
    with bed_of(require) as made:
        yield made


class Watched:
    """A server's namespace whose firewall logs by the printed rules, and what of it arrives."""

    def __init__(self, bed: TestBed, ports: set[int], nets: tuple[Net, ...] = (), many: int = 1) -> None:
        self.bed = bed
        bed.server.feed_nft(rules(GROUP, ports, nets, many, SNAPLEN))
        bed.server.tune(netfilter__nf_conntrack_acct=1)
        with bed.server.entered():
            self.wire = Nflog(open_group(GROUP, SNAPLEN), GROUP)
        self.ports = ports

    def logged(self) -> dict[End, list[Packet]]:
        """By client, in the order in which they came."""
        time.sleep(0.3)  # longer than the kernel gathers
        found: dict[End, list[Packet]] = defaultdict(list)
        for batch in self.wire.batches():
            for row in batch.rows:
                inbound = int(row["dst_port"]) in self.ports
                end = "src" if inbound else "dst"
                address = ip_address(int(row[f"{end}_hi"]) << 64 | int(row[f"{end}_lo"]))
                client = str(getattr(address, "ipv4_mapped", None) or address), int(row[f"{end}_port"])
                length = int(row["payload_length"])
                found[client].append((inbound, int(row["flags"]), int(row["seq"]), int(row["ack"]), length))
        assert self.wire.losses().dropped == 0
        return found

    def wanted(self, server: str, most: int = PACKETS_KEPT) -> dict[End, list[Packet]]:
        """What the rules should log, by what the recorder at the server's interface has seen."""
        found: dict[End, list[Packet]] = defaultdict(list)
        for frame in self.bed.far.of(server):
            if (header := seen(frame.data)) is None:
                continue
            inbound = header.dst[0] == server
            told = found[header.src if inbound else header.dst]
            if inbound and sum(1 for each in told if each[0]) >= most:
                continue
            if inbound or header.flags & BEGINS_OR_ENDS:
                told.append((inbound, int(header.flags), header.seq, header.ack, header.length))
        return found

    def close(self) -> None:
        self.wire.close()


def end(namespace: Namespace, address: str, port: int = 0) -> socket.socket:
    """A socket of one host of the bed."""
    made = socket_of(namespace, address)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    made.settimeout(10)
    made.bind((address, port))
    return made


def talk(
    bed: TestBed,
    client: str,
    server: End,
    many: int,
    *,
    words: int = 15,
    first: int = 20_000,
    at: End | None = None,
) -> None:
    """Connections from ports from `first` on, one after the other, to a server that listens there or `at`.

    The client says some words, then the server ends it, by FIN and by RST in turns.
    """
    with end(bed.server, *(at or server)) as listener:
        listener.listen(64)
        for number in range(many):
            with end(bed.client, client, first + number) as ours:
                ours.connect(server)
                theirs, _ = listener.accept()
                with theirs:
                    for _ in range(words):
                        ours.sendall(b"word" * 100)
                        receive(theirs, 400)
                    if number % 2:
                        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)
                # Until the end has come, nothing of ours crosses it.
                try:
                    assert ours.recv(1) == b""
                except ConnectionResetError:
                    assert number % 2


@pytest.mark.parametrize(("client", "server"), HOSTS)
def test_of_each_connection_the_first_ten_packets_and_what_the_server_begins_or_ends(
    bed: TestBed, client: str, server: str
) -> None:
    with closing(Watched(bed, {443})) as watched:
        talk(bed, client, (server, 443), 6)
        logged = watched.logged()
        assert logged == watched.wanted(server)
    assert len(logged) == 6
    for told in logged.values():
        assert sum(1 for inbound, *_ in told if inbound) == PACKETS_KEPT
        assert told[0][:2] == (True, Flag.SYN)
        assert told[1][:2] == (False, Flag.SYN | Flag.ACK)
        assert not told[-1][0]
    assert {Flag(told[-1][1]) & ~(Flag.ACK | Flag.PSH) for told in logged.values()} == {Flag.FIN, RST}


@pytest.mark.parametrize(("client", "server"), HOSTS)
def test_a_sample_is_of_whole_connections_both_ways(bed: TestBed, client: str, server: str) -> None:
    with closing(Watched(bed, {443}, many=16)) as watched:
        talk(bed, client, (server, 443), 300, words=2)
        logged, wanted = watched.logged(), watched.wanted(server)
    assert len(wanted) == 300
    assert logged == {sampled: wanted[sampled] for sampled in logged}
    assert 2 <= len(logged) <= 45  # 19 of 300; outside once in a million


def test_packets_that_belong_to_no_connection_come_through(bed: TestBed) -> None:
    """A reset with a number that cannot be right is none of the connection's to the firewall, and what we look for."""
    (client, server), _ = HOSTS
    with closing(Watched(bed, {443})) as watched:
        with end(bed.server, server, 443) as listener, end(bed.client, client) as ours:
            listener.listen(1)
            ours.connect((server, 443))
            theirs, _ = listener.accept()
            with theirs:
                forged = packets.tcp(ours.getsockname()[:2], (server, 443), RST, seq=12345, ttl=99)
                bed.inject(forged)
                bed.far.wait_for(server, lambda headers: any(header.seq == 12345 for header in headers))
        alone = packets.tcp((client, 999), (server, 443), RST, seq=54321)
        bed.inject(alone)
        bed.far.wait_for(server, lambda headers: any(header.seq == 54321 for header in headers))
        logged = watched.logged()
    assert sorted(packet[2] for told in logged.values() for packet in told if packet[1] == RST)[0] == 12345
    assert logged[client, 999][0] == (True, RST, 54321, 0, 0)


def test_each_syn_that_the_firewall_drops_is_the_first_of_its_connection(bed: TestBed) -> None:
    (client, server), _ = HOSTS
    bed.element(bed.server, "add", "deaf", server)
    with closing(Watched(bed, {443})) as watched:
        for _ in range(12):
            bed.inject(packets.tcp((client, 4000), (server, 443), SYN, seq=1))
        bed.far.wait_for(server, lambda headers: len(headers) == 12)
        assert watched.logged() == {(client, 4000): [(True, int(SYN), 1, 0, 0)] * 12}


def test_without_accounting_too_much_is_logged_and_nothing_missed(bed: TestBed) -> None:
    (client, server), _ = HOSTS
    with closing(Watched(bed, {443})) as watched:
        bed.server.tune(netfilter__nf_conntrack_acct=0)  # this kernel switches it on as it reads the rules
        talk(bed, client, (server, 443), 2)
        assert watched.logged() == watched.wanted(server, most=1000)


@pytest.mark.parametrize(("client", "server"), HOSTS)
def test_other_ports_and_servers_are_left_out(bed: TestBed, client: str, server: str) -> None:
    nets = (ip_network(server), ip_network(server), ip_network("203.0.113.136/29"))
    with closing(Watched(bed, {443, 8443}, nets)) as watched:
        for first, other in enumerate(((server, 8443), (server, 80), (OTHER_SERVERS[server], 443)), 20_000):
            talk(bed, client, other, 1, words=1, first=first)
        other_client, other_server = HOSTS[HOSTS[0] == (client, server)]
        if ":" in other_server:  # no network of IPv6 is among them
            talk(bed, other_client, (other_server, 443), 1, words=1, first=20_003)
        logged = watched.logged()
    assert [port for _, port in logged] == [20_000]


def test_addresses_are_those_that_the_client_knows(bed: TestBed) -> None:
    """As for containers: the firewall leads what comes for one address and port to another."""
    (client, server), _ = HOSTS
    bed.server.feed_nft(f"""
table ip lead {{
  chain there {{
    type nat hook prerouting priority dstnat
    ip daddr {server} tcp dport 443 dnat to {OTHER_SERVERS[server]}:8443
  }}
}}
""")
    with closing(Watched(bed, {443}, (ip_network(server),))) as watched:
        talk(bed, client, (server, 443), 2, at=(OTHER_SERVERS[server], 8443))
        logged = watched.logged()
        assert logged == watched.wanted(server)
    assert len(logged) == 2


def test_a_group_that_overflows_counts_what_is_lost(bed: TestBed) -> None:
    (client, server), _ = HOSTS
    with closing(Watched(bed, {443})) as watched:
        assert watched.wire.losses() == Losses(0, 0)
        with bed.server.entered():
            small = open_group(GROUP + 1, SNAPLEN)
        small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        bed.server.feed_nft(rules(GROUP + 1, {443}, (), 1, SNAPLEN))
        wire = Nflog(small, GROUP + 1)
        for number in range(3000):
            bed.inject(packets.tcp((client, 2000 + number), (server, 443), RST, seq=1))
        bed.far.wait_for(server, lambda headers: len(headers) == 3000)
        time.sleep(0.3)
        before = sum(len(batch.rows) for batch in wire.batches())
        bed.inject(packets.tcp((client, 1999), (server, 443), RST, seq=1))
        time.sleep(0.3)
        after = sum(len(batch.rows) for batch in wire.batches())
        assert (after, 0 < before < 3000) == (1, True)
        assert wire.losses() == Losses(3001, 3001 - before - after)
        wire.close()


def test_a_group_belongs_to_one(bed: TestBed) -> None:
    with bed.server.entered():
        taken = open_group(GROUP, SNAPLEN)
        with pytest.raises(UsageError, match="a group that no other program listens to"):
            open_group(GROUP, SNAPLEN)
        taken.close()
        open_group(GROUP, SNAPLEN).close()


@pytest.mark.parametrize(
    ("ports", "many", "named"),
    [(set(), 1, "--server-port"), ({1}, 0, "--sample"), ({1}, 1 << 32, "--sample")],
)
def test_what_cannot_be_said_in_rules(ports: set[int], many: int, named: str) -> None:
    with pytest.raises(UsageError, match=named):
        rules(GROUP, ports, (), many, SNAPLEN)


def test_the_text_says_what_it_needs_and_keeps() -> None:
    sampled, whole = rules(5, {443}, (), 16, SNAPLEN), rules(5, {443}, (), 1, SNAPLEN)
    for text in (sampled, whole):
        assert "net.netfilter.nf_conntrack_acct=1" in text
        assert "nft delete table inet halfopen_sense" in text
    assert "Keep it to yourself" in sampled
    assert "seed" not in whole
    assert sampled != rules(5, {443}, (), 16, SNAPLEN)

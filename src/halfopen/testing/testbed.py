"""A test bed of network namespaces: a real client, a real server, and a middlebox between them.

::

    client ---- middlebox ---- server
                |         ^ server's recorder (what the server receives and sends)
                ^ near recorder (what the client's side of the middlebox carries)

Both ends are ordinary sockets on the kernel's TCP. The middlebox routes; on request it drops all
packets of one scenario (nftables sets) or injects packets of any shape (a packet socket). Every
scenario has a server address of its own, so many run at once and one recording is split afterwards.
Hosts live in the documentation prefixes (RFC 5737, RFC 3849) only.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from types import TracebackType
from typing import Any, Final

from halfopen.model import Flag
from halfopen.testing import packets
from halfopen.testing.namespaces import MissingError, Namespace
from halfopen.testing.packets import End
from halfopen.testing.pcap import Frame
from halfopen.testing.recorder import Recorder, Seen, no_offloads

CLIENT_NETS: Final = (
    "192.0.2.0/24",
    "198.51.100.0/24",
    "203.0.113.0/25",
    "2001:db8:1::/48",
    "2001:db8:2::/48",
    "2001:db8:3::/48",
)
SERVER_NETS: Final = ("203.0.113.128/25", "2001:db8:ffff::/48")

IP_FREEBIND, IPV6_FREEBIND = 15, 78
LINGER_RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER with time 0: close() sends a RST."""

_MIDDLE_RULES: Final = """
table inet bed {
  set up4 { type ipv4_addr; }
  set up6 { type ipv6_addr; }
  set down4 { type ipv4_addr; }
  set down6 { type ipv6_addr; }
  set reject4 { type ipv4_addr; }
  chain forward {
    type filter hook forward priority 0;
    ip daddr @reject4 reject with icmp host-unreachable
    ip daddr @up4 drop
    ip6 daddr @up6 drop
    ip saddr @down4 drop
    ip6 saddr @down6 drop
  }
}
"""

_SERVER_RULES: Final = """
table inet bed {
  set deaf4 { type ipv4_addr; }
  set reject4 { type ipv4_addr; }
  chain input {
    type filter hook input priority 0;
    ip daddr @deaf4 drop
    ip daddr @reject4 reject with icmp port-unreachable
  }
}
"""


class TestBed:
    """The three namespaces, wired, with both recorders running; a context manager."""

    __test__ = False  # not a class of tests

    def __init__(self) -> None:
        self.client, self.middle, self.server = Namespace(), Namespace(), Namespace()
        self._wire(self.client, "up0", self.middle, "near0", 1)
        self._wire(self.server, "up0", self.middle, "far0", 2)
        self.client.run(
            *(f"ip route add local {net} dev lo" for net in CLIENT_NETS),
            "ip route add default via 10.77.1.1",
            "ip -6 route add default via fd77:1::1",
            "sysctl -qw net.ipv4.tcp_fastopen=1 net.ipv4.tcp_no_metrics_save=1",
        )
        self.server.run(
            *(f"ip route add local {net} dev lo" for net in SERVER_NETS),
            "ip route add default via 10.77.2.1",
            "ip -6 route add default via fd77:2::1",
            "sysctl -qw net.ipv4.tcp_fastopen=2 net.ipv4.tcp_no_metrics_save=1",
        )
        self.middle.run(
            "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv4.icmp_ratelimit=0",
            *(f"ip route add {net} via {_next_hop(net, 1)}" for net in CLIENT_NETS),
            *(f"ip route add {net} via {_next_hop(net, 2)}" for net in SERVER_NETS),
        )
        self.server.run("sysctl -qw net.ipv4.icmp_ratelimit=0")
        self.middle.feed_nft(_MIDDLE_RULES)
        self.server.feed_nft(_SERVER_RULES)
        self.near = Recorder(self.middle, "near0")
        self.far = Recorder(self.server, "up0")
        with self.middle.entered():
            self._injector = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM)
        self._lock = threading.Lock()

    def __enter__(self) -> TestBed:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.near.close()
        self.far.close()
        self._injector.close()

    def element(self, namespace: Namespace, action: str, name: str, address: str) -> None:
        """Add `address` to, or delete it from, one of the sets of rules."""
        family = "6" if ":" in address else "4"
        with self._lock:
            namespace.run(f"nft {action} element inet bed {name}{family} {{ {address} }}")

    def inject(self, packet: bytes, *, towards_client: bool = False) -> None:
        """Send an IP packet from the middlebox, byte by byte as it is."""
        interface, net = ("near0", 1) if towards_client else ("far0", 2)
        kind = 0x0800 if packet[0] >> 4 == 4 else 0x86DD
        self._injector.sendto(packet, (interface, kind, 0, 0, _mac(net, 2)))

    def _wire(self, host: Namespace, inner: str, middle: Namespace, outer: str, net: int) -> None:
        for namespace in (host, middle):  # or IPv6 waits a second for an address nobody else has
            namespace.run("sysctl -qw net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.all.accept_dad=0")
        host.run(
            "ip link set lo up",
            f"ip link add {inner} address {_mac(net, 2).hex(':')} type veth peer name {outer} "
            f"address {_mac(net, 1).hex(':')} netns {middle.path}",
            f"ip addr add 10.77.{net}.2/24 dev {inner}",
            f"ip addr add fd77:{net}::2/64 dev {inner} nodad",
            f"ip link set {inner} up",
        )
        middle.run(
            "ip link set lo up",
            f"ip addr add 10.77.{net}.1/24 dev {outer}",
            f"ip addr add fd77:{net}::1/64 dev {outer} nodad",
            f"ip link set {outer} up",
        )
        for namespace, interface in ((host, inner), (middle, outer)):
            with namespace.entered():
                no_offloads(interface)


class Play:
    """One scenario's place in the test bed: a client address, a server address, and what may happen between."""

    def __init__(self, bed: TestBed, client: str, server: str, port: int = 443) -> None:
        self.bed = bed
        self.client = client
        self.server: End = (server, port)
        self.since = 0  # ns; what was recorded before is no part of the capture
        self._kept: list[
            socket.socket
        ] = []  # open until the play is over, lest a lost reference ends a connection
        self._family = socket.AF_INET6 if ":" in client else socket.AF_INET

    def frames(self, *, near: bool = False) -> list[Frame]:
        """What has been recorded of this scenario, at the server or on the client's side of the middlebox."""
        recorder = self.bed.near if near else self.bed.far
        return recorder.of(self.server[0], self.since)

    def from_now(self) -> None:
        """Let the capture begin here."""
        self.since = time.time_ns()

    def close(self) -> None:
        """Close every socket of the scenario."""
        for end in self._kept:
            end.close()

    def sleep(self, seconds: float) -> None:
        """Let real time pass."""
        time.sleep(seconds)

    def listen(self, **options: int) -> socket.socket:
        """A listening socket of the server; `options` are names of TCP_ socket options, in small letters."""
        listener = self._socket(self.bed.server)
        _set(listener, options)
        listener.bind(self.server)
        listener.listen(16)
        return listener

    def begin(self, *, port: int = 0, **options: int) -> socket.socket:
        """A client socket that has sent its SYN and waits for nothing."""
        sender = self._socket(self.bed.client)
        _set(sender, options)
        sender.bind((self.client, port))
        sender.setblocking(False)
        sender.connect_ex(self.server)
        return sender

    def connect(self, *, port: int = 0, **options: int) -> socket.socket:
        """A connected client socket."""
        sender = self._socket(self.bed.client)
        _set(sender, options)
        sender.bind((self.client, port))
        sender.settimeout(10)
        sender.connect(self.server)
        return sender

    def open(self, *, port: int = 0, **options: int) -> tuple[socket.socket, socket.socket]:
        """A connection: the client's socket and the server's, the handshake seen on the wire."""
        with self.listen() as listener:
            client = self.connect(port=port, **options)
            return client, self.accept(listener)

    def accept(self, listener: socket.socket) -> socket.socket:
        """The server's socket of the next connection."""
        server, _ = listener.accept()
        server.settimeout(10)
        self._kept.append(server)
        return server

    def cut(self, *, up: bool = True, down: bool = True) -> None:
        """From now on the middlebox drops what goes up to the server, down to the client, or both."""
        self._both("add", up, down)

    def mend(self, *, up: bool = True, down: bool = True) -> None:
        """The middlebox forwards again."""
        self._both("delete", up, down)

    def deafen(self) -> None:
        """The server's kernel no longer hears what still arrives at its interface."""
        self.bed.element(self.bed.server, "add", "deaf", self.server[0])

    def undeafen(self) -> None:
        """The server's kernel hears again."""
        self.bed.element(self.bed.server, "delete", "deaf", self.server[0])

    def reject(self, namespace: Namespace) -> None:
        """`namespace`, the middlebox or the server, answers with ICMP unreachable."""
        self.bed.element(namespace, "add", "reject", self.server[0])

    def arrived(self, flags: int = 0, *, length: int = 0, count: int = 1) -> Seen:
        """The latest packet of the client with all of `flags` and at least `length` bytes, once `count` are there."""
        return self._wait(flags, length, count, to_server=True)[-1]

    def sent(self, flags: int = 0, *, length: int = 0, count: int = 1) -> Seen:
        """As `arrived`, of the server's packets."""
        return self._wait(flags, length, count, to_server=False)[-1]

    def inject(self, flags: int, *, ahead: int = 0, ack: int | None = None, **fields: Any) -> None:
        """A packet in the client's name: `ahead` of its next sequence number, acknowledging what it did."""
        mine = self._wait(to_server=True)
        mine = [h for h in mine if h.src == mine[-1].src]
        number = max((h.next for h in mine), key=lambda n: (n - mine[0].seq) & 0xFFFFFFFF)
        acked = max((h.ack for h in mine), key=lambda n: (n - mine[-1].ack + (1 << 31)) & 0xFFFFFFFF)
        values: dict[str, Any] = {"ttl": 44, "window": 0, **fields}
        values |= {"seq": number + ahead, "ack": (acked if flags & Flag.ACK else 0) if ack is None else ack}
        self.bed.inject(packets.tcp(mine[0].src, mine[0].dst, flags, **values))

    def inject_back(self, flags: int, *, ahead: int = 0, **fields: Any) -> None:
        """A packet in the server's name towards the client: `ahead` of what the server sent."""
        theirs = self._wait(to_server=False)
        number = max((h.next for h in theirs), key=lambda n: (n - theirs[0].seq) & 0xFFFFFFFF)
        acked = theirs[-1].ack if flags & Flag.ACK else 0
        values: dict[str, Any] = {"ttl": 44, "window": 0, **fields, "seq": number + ahead, "ack": acked}
        packet = packets.tcp(theirs[0].src, theirs[0].dst, flags, **values)
        self.bed.inject(packet, towards_client=True)

    def tick(self) -> None:
        """A datagram of the server: it moves the capture's clock on and is no connection."""
        listener = self._socket(self.bed.client, socket.SOCK_DGRAM)  # or the client would complain by ICMP
        listener.bind((self.client, 9))
        sender = self._socket(self.bed.server, socket.SOCK_DGRAM)
        sender.bind((self.server[0], 0))
        sender.sendto(b"tick", (self.client, 9))
        time.sleep(0.1)

    def _wait(self, flags: int = 0, length: int = 0, count: int = 1, *, to_server: bool) -> list[Seen]:
        def fitting(headers: list[Seen]) -> list[Seen]:
            return [
                h
                for h in headers
                if (h.dst if to_server else h.src) == self.server
                and h.flags & flags == flags
                and h.length >= length
            ]

        far, address = self.bed.far, self.server[0]
        return fitting(
            far.wait_for(address, lambda headers: len(fitting(headers)) >= count, since=self.since)
        )

    def _both(self, action: str, up: bool, down: bool) -> None:
        for name, wanted in (("up", up), ("down", down)):
            if wanted:
                self.bed.element(self.bed.middle, action, name, self.server[0])

    def _socket(self, namespace: Namespace, kind: int = socket.SOCK_STREAM) -> socket.socket:
        with namespace.entered():
            made = socket.socket(self._family, kind)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        free_bind(made)
        self._kept.append(made)
        return made


def reset(end: socket.socket) -> None:
    """Close with a RST."""
    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)
    end.close()


def receive(end: socket.socket, size: int) -> bytes:
    """Exactly `size` bytes."""
    got = b""
    while len(got) < size:
        part = end.recv(size - len(got))
        if not part:
            raise MissingError(f"the other end closed after {len(got)} of {size} bytes")
        got += part
    return got


def keepalive(end: socket.socket, idle: int, interval: int, count: int) -> None:
    """Keep-alive probes after `idle` seconds, every `interval`, given up after `count`."""
    end.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    _set(end, {"tcp_keepidle": idle, "tcp_keepintvl": interval, "tcp_keepcnt": count})


def _set(end: socket.socket, options: dict[str, int]) -> None:
    for name, value in options.items():
        number = OPTIONS.get(name) or getattr(socket, name.upper())
        try:
            end.setsockopt(socket.IPPROTO_TCP, number, value)
        except OSError as error:
            raise MissingError(f"this kernel does not know the socket option {name.upper()}") from error


OPTIONS: Final = {"tcp_fastopen_connect": 30, "tcp_rto_max_ms": 44}
"""TCP socket options that Python has no name for."""


def free_bind(end: socket.socket) -> None:
    """Let a socket use any address routed to its host, whether or not an interface has it."""
    if end.family == socket.AF_INET6:
        end.setsockopt(socket.IPPROTO_IPV6, IPV6_FREEBIND, 1)
    else:
        end.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)


def _mac(net: int, host: int) -> bytes:
    return bytes((2, 0, 0, 0, net, host))


def _next_hop(prefix: str, net: int) -> str:
    return f"fd77:{net}::2" if ":" in prefix else f"10.77.{net}.2"

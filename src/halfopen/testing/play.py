"""One scenario in the test bed, written as a script: who says what, and what becomes of the packets between."""

from __future__ import annotations

import socket
import struct
import time
from typing import Any, Final

from halfopen.model import Flag
from halfopen.testing import packets
from halfopen.testing.namespaces import MissingError, Namespace
from halfopen.testing.packets import End
from halfopen.testing.pcap import Frame
from halfopen.testing.recorder import Seen
from halfopen.testing.testbed import TestBed

IP_FREEBIND, IPV6_FREEBIND = 15, 78

OPTIONS: Final = {"tcp_fastopen_connect": 30, "tcp_rto_max_ms": 44}
"""TCP socket options that Python has no name for."""

LINGER_RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER with time 0: close() sends a RST."""


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
        made = socket_of(namespace, self.client, kind)
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


def socket_of(namespace: Namespace, address: str, kind: int = socket.SOCK_STREAM) -> socket.socket:
    """A socket of a host for addresses like this one, also those that no interface has."""
    with namespace.entered():
        made = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    free_bind(made)
    return made


def free_bind(end: socket.socket) -> None:
    """Let a socket use any address routed to its host, whether or not an interface has it."""
    if end.family == socket.AF_INET6:
        end.setsockopt(socket.IPPROTO_IPV6, IPV6_FREEBIND, 1)
    else:
        end.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)

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
import threading
from types import TracebackType
from typing import Final

from halfopen.testing.namespaces import Namespace
from halfopen.testing.recorder import Recorder, no_offloads

CLIENT_NETS: Final = (
    "192.0.2.0/24",
    "198.51.100.0/24",
    "203.0.113.0/25",
    "2001:db8:1::/48",
    "2001:db8:2::/48",
    "2001:db8:3::/48",
)
SERVER_NETS: Final = ("203.0.113.128/25", "2001:db8:ffff::/48")

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
        )
        self.server.run(
            *(f"ip route add local {net} dev lo" for net in SERVER_NETS),
            "ip route add default via 10.77.2.1",
            "ip -6 route add default via fd77:2::1",
        )
        self.middle.run(
            *(f"ip route add {net} via {_next_hop(net, 1)}" for net in CLIENT_NETS),
            *(f"ip route add {net} via {_next_hop(net, 2)}" for net in SERVER_NETS),
        )
        self.client.tune(ipv4__tcp_fastopen=1, ipv4__tcp_no_metrics_save=1)
        self.server.tune(ipv4__tcp_fastopen=2, ipv4__tcp_no_metrics_save=1, ipv4__icmp_ratelimit=0)
        self.middle.tune(ipv4__ip_forward=1, ipv6__conf__all__forwarding=1, ipv4__icmp_ratelimit=0)
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
        for namespace in (self.client, self.middle, self.server):
            namespace.close()

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
            namespace.tune(ipv6__conf__default__accept_dad=0, ipv6__conf__all__accept_dad=0)
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


def _mac(net: int, host: int) -> bytes:
    return bytes((2, 0, 0, 0, net, host))


def _next_hop(prefix: str, net: int) -> str:
    return f"fd77:{net}::2" if ":" in prefix else f"10.77.{net}.2"

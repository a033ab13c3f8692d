"""The TCP ports on which this host listens, of both IP versions (sock_diag(7))."""

from __future__ import annotations

import socket
import struct
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from halfopen.capture.live.netlink import NETLINK_SOCK_DIAG, Netlink

_BY_FAMILY: Final = 20  # SOCK_DIAG_BY_FAMILY
_LISTEN: Final = 1 << 10  # the state TCP_LISTEN, in a set of states


class Listeners:
    """Asks for the ports of one network namespace, that in which it was made; needs no privilege."""

    def __init__(self) -> None:
        self._netlink = Netlink(NETLINK_SOCK_DIAG)

    def ports(self, *, loopback: bool = False) -> frozenset[int]:
        """The ports that somebody listens on now.

        Those on which all listeners have an address of the host itself (127.0.0.0/8, ::1) count with
        `loopback` only: no packet for them comes by another interface.
        """
        found = set()
        for family in (socket.AF_INET, socket.AF_INET6):
            request = struct.pack("=BBBxI48x", family, socket.IPPROTO_TCP, 0, _LISTEN)
            for message in self._netlink.dump(_BY_FAMILY, request):
                (port,) = struct.unpack_from("!H", message, 4)
                if loopback or not _own(message[0], message[8:24]):
                    found.add(port)
        return frozenset(found)

    def close(self) -> None:
        """Ask no more."""
        self._netlink.close()


def _own(family: int, address: bytes) -> bool:
    if family == socket.AF_INET:
        return IPv4Address(address[:4]).is_loopback
    six = IPv6Address(address)
    return (six.ipv4_mapped or six).is_loopback

"""The network interfaces of this host as they come, go and change (rtnetlink(7))."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from halfopen.capture.live.netlink import NETLINK_ROUTE, Netlink, attributes

_GETLINK: Final = 18
_GROUP_LINK: Final = 1
_NAME, _LOWER, _MASTER, _INFO, _ELSEWHERE = (
    3,
    5,
    10,
    18,
    37,
)  # IFLA_IFNAME, LINK, MASTER, LINKINFO, LINK_NETNSID
_KIND: Final = 1  # IFLA_INFO_KIND
_UP: Final = 1
ARPHRD_LOOPBACK: Final = 772

ABOVE_ONE: Final = frozenset({"vlan", "macvlan", "macvtap", "ipvlan", "ipvtap"})
"""Kinds of interfaces that hand on, as they are, the packets of one that they name."""

ABOVE_SEVERAL: Final = frozenset({"bridge", "bond", "team", "vrf"})
"""Kinds that do so for those that name them."""


@dataclass(frozen=True, slots=True)
class Device:
    """One interface; `lower` and `master` are indices, 0 where there is none in this namespace."""

    index: int
    name: str
    kind: str
    up: bool
    loopback: bool
    lower: int
    master: int


class Devices:
    """The interfaces of one network namespace, that in which it was made; needs no privilege."""

    def __init__(self) -> None:
        self._netlink = Netlink(NETLINK_ROUTE, _GROUP_LINK)

    def changed(self) -> bool:
        """Whether any has changed since this was asked last."""
        return self._netlink.news()

    def all(self) -> list[Device]:
        """The interfaces there are."""
        return [_device(message) for message in self._netlink.dump(_GETLINK, bytes(16))]

    def close(self) -> None:
        """Ask no more."""
        self._netlink.close()


def doubles(devices: Iterable[Device]) -> frozenset[int]:
    """Indices of the interfaces that only show again what another one shows: VLANs, bridges, bonds and their like.

    Interfaces that carry packets inside others (tunnels, VXLAN, WireGuard, MACsec) are none of them: what
    comes out of them is seen nowhere else.
    """
    devices = list(devices)
    masters = {each.master for each in devices}
    return frozenset(
        each.index
        for each in devices
        if (each.kind in ABOVE_ONE and each.lower) or (each.kind in ABOVE_SEVERAL and each.index in masters)
    )


def _device(message: bytes) -> Device:
    hatype, index, flags = struct.unpack_from("=xxHiI", message)
    found = attributes(message[16:])

    def number(attribute: int) -> int:
        value: int = struct.unpack("=I", found.get(attribute, bytes(4)))[0]
        return value

    return Device(
        index,
        found[_NAME].rstrip(b"\0").decode(errors="surrogateescape"),
        attributes(found.get(_INFO, b"")).get(_KIND, b"").rstrip(b"\0").decode(),
        bool(flags & _UP),
        hatype == ARPHRD_LOOPBACK,
        0 if _ELSEWHERE in found else number(_LOWER),
        number(_MASTER),
    )

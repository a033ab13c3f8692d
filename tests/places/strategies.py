"""Generated networks and addresses."""

from __future__ import annotations

import ipaddress
from typing import Any

from hypothesis import strategies as st

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


# Few distinct bits, so that networks lie inside one another and beside one another.
def _network(cls: type[Any], bits: int, number: int, length: int) -> Network:
    return cls((number >> (bits - length) << (bits - length), length))  # type: ignore[no-any-return]


tops4 = st.sampled_from([0, 10 << 24, 192 << 24, 0xC0000200, 0xFFFFFFFF]) | st.integers(0, 2**32 - 1)
tops6 = st.sampled_from([0x20010DB8 << 96, 0x20020A00 << 96, 0xFFFF << 32, 1]) | st.integers(0, 2**128 - 1)
networks4: st.SearchStrategy[Any] = st.builds(
    lambda n, p: _network(ipaddress.IPv4Network, 32, n, p), tops4, st.integers(1, 32)
)
networks6: st.SearchStrategy[Any] = st.builds(
    lambda n, p: _network(ipaddress.IPv6Network, 128, n, p), tops6, st.integers(1, 128)
)


@st.composite
def addresses(draw: st.DrawFn, networks: list[Network]) -> list[str]:
    """The borders of the networks, their neighbours, and others."""
    found: set[ipaddress.IPv4Address | ipaddress.IPv6Address] = set()
    for network in networks:
        found |= {network[0], network[-1]}
        if int(network[0]):
            found.add(network[0] - 1)
        if (
            int(network[-1]) != int(ipaddress.ip_address("f" * 4 + ":ffff" * 7))
            and str(network[-1]) != "255.255.255.255"
        ):
            found.add(network[-1] + 1)
    found |= {ipaddress.IPv4Address(number) for number in draw(st.lists(tops4, max_size=5))}
    found |= {ipaddress.IPv6Address(number) for number in draw(st.lists(tops6, max_size=5))}
    # An IPv4-mapped address is an IPv4 address to us and an IPv6 address to maxminddb.
    return [str(a) for a in found if a.version == 4 or a.ipv4_mapped is None]

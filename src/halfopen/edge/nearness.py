"""What counts as one address."""

from __future__ import annotations

import ipaddress


def near(address: str) -> str:
    """All that whoever has an address can have beside it: of IPv6 a network of 64 bits."""
    if ":" not in address:
        return address
    whole = ipaddress.IPv6Address(address.partition("%")[0])
    if whole.ipv4_mapped is not None:
        return str(whole.ipv4_mapped)
    return str(ipaddress.ip_network((whole, 64), strict=False))

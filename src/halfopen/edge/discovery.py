"""The records of the domain name system by which a cloudflared that is told no address finds an edge (2026.8)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv6Address
from typing import Final

DOMAIN: Final = "argotunnel.com"
REGIONS: Final = (f"region1.v2.{DOMAIN}", f"region2.v2.{DOMAIN}")
"""It wants two names at least, and opens as many connections as both have addresses of one family, four at most."""

_TTL: Final = 300  # s
_PROTOCOLS: Final = [{"protocol": "quic", "percentage": 100}, {"protocol": "http2", "percentage": 100}]
_FEATURES: Final = {"skip_prechecks": True}  # they ask for places that are Cloudflare's


def records(addresses: Sequence[IPv4Address | IPv6Address], port: int) -> Iterator[str]:
    """Lines of a zone file for an edge, or several, at some addresses: each is in both regions."""
    for region in REGIONS:
        yield _line(f"_v2-origintunneld._tcp.{DOMAIN}", "SRV", f"1 1 {port} {region}.")
    for region in REGIONS:
        for address in addresses:
            yield _line(region, "A" if address.version == 4 else "AAAA", str(address))
    yield _line(f"protocol-v2.{DOMAIN}", "TXT", _text(_PROTOCOLS))
    yield _line(f"cfd-features.{DOMAIN}", "TXT", _text(_FEATURES))


def _line(name: str, kind: str, data: str) -> str:
    return f"{name}. {_TTL} IN {kind} {data}"


def _text(value: object) -> str:
    quoted = json.dumps(value, separators=(",", ":")).replace('"', '\\"')
    return f'"{quoted}"'

"""What a visitor may not say, and what of both directions ends at the edge.

Connectors tell the kind of a stream by its headers alone: a visitor who could set them would configure the connector, or reach any
address in its network.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from halfopen.errors import WireError
from halfopen.tunnelwire.headers import HOP_BY_HOP, Header, check

MANAGEMENT: Final = b"management.argotunnel.com"
"""The host that connectors answer themselves, whatever they are configured with."""

_OF_THE_EDGE: Final = (
    b"cf-cloudflared-",
    b"cf-int-",
    b"cf-proxy-",
    b"cf-warp-",
    b"cf-connecting-ip",
    b"cf-ray",
)
_OF_PROXIES: Final = (b"x-forwarded-", b"forwarded", b"x-real-ip")
_OF_THE_CONNECTOR: Final = (b":", b"cf-cloudflared-", b"cf-int-", b"cf-proxy-")

_HOP: Final = HOP_BY_HOP | {b"te"}

_SWITCHING: Final = frozenset((b"connection", b"upgrade"))


def from_visitor(headers: Sequence[Header], trusted: bool = False) -> list[Header]:
    """The headers of a visitor's request that go to the connector; names are lower case then, as in HTTP/2.

    Host goes elsewhere. What proxies tell of the visitor goes on where the peer is `trusted`. Raises WireError where a header cannot be one,
    or the length of the body is told in two ways.
    """
    check(headers)
    _check_length(headers)
    hop = _hop_by_hop(headers)
    away = _OF_THE_EDGE if trusted else _OF_THE_EDGE + _OF_PROXIES
    kept: list[Header] = []
    for name, value in headers:
        told = (name.lower(), value.strip())
        if told == (b"te", b"trailers"):  # what gRPC needs holds all the way
            kept.append(told)
        elif told[0] == b"host" or told[0] in hop or _dashed(told[0]).startswith(away):
            continue
        elif told[0] != b"content-length" or told not in kept:
            kept.append(told)
    return kept


def from_origin(headers: Sequence[Header], switching: bool = False) -> list[Header]:
    """The headers of an origin's answer that go to the visitor; with what makes it an upgrade where it is `switching` protocols."""
    hop = _hop_by_hop(headers)
    if switching:
        hop = hop - _SWITCHING
    return [
        (name, value)
        for name, value in headers
        if (lower := name.lower()) not in hop and not lower.startswith(_OF_THE_CONNECTOR)
    ]


def is_management(host: bytes) -> bool:
    """Whether a connector could take this host (with a port or without) for its own."""
    name, colon, port = host.rpartition(b":")
    bare = name if colon and not port.strip(b"0123456789") else host
    return bare.strip(b"[]").rstrip(b".").lower() == MANAGEMENT


def _dashed(name: bytes) -> bytes:
    """A name as origins may take it: to those that speak CGI or WSGI ``cf_ray`` is ``cf-ray``."""
    return name.replace(b"_", b"-")


def _check_length(headers: Iterable[Header]) -> None:
    lengths = {value.strip() for name, value in headers if name.lower() == b"content-length"}
    codings = [value.strip().lower() for name, value in headers if name.lower() == b"transfer-encoding"]
    if len(lengths) > 1 or not all(length.isdigit() for length in lengths):
        raise WireError("Content-Length: told twice, or not a number")
    if codings and lengths:
        raise WireError("Content-Length and Transfer-Encoding: only one of them can be true")
    if codings not in ([], [b"chunked"]):
        raise WireError("Transfer-Encoding: only chunked is known")


def _hop_by_hop(headers: Iterable[Header]) -> frozenset[bytes]:
    """Names of headers that hold for one hop only: those of the protocol and those that Connection names."""
    named = {
        part.strip().lower()
        for name, value in headers
        if name.lower() == b"connection"
        for part in value.split(b",")
    }
    return _HOP | named

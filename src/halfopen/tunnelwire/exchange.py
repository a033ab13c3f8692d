"""A visitor's request through a tunnel and what comes back, the same over either transport."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Final

from halfopen.errors import WireError
from halfopen.tunnelwire.headers import HOP_BY_HOP, Header, check, shown

_METHOD: Final = re.compile(rb"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")
_SCHEME: Final = re.compile(rb"https?")
_HOST: Final = re.compile(rb"[0-9A-Za-z._\[\]:%-]{1,300}")
_PATH: Final = re.compile(rb"/[^\0-\x20\x7f]*")
_NEVER: Final = (b"cf-cloudflared-", b"cf-int-", b"cf-proxy-")


class Kind(Enum):
    """What a stream is for."""

    HTTP = 0
    WEBSOCKET = 1
    TCP = 2


@dataclass(frozen=True)
class Request:
    """What is asked of an origin. Header names are in lower case; Host stands in `host`, which for TCP is address and port.

    Where a `body` follows, its length is told by Content-Length or by nobody. Raises WireError where a part of it would be read as something
    else on its way.
    """

    kind: Kind
    host: bytes
    method: bytes = b"GET"
    scheme: bytes = b"https"
    path: bytes = b"/"
    headers: tuple[Header, ...] = ()
    body: bool = False

    def __post_init__(self) -> None:
        parts = (
            ("method", _METHOD, self.method),
            ("scheme", _SCHEME, self.scheme),
            ("host", _HOST, self.host),
            ("path", _PATH, self.path),
        )
        for part, accepted, value in parts:
            if not accepted.fullmatch(value):
                raise WireError(f"{part}: {shown(value)} cannot be one")
        check(self.headers)
        for name, _ in self.headers:
            if name != name.lower() or name in HOP_BY_HOP or name.startswith(_NEVER):
                raise WireError(f"header {shown(name)} does not go through a tunnel")


@dataclass(frozen=True)
class Answered:
    """The origin answers, or is connected to. A body follows; after 101, and for TCP (200), bytes both ways."""

    status: int
    headers: tuple[Header, ...] = ()


@dataclass(frozen=True)
class Refused:
    """The connector has no answer of an origin: why, where it says so, and whether it has too many flows."""

    reason: str
    rate_limited: bool = False


@dataclass(frozen=True)
class Body:
    """A piece of the body."""

    data: bytes


@dataclass(frozen=True)
class End:
    """The body is complete."""

    trailers: tuple[Header, ...] = ()


@dataclass(frozen=True)
class Broken:
    """The exchange ended before its end: why. Where the connection was `lost` the other end may have nothing against the request."""

    reason: str
    lost: bool = False


Reply = Answered | Refused | Body | End | Broken

"""Headers of an origin's answer, as connectors hand them on over HTTP/2: all in one header, and beside it who made the answer.

A header is a name and a value in bytes; a list of them keeps their order, and a name that comes twice comes twice.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from binascii import Error, a2b_base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from halfopen.errors import WireError

Header = tuple[bytes, bytes]

USER_HEADERS: Final = b"cf-cloudflared-response-headers"
META: Final = b"cf-cloudflared-response-meta"

MOST: Final = 1 << 20
"""How long all headers of a message may be together, in bytes."""

HOP_BY_HOP: Final = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"proxy-authenticate", b"proxy-authorization")
) | {b"transfer-encoding", b"upgrade"}
"""Names of headers that hold from one program to the next only."""

COUNT: Final = 2_000
"""How many headers a message may have."""

_META_MOST: Final = 1_024

_NAME: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE: Final = re.compile(rb"[^\0\r\n]*")


def canonical(name: bytes) -> bytes:
    """A name as HTTP/1 programs write it: ``Content-Type``."""
    return b"-".join(part.capitalize() for part in name.split(b"-"))


def check(headers: Sequence[Header]) -> None:
    """Raise WireError where a name or a value would be read as something else on its way, or where there are too many."""
    if len(headers) > COUNT:
        raise WireError(f"{len(headers):,} headers; accepted: at most {COUNT:,}")
    for name, value in headers:
        if not _NAME.fullmatch(name):
            raise WireError(f"a header of the name {shown(name)}")
        if not _VALUE.fullmatch(value):
            raise WireError(f"header {shown(name)}: a value of more than one line")


def write_user_headers(headers: Iterable[Header]) -> bytes:
    """The value of USER_HEADERS."""
    return b";".join(_encode(canonical(name)) + b":" + _encode(value) for name, value in headers)


def read_user_headers(value: bytes) -> list[Header]:
    """The headers in the value of USER_HEADERS; raises WireError where it is none."""
    if len(value) > MOST:
        raise WireError(f"headers of {len(value):,} bytes; accepted: at most {MOST:,}")
    headers = [_pair(each) for each in value.split(b";") if each]
    check(headers)
    return headers


def _pair(written: bytes) -> Header:
    name, colon, value = written.partition(b":")
    if not colon:
        raise WireError(f"a header without a value: {shown(written)}")
    return _decode(name), _decode(value)


def _encode(value: bytes) -> bytes:
    return b64encode(value).rstrip(b"=")


def _decode(written: bytes) -> bytes:
    try:
        if b"=" in written:
            raise Error
        return a2b_base64(written + b"=" * (-len(written) % 4), strict_mode=True)
    except Error:
        raise WireError(f"a header that is not base64 without padding: {shown(written)}") from None


def shown(value: bytes) -> str:
    """What was sent, as it can stand in an error."""
    return ascii(value[:40].decode("latin-1"))


@dataclass(frozen=True)
class Meta:
    """Who made an answer: the origin, or the connector because it has none of it; and whether it had too many flows."""

    from_origin: bool
    rate_limited: bool = False


def write_meta(meta: Meta) -> bytes:
    """The value of META."""
    fields: dict[str, object] = {"src": "origin" if meta.from_origin else "cloudflared"}
    if meta.rate_limited:
        fields["flow_rate_limited"] = True
    return json.dumps(fields, separators=(",", ":")).encode()


def read_meta(value: bytes) -> Meta:
    """What the value of META says; raises WireError where it says nothing."""
    try:
        fields = json.loads(value) if len(value) <= _META_MOST else None
    except (ValueError, RecursionError):
        fields = None
    if isinstance(fields, dict) and fields.get("src") in ("origin", "cloudflared"):
        return Meta(fields["src"] == "origin", fields.get("flow_rate_limited") is True)
    raise WireError(f"an answer of unknown origin: {shown(value)}")

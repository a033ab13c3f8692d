"""A request by its headers in HTTP/2, where method, host and path are among them (RFC 9113, 8.3)."""

from __future__ import annotations

from typing import Final

from halfopen.edge.visitors.visit import Asked
from halfopen.errors import WireError
from halfopen.tunnelwire.headers import HOP_BY_HOP, Header, shown

_KNOWN: Final = frozenset((b":method", b":scheme", b":authority", b":path"))
_LENGTH: Final = b"content-length"
_DIGITS: Final = 18  # of a length
_SCHEMES: Final = (b"http", b"https")


def length(headers: list[Header], body: bool) -> int | None:
    """How long a body is said to be; raises WireError where that is no number, or not one alone, or where none follows."""
    told = {value for name, value in headers if name == _LENGTH}
    if not told:
        return None
    value = told.pop()
    if told or not value.isdigit() or len(value) > _DIGITS:
        raise WireError(f"content-length {shown(value)}: no number, or told in two ways")
    if int(value) and not body:
        raise WireError(f"content-length {shown(value)} without a body")
    return int(value)


def asked(headers: list[Header], body: bool) -> Asked:
    """What is asked for, where a `body` follows or not; raises WireError where nobody may ask so."""
    told: dict[bytes, bytes] = {}
    rest: list[Header] = []
    for name, value in headers:
        if name[:1] == b":":
            if name not in _KNOWN or name in told or rest:
                raise WireError(f"header {shown(name)}: unknown, told twice or in the wrong place")
            told[name] = value
        elif name in HOP_BY_HOP or name != name.lower():
            raise WireError(f"header {shown(name)} is none of HTTP/2")
        else:
            rest.append((name, value))
    hosts = {value for name, value in rest if name == b"host"}
    if b":authority" in told:
        hosts.add(told[b":authority"])
    if told.get(b":method") == b"CONNECT":  # has no path; it is refused for what it is
        return Asked(b"CONNECT", b"", b"", rest, body)
    if len(hosts) != 1:
        raise WireError("one host must be named, and only one")
    if told.get(b":scheme") not in _SCHEMES or not told.get(b":method") or not told.get(b":path"):
        raise WireError("method, scheme and path must be told")
    return Asked(told[b":method"], hosts.pop(), told[b":path"], rest, body)

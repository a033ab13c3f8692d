"""The messages that data streams begin with: a request, and what the connector made of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from halfopen.errors import WireError
from halfopen.tunnelwire.capnp.layout import Struct, number, raw_text, structs, text
from halfopen.tunnelwire.exchange import Answered, Kind, Refused, Request
from halfopen.tunnelwire.headers import Header, canonical, check, shown
from halfopen.tunnelwire.visitor import from_origin

_HEADER: Final = b"HttpHeader:"
_METHOD: Final = b"HttpMethod"
_HOST: Final = b"HttpHost"
_STATUS: Final = b"HttpStatus"
_LIMITED: Final = b"FlowConnectRateLimited"
_CHUNKED: Final = (b"transfer-encoding", b"chunked")


@dataclass(frozen=True)
class Metadata(Struct, words=0, pointers=2):
    """A key and a value, more than once where a header is."""

    key: bytes = raw_text(0)
    val: bytes = raw_text(1)


@dataclass(frozen=True)
class ConnectRequest(Struct, words=1, pointers=2):
    """Where to, as a URL or for TCP as address and port; what for; and method, host and headers."""

    dest: bytes = raw_text(0)
    type: int = number(0, "H")
    metadata: tuple[Metadata, ...] = structs(1, Metadata)


@dataclass(frozen=True)
class ConnectResponse(Struct, words=0, pointers=2):
    """What was wrong, or status and headers."""

    error: str = text(0)
    metadata: tuple[Metadata, ...] = structs(1, Metadata)


def write_request(request: Request) -> ConnectRequest:
    """A request as it is sent. A body that nobody tells the length of is said to be chunked, or it would not be read."""
    if request.kind is Kind.TCP:
        return ConnectRequest(request.host, request.kind.value)
    headers = request.headers
    if request.body and not any(name == b"content-length" for name, _ in headers):
        headers = (*headers, _CHUNKED)
    metadata = (Metadata(_METHOD, request.method), Metadata(_HOST, request.host), *_metadata(headers))
    return ConnectRequest(request.scheme + b"://" + request.host + request.path, request.kind.value, metadata)


def read_request(message: ConnectRequest) -> Request:
    """A request as it was sent; raises WireError where it is none."""
    try:
        kind = Kind(message.type)
    except ValueError:
        raise WireError(f"a request of kind {message.type}; accepted: 0, 1, 2") from None
    if kind is Kind.TCP:
        return Request(kind, message.dest, body=True)
    headers = tuple((name.lower(), value) for name, value in _headers(message.metadata))
    scheme, found, rest = message.dest.partition(b"://")
    if not found:
        raise WireError("a destination that is no URL")
    _, slash, path = rest.partition(b"/")
    single = {each.key: each.val for each in message.metadata}
    return Request(
        kind,
        single.get(_HOST, b""),
        single.get(_METHOD, b"GET"),
        scheme,
        slash + path or b"/",
        tuple(each for each in headers if each != _CHUNKED),
        body=kind is Kind.WEBSOCKET or _CHUNKED in headers or _length(headers) > 0,
    )


def write_answer(answer: Answered | Refused, kind: Kind) -> ConnectResponse:
    """An answer as it is sent."""
    if isinstance(answer, Refused):
        return ConnectResponse(answer.reason, (Metadata(_LIMITED, b"true"),) if answer.rate_limited else ())
    if kind is Kind.TCP:
        return ConnectResponse()
    return ConnectResponse(metadata=(Metadata(_STATUS, b"%d" % answer.status), *_metadata(answer.headers)))


def read_answer(message: ConnectResponse, kind: Kind) -> Answered | Refused:
    """An answer as it was sent; raises WireError where it is none."""
    single = {each.key: each.val for each in message.metadata}
    if message.error:
        return Refused(message.error, single.get(_LIMITED) == b"true")
    if kind is Kind.TCP:
        return Answered(200)
    status = single.get(_STATUS, b"")
    if len(status) != 3 or not status.isdigit() or status < b"101":
        raise WireError(f"an answer of the status {shown(status)}")
    headers = _headers(message.metadata)
    check(headers)
    return Answered(int(status), tuple(from_origin(headers, switching=status == b"101")))


def _metadata(headers: tuple[Header, ...]) -> tuple[Metadata, ...]:
    return tuple(Metadata(_HEADER + canonical(name), value) for name, value in headers)


def _headers(metadata: tuple[Metadata, ...]) -> list[Header]:
    return [(each.key.removeprefix(_HEADER), each.val) for each in metadata if each.key.startswith(_HEADER)]


def _length(headers: tuple[Header, ...]) -> int:
    length = dict(headers).get(b"content-length", b"0")
    return int(length) if length.isdigit() else 0

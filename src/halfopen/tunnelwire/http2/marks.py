"""What the headers of a stream say: what kind it is, and how an origin's answer is packed."""

from __future__ import annotations

import json
from typing import Final

from halfopen.errors import WireError
from halfopen.tunnelwire.exchange import Answered, Kind, Refused, Request
from halfopen.tunnelwire.headers import (
    META,
    USER_HEADERS,
    Header,
    Meta,
    canonical,
    check,
    read_meta,
    read_user_headers,
    shown,
    write_meta,
    write_user_headers,
)
from halfopen.tunnelwire.visitor import from_origin

_UPGRADE: Final = b"cf-cloudflared-proxy-connection-upgrade"
_SOURCE: Final = b"cf-cloudflared-proxy-src"

_CONTROL: Final = (_UPGRADE, b"control-stream")
_CONFIGURATION: Final = (_UPGRADE, b"update-configuration")
_KINDS: Final[dict[Kind, tuple[Header, ...]]] = {
    Kind.HTTP: (),
    Kind.WEBSOCKET: ((_UPGRADE, b"websocket"),),
    Kind.TCP: ((_SOURCE, b"edge"),),
}

_OWN: Final = (
    (b":method", b"GET"),
    (b":scheme", b"https"),
    (b":authority", b"edge.internal"),
    (b":path", b"/"),
)

CONTROL_REQUEST: Final = (*_OWN, _CONTROL)
CONFIGURATION_REQUEST: Final = ((b":method", b"POST"), *_OWN[1:], _CONFIGURATION)


def write_request(request: Request) -> list[Header]:
    """The headers of a request's stream."""
    return [
        (b":method", request.method),
        (b":scheme", request.scheme),
        (b":authority", request.host),
        (b":path", request.path),
        *request.headers,
        *_KINDS[request.kind],
    ]


def read_request(headers: list[Header], ended: bool) -> Request:
    """A request by the headers of its stream, in the order in which connectors look at them; raises WireError where it is none."""
    single = dict(headers)
    kind = Kind.HTTP
    if single.get(_UPGRADE) == b"websocket":
        kind = Kind.WEBSOCKET
    elif single.get(_SOURCE):
        kind = Kind.TCP
    return Request(
        kind,
        single.get(b":authority", b""),
        single.get(b":method", b""),
        single.get(b":scheme", b""),
        single.get(b":path", b""),
        tuple(
            (name, value) for name, value in headers if name[:1] != b":" and name not in (_UPGRADE, _SOURCE)
        ),
        body=not ended,
    )


def is_control(headers: list[Header]) -> bool:
    """Whether a stream is the control stream."""
    return _CONTROL in headers


def is_configuration(headers: list[Header]) -> bool:
    """Whether a stream brings a configuration."""
    return _CONFIGURATION in headers


def write_answer(answer: Answered | Refused) -> list[Header]:
    """The headers of an answer: its own all in one, but the length stands beside it too. There is no 101 in HTTP/2."""
    if isinstance(answer, Refused):
        meta = write_meta(Meta(from_origin=False, rate_limited=answer.rate_limited))
        return [(b":status", b"502"), (META, meta)]
    status = 200 if answer.status == 101 else answer.status
    check(answer.headers)
    lengths = [
        (b"content-length", value) for name, value in answer.headers if name.lower() == b"content-length"
    ]
    return [
        (b":status", b"%d" % status),
        *lengths,
        (USER_HEADERS, write_user_headers(answer.headers)),
        (META, write_meta(Meta(from_origin=True))),
    ]


def read_answer(headers: list[Header], kind: Kind) -> Answered | Refused:
    """An answer by the headers of its stream; raises WireError where it is none."""
    single = dict(headers)
    meta = read_meta(single.get(META, b""))
    if not meta.from_origin:
        return Refused("the connector has no answer of an origin", meta.rate_limited)
    if kind is Kind.TCP:
        return Answered(200)
    found = read_user_headers(single.get(USER_HEADERS, b""))
    status = _status(single.get(b":status", b""))
    if (
        kind is Kind.WEBSOCKET
        and status == 200
        and any(name.lower() == b"sec-websocket-accept" for name, _ in found)
    ):
        status = 101
    return Answered(status, tuple(from_origin(found, switching=status == 101)))


def read_trailers(headers: list[Header]) -> tuple[Header, ...]:
    """What an origin says behind the body, under the names it would have there; raises WireError where it cannot be said."""
    check(headers)
    return tuple(from_origin([(canonical(name), value) for name, value in headers]))


def _status(value: bytes) -> int:
    if len(value) != 3 or not value.isdigit() or value < b"200":
        raise WireError(f"an answer of the status {shown(value)}")
    return int(value)


def write_configuration(version: int, config: bytes) -> bytes:
    """The body that brings a configuration (JSON)."""
    return b'{"version":%d,"config":%b}' % (version, config)


def read_configuration(body: bytes) -> tuple[int, bytes]:
    """Version and configuration in such a body; raises WireError where it holds none."""
    try:
        fields = json.loads(body)
        return int(fields["version"]), json.dumps(fields["config"]).encode()
    except (ValueError, TypeError, KeyError, RecursionError):
        raise WireError("a configuration that is none") from None


def write_applied(version: int, failed: bool) -> bytes:
    """The body that tells which version is applied; why another is not is lost on the way."""
    return json.dumps({"lastAppliedVersion": version, "err": {} if failed else None}).encode()


def read_applied(body: bytes) -> tuple[int, bool]:
    """Which version is applied, and whether the one sent failed; raises WireError where the body does not tell."""
    try:
        fields = json.loads(body)
        return int(fields["lastAppliedVersion"]), fields["err"] is not None
    except (ValueError, TypeError, KeyError, RecursionError):
        raise WireError(f"an answer to a configuration that is none: {shown(body)}") from None

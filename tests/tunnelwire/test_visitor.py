"""What of a visitor's request and of an origin's answer goes on, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halfopen.errors import WireError
from halfopen.tunnelwire.headers import Header
from halfopen.tunnelwire.visitor import from_origin, from_visitor, is_management
from tests.tunnelwire.test_headers import any_headers

NEVER = [
    b"Cf-Cloudflared-Proxy-Connection-Upgrade",
    b"cf-cloudflared-proxy-src",
    b"CF-CLOUDFLARED-ANYTHING",
    b"Cf-Int-Cloudflared-Tracing",
    b"Cf-Proxy-Anything",
    b"CF-Connecting-IP",
    b"CF-Connecting-IPv6",
    b"CF-Ray",
    b"Cf-Warp-Tag-Id",
    b"Host",
    b"Connection",
    b"Keep-Alive",
    b"Proxy-Connection",
    b"Proxy-Authorization",
    b"Transfer-Encoding",
    b"Upgrade",
    b"TE",
]


@pytest.mark.parametrize("name", NEVER, ids=bytes.decode)
@pytest.mark.parametrize("spelled", [bytes, bytes.lower, bytes.upper, bytes.swapcase])
@pytest.mark.parametrize("trusted", [False, True])
def test_what_never_goes_on(name: bytes, spelled: type[bytes], trusted: bool) -> None:
    value = b"chunked" if name == b"Transfer-Encoding" else b"update-configuration"
    assert from_visitor([(spelled(name), value), (b"X", b"1")], trusted) == [(b"x", b"1")]


@pytest.mark.parametrize("name", [b"X-Forwarded-For", b"x-forwarded-proto", b"Forwarded", b"X-Real-IP"])
def test_what_trusted_proxies_may_say(name: bytes) -> None:
    assert from_visitor([(name, b"1")]) == []
    assert from_visitor([(name, b"1")], trusted=True) == [(name.lower(), b"1")]


def test_what_goes_on() -> None:
    headers = [
        (b"Cookie", b"a"),
        (b"Cookie", b"b"),
        (b"X-Close", b"1"),
        (b"Connection", b"close, X-Close"),
        (b"TE", b"trailers"),
        (b"Sec-WebSocket-Key", b"k"),
    ]
    expected = [(b"cookie", b"a"), (b"cookie", b"b"), (b"te", b"trailers"), (b"sec-websocket-key", b"k")]
    assert from_visitor(headers) == expected


@pytest.mark.parametrize(
    "headers",
    [
        [(b"Content-Length", b"1"), (b"content-length", b"2")],
        [(b"Content-Length", b"1, 1")],
        [(b"Content-Length", b"-1")],
        [(b"Content-Length", b"")],
        [(b"Content-Length", b"0x1")],
        [(b"Content-Length", b"1"), (b"Transfer-Encoding", b"chunked")],
        [(b"Transfer-Encoding", b"gzip")],
        [(b"Transfer-Encoding", b"chunked, chunked")],
        [(b"Transfer-Encoding", b"chunked"), (b"Transfer-Encoding", b"chunked")],
        [(b"X", b"a\r\nCf-Ray: 1")],
        [(b"X\r\nCf-Ray", b"1")],
        [(b"HttpHeader:X", b"1")],
        [(b"", b"1")],
    ],
)
def test_requests_that_are_refused(headers: list[Header]) -> None:
    with pytest.raises(WireError):
        from_visitor(headers)


def test_a_length_told_twice_alike_goes_on_once() -> None:
    assert from_visitor([(b"content-length", b"12"), (b"Content-Length", b"12 ")]) == [
        (b"content-length", b"12")
    ]


def test_answers() -> None:
    headers = [
        (b"Set-Cookie", b"a"),
        (b"Connection", b"Upgrade, X-Hop"),
        (b"Upgrade", b"websocket"),
        (b"X-Hop", b"1"),
        (b"Transfer-Encoding", b"chunked"),
        (b"Cf-Int-Cloudflared-Tracing", b"1"),
        (b"Cf-Cloudflared-Response-Meta", b"{}"),
        (b"Sec-Websocket-Accept", b"x"),
    ]
    assert from_origin(headers) == [(b"Set-Cookie", b"a"), (b"Sec-Websocket-Accept", b"x")]
    assert from_origin(headers, switching=True) == [*headers[:3], headers[-1]]


@pytest.mark.parametrize(
    "host",
    [
        b"management.argotunnel.com",
        b"Management.ArgoTunnel.com",
        b"management.argotunnel.com:443",
        b"management.argotunnel.com:",
        b"management.argotunnel.com.",
        b"management.argotunnel.com.:80",
        b"[management.argotunnel.com]:443",
        b"[management.argotunnel.com]",
    ],
)
def test_hosts_of_the_connector(host: bytes) -> None:
    assert is_management(host)


@pytest.mark.parametrize(
    "host", [b"", b"app.example", b"xmanagement.argotunnel.com", b"[::1]:80", b"::1", b"argotunnel.com"]
)
def test_other_hosts(host: bytes) -> None:
    assert not is_management(host)


@given(any_headers, st.booleans())
def test_any_headers(headers: list[Header], trusted: bool) -> None:
    """What goes on came, in its order, and goes on unchanged a second time."""
    try:
        kept = from_visitor(headers, trusted)
    except WireError:
        return
    rest = iter([(name.lower(), value.strip()) for name, value in headers])
    assert all(each in rest for each in kept)
    assert from_visitor(kept, trusted) == kept

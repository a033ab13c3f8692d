"""Bytes of visitors who mean no good: whatever comes, nothing is raised, and no connector is asked what no visitor may ask."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import hpack
from hypothesis import given
from hypothesis import strategies as st

from halfopen.edge.front import Front
from halfopen.edge.visitors.arrival import Arrival, Visitors
from halfopen.edge.visitors.http2 import PREFACE
from halfopen.tunnelwire.exchange import Kind, Request
from tests.edge.playing import NAME, Connector

FORBIDDEN = (
    b"cf-cloudflared-",
    b"cf-int-",
    b"cf-proxy-",
    b"cf-warp-",
    b"transfer-encoding",
    b"connection",
    b"upgrade",
    b"host",
    b":",
)


class Wire(asyncio.Transport):
    """A transport that leads nowhere: what is written is kept."""

    def __init__(self, protocol: Any) -> None:
        super().__init__()
        self.protocol = protocol
        self.written = b""
        self.paused = self.closed = False

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol

    def write(self, data: Any) -> None:
        self.written += bytes(data)

    def close(self) -> None:
        self.closed = True

    abort = close

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0

    def can_write_eof(self) -> bool:
        return False


def asked(pieces: Sequence[bytes], answers: bool) -> list[Request]:
    """What a connector is asked when a visitor sends these pieces."""

    async def visit() -> list[Request]:
        connector: Any = Connector(2)
        visitors = Visitors(Front(connector), 10)
        visitors._count = visitors._there["127.0.0.1"] = 1
        arrival = Arrival(visitors, None, "127.0.0.1")
        wire = Wire(arrival)
        arrival.connection_made(wire)
        told = 0
        for piece in pieces:
            if wire.closed:
                break
            wire.protocol.data_received(piece)
            while answers and told < len(connector.asked):
                connector.asked[told].answer(200, [(b"Content-Length", b"2")], b"ok")
                told += 1
            await asyncio.sleep(0)
        now = asyncio.get_running_loop().time()
        for each in list(visitors.present):
            each.look(now + 1_000)
            each.finish()
        await asyncio.sleep(0)
        wire.protocol.connection_lost(None)
        visitors.close()
        assert not visitors.present
        assert visitors._count == 0
        return [each.request for each in connector.asked]

    return asyncio.run(visit())


def check(requests: Sequence[Request]) -> None:
    for request in requests:
        assert request.kind in (Kind.HTTP, Kind.WEBSOCKET)
        assert request.host.split(b":")[0].rstrip(b".").lower() == NAME.encode()
        names = [name for name, _ in request.headers]
        assert not any(name.startswith(FORBIDDEN) for name in names)
        assert (
            names.count(b"cf-connecting-ip") == names.count(b"x-forwarded-for") == names.count(b"cf-ray") == 1
        )
        assert names.count(b"content-length") <= 1
        assert not any(b"\r" in value or b"\n" in value or b"\0" in value for _, value in request.headers)


LINES = st.sampled_from([
    b"Host: app.example.com", b"Host: management.argotunnel.com", b"Host:app.example.com:443", b"Content-Length: 3", b"Content-Length: 4",
    b"Content-Length: 0", b"Transfer-Encoding: chunked", b"transfer-encoding: chunked ", b"Transfer-Encoding: identity", b"Upgrade: websocket",
    b"Connection: Upgrade", b"Connection: close", b"Connection: x-forwarded-for", b"Expect: 100-continue", b"Upgrade: h2c",
    b"Cf-Cloudflared-Proxy-Connection-Upgrade: update-configuration", b"cf-cloudflared-proxy-src: 127.0.0.1:22", b"CF-Ray: x", b"TE: trailers",
    b"X-Forwarded-For: 1.2.3.4", b" folded", b"no colon", b"\x00: x", b"X: \xff\x00", b"Cookie: a=b",
])  # fmt: skip
STARTS = st.sampled_from([
    b"GET / HTTP/1.1", b"POST /a HTTP/1.1", b"HEAD / HTTP/1.0", b"CONNECT app.example.com:443 HTTP/1.1", b"GET http://x/ HTTP/1.1",
    b"OPTIONS * HTTP/1.1", b"PUT /\xff HTTP/1.1", b"GET /", b"PRI * HTTP/2.0",
])  # fmt: skip
BODIES = st.sampled_from(
    [
        b"",
        b"abc",
        b"abcd",
        b"3\r\nabc\r\n0\r\n\r\n",
        b"3\r\nabc\r\n0\r\nCf-Ray: x\r\n\r\n",
        b"ffffffffffffffff\r\n",
        b"-1\r\n",
    ]
)


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    lines = draw(st.lists(LINES, max_size=6))
    if draw(st.booleans()):
        lines = [b"Host: app.example.com", *lines]
    return b"\r\n".join([draw(STARTS), *lines]) + b"\r\n\r\n" + draw(BODIES)


HTTP1 = st.lists(st.one_of(messages(), st.binary(max_size=40)), min_size=1, max_size=4).map(b"".join)


@given(HTTP1, st.lists(st.integers(0, 600), max_size=5), st.booleans())
def test_http1(sent: bytes, cuts: list[int], answers: bool) -> None:
    whole = asked([sent], answers=False)
    check(whole)
    places = sorted({0, *(cut for cut in cuts if cut < len(sent)), len(sent)})
    pieces = [sent[start:end] for start, end in pairwise(places)]
    parted = asked(pieces, answers)
    check(parted)
    if not answers:  # how it was cut makes no difference
        assert [(each.method, each.path, each.body) for each in parted] == [
            (each.method, each.path, each.body) for each in whole
        ]


FIELDS = st.sampled_from([
    (b":method", b"GET"), (b":method", b"POST"), (b":method", b"CONNECT"), (b":scheme", b"http"), (b":path", b"/"), (b":path", b"/a"),
    (b":authority", b"app.example.com"), (b":authority", b"management.argotunnel.com"), (b"host", b"app.example.com"), (b":status", b"200"),
    (b":protocol", b"websocket"), (b"content-length", b"3"), (b"content-length", b"x"), (b"transfer-encoding", b"chunked"),
    (b"connection", b"close"), (b"cf-cloudflared-proxy-src", b"127.0.0.1:22"), (b"Cf-Ray", b"x"), (b"te", b"trailers"), (b"cookie", b"a=b"),
    (b"x", b"a\r\nb: c"), (b"expect", b"100-continue"), (b"cf-int-a", b"x"),
])  # fmt: skip
USUAL = [(b":method", b"POST"), (b":scheme", b"http"), (b":authority", b"app.example.com"), (b":path", b"/")]


@st.composite
def frames(draw: st.DrawFn) -> bytes:
    kind = draw(st.sampled_from([0, 0, 1, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 77]))
    flags = draw(st.sampled_from([0, 1, 4, 5, 5, 8, 0x20, 0x2D]))
    stream = draw(st.sampled_from([0, 1, 1, 3, 3, 5, 2]))
    if kind == 1 and draw(st.integers(0, 9)):
        fields = draw(st.lists(FIELDS, max_size=4))
        body = hpack.Encoder().encode([*(USUAL if draw(st.integers(0, 3)) else []), *fields])
    else:
        body = draw(
            st.one_of(st.binary(max_size=20), st.just(bytes(4)), st.just(bytes(8)), st.just(b"\0\0\0\1"))
        )
    return len(body).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + body


SETTINGS = b"\0\0\0\4\0\0\0\0\0"


@given(st.lists(frames(), max_size=8), st.binary(max_size=30), st.booleans(), st.booleans())
def test_http2(sent: list[bytes], rest: bytes, at_once: bool, answers: bool) -> None:
    pieces = [PREFACE + SETTINGS, *sent, rest]
    check(asked([b"".join(pieces)] if at_once else [each for each in pieces if each], answers))

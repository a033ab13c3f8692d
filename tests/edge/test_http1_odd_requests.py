"""Requests over HTTP/1.1 that are odd: refused, or read in the one way that they can be meant."""

from __future__ import annotations

import asyncio

import pytest

from halfopen.tunnelwire.exchange import Answered, Kind
from tests.edge.playing import HOST, Client, Connector, play


@pytest.mark.parametrize(("request_", "status"), [
    (b"GET / HTTP/1.1\r\nHost: other.example.com\r\n\r\n", 404), (b"GET / HTTP/1.1\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: management.argotunnel.com\r\n\r\n", 404), (b"nonsense\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: app.example.com\r\nHost: other\r\n\r\n", 400),
    (b"CONNECT app.example.com:443 HTTP/1.1\r\n" + HOST + b"\r\n", 501), (b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    (b"GET http://other.example.com/ HTTP/1.1\r\n" + HOST + b"\r\n", 404),
    (b"GET http://app.example.com/ HTTP/1.1\r\n\r\n", 400), (b"GET http:///a HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    (b"GET http://app.example.com/ HTTP/1.1\r\n" + HOST + b"Host: other\r\n\r\n", 400),
    (b"GET http://user@app.example.com/ HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    (b"GET / HTTP/2.0\r\n" + HOST + b"\r\n", 400), (b"GET / HTTP/0.9\r\n" + HOST + b"\r\n", 400),
    (b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: identity\r\n\r\n0\r\n\r\n", 400),
    (b"GET ftp://app.example.com/ HTTP/1.1\r\n" + HOST + b"\r\n", 400), (b"GET app.example.com:80 HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: user@app.example.com\r\n\r\n", 400),
    (b"GET http://management.argotunnel.com/ping HTTP/1.1\r\n" + HOST + b"\r\n", 404),
    (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nx", 400),
    (b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"x" * 70_000 + b"\r\n\r\n", 431),
])  # fmt: skip
def test_what_no_connector_gets(request_: bytes, status: int, caplog: pytest.LogCaptureFixture) -> None:
    async def scene(connector: Connector, client: Client) -> None:
        client.send(request_)
        head = await client.head()
        assert head.startswith(b"HTTP/1.1 %d " % status)
        assert b"id " in await client.rest()
        assert not connector.asked
        assert not caplog.records

    play(scene)


BAD_CHUNK = (
    b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0x3\r\nabc\r\n0\r\n\r\n"
)


def test_a_body_that_cannot_be_read_is_given_up() -> None:
    async def before(connector: Connector, client: Client) -> None:
        client.send(BAD_CHUNK)
        asked = await connector.next()
        assert b" 400 " in await client.head()
        await client.rest()
        assert asked.cancelled
        assert not asked.ended

    async def within(connector: Connector, client: Client) -> None:
        client.send(BAD_CHUNK[:-20])
        asked = await connector.next()
        asked.exchange.reply(Answered(200))
        asked.exchange.received(b"half")
        await client.head()
        client.send(BAD_CHUNK[-20:])
        assert await client.rest() == b"4\r\nhalf\r\n"
        assert asked.cancelled

    async def behind(connector: Connector, client: Client) -> None:
        client.send(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n" + BAD_CHUNK)
        asked = await connector.next()
        await asyncio.sleep(0.05)
        asked.answer(200, [(b"Content-Length", b"2")], b"ok")
        await client.head()
        assert await client.rest() == b"ok"
        assert connector.asked == [asked]

    for scene in (before, within, behind):
        play(scene)


@pytest.mark.parametrize("protocol", [b"h2c", b"websocket"])
@pytest.mark.parametrize(
    "body", [b"Content-Length: 3\r\n\r\nabc", b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"]
)
@pytest.mark.parametrize("cut", [0, 1, 3])
def test_a_request_with_a_body_is_not_upgraded(protocol: bytes, body: bytes, cut: int) -> None:
    async def scene(connector: Connector, client: Client) -> None:
        whole = (
            b"POST / HTTP/1.1\r\n" + HOST + b"Connection: Upgrade\r\nUpgrade: " + protocol + b"\r\n" + body
        )
        client.send(whole[: len(whole) - cut])
        asked = await connector.next()
        assert asked.request.kind is Kind.HTTP
        assert asked.ended == (not cut)
        client.send(whole[len(whole) - cut :])
        while not asked.ended:
            await asyncio.sleep(0.01)
        assert asked.body == b"abc"
        asked.answer(200, [(b"Content-Length", b"2")], b"ok")
        assert b"Connection: close" in await client.head()
        assert await client.rest() == b"ok"

    play(scene)


def test_who_does_not_ask_for_an_upgrade_of_the_connection_gets_none() -> None:
    async def scene(connector: Connector, client: Client) -> None:
        client.send(b"GET / HTTP/1.1\r\n" + HOST + b"Upgrade: websocket\r\n\r\n")
        asked = await connector.next()
        assert asked.request.kind is Kind.HTTP
        asked.exchange.reply(Answered(101))
        assert b" 502 " in await client.head()

    play(scene)


@pytest.mark.parametrize(("target", "host", "path"), [
    (b"http://app.example.com/a?b=c", b"app.example.com", b"/a?b=c"), (b"HTTPS://App.example.com:81", b"App.example.com:81", b"/"),
    (b"http://app.example.com?b", b"app.example.com", b"/?b"), (b"http://app.example.com//user@x/", b"app.example.com", b"//user@x/"),
])  # fmt: skip
def test_the_host_of_a_target_counts(target: bytes, host: bytes, path: bytes) -> None:
    async def scene(connector: Connector, client: Client) -> None:
        client.send(b"GET " + target + b" HTTP/1.1\r\nHost: management.argotunnel.com\r\n\r\n")
        asked = await connector.next()
        assert (asked.request.host, asked.request.path) == (host, path)
        assert b"host" not in asked.headers

    play(scene)

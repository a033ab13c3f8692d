"""Visitors over HTTP/2, before a connection that a test plays."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import h2.events
import pytest
from h2.errors import ErrorCodes
from h2.settings import SettingCodes

from halfopen.edge.visitors import http2
from halfopen.tunnelwire.exchange import Answered, Broken, End, Kind, Refused
from halfopen.tunnelwire.headers import Header
from tests.edge.playing import NAME, Client2, Connector, play2, until, usual

MIB = 1 << 20


def test_requests_and_their_answers() -> None:
    async def scene(connector: Connector, client: Client2) -> None:
        first = client.ask((b"accept", b"*/*"), (b"cookie", b"a=1"), (b"cookie", b"b=2"), path=b"/a?b=c")
        second = client.ask(method=b"HEAD")
        asked, other = await connector.next(), await connector.next()
        request = asked.request
        assert (request.kind, request.method, request.host, request.path, request.body) == (
            Kind.HTTP, b"GET", NAME.encode(), b"/a?b=c", False,
        )  # fmt: skip
        assert asked.headers[b"cookie"] == b"a=1; b=2"
        assert b"host" not in asked.headers
        assert not asked.ended  # its end stands in the head
        other.answer(200, [(b"Content-Length", b"5")], b"none of it is sent")
        asked.answer(
            200, [(b"Set-Cookie", b"a"), (b"Set-Cookie", b"b"), (b"Content-Length", b"5")], b"hel", b"lo"
        )
        headers, body = await client.answer(second)
        assert (headers[b":status"], headers[b"content-length"], body) == (b"200", b"5", b"")
        head = await client.next(h2.events.ResponseReceived, first)
        assert [value for name, value in head.headers if name == b"set-cookie"] == [b"a", b"b"]
        await client.next(h2.events.StreamEnded, first)
        assert client.bodies[first] == b"hello"

    play2(scene)


def test_what_is_of_http1_goes_neither_way() -> None:
    async def scene(connector: Connector, client: Client2) -> None:
        number = client.ask((b"te", b"trailers"))
        asked = await connector.next()
        assert asked.headers[b"te"] == b"trailers"
        asked.answer(204, [(b"Date", b"today")])
        headers, _ = await client.answer(number)
        assert headers == {b":status": b"204", b"date": b"today", b"cf-ray": asked.headers[b"cf-ray"]}

    play2(scene)


def test_a_call_both_ways_with_trailers() -> None:
    async def scene(connector: Connector, client: Client2) -> None:
        number = client.ask(
            (b"te", b"trailers"), (b"content-type", b"application/grpc"), method=b"POST", ends=False
        )
        asked = await connector.next()
        assert asked.request.body
        client.send(number, b"one")
        await until(lambda: asked.body == b"one")
        asked.exchange.reply(Answered(200, ((b"Content-Type", b"application/grpc"),)))
        asked.exchange.received(b"first")
        await client.next(h2.events.ResponseReceived, number)
        await until_read(client, number, b"first")
        client.send(number, b"two", ends=True)
        await until(lambda: asked.ended)
        assert asked.body == b"onetwo"
        asked.exchange.received(b"second")
        asked.exchange.reply(End(((b"Grpc-Status", b"0"),)))
        trailers = await client.next(h2.events.TrailersReceived, number)
        assert list(trailers.headers) == [(b"grpc-status", b"0")]
        assert client.bodies[number] == b"firstsecond"

    play2(scene)


async def until_read(client: Client2, number: int, body: bytes) -> None:
    while bytes(client.bodies.get(number, b"")) != body:
        assert await client.read()


def test_a_body_that_is_welcome_only_when_asked_for() -> None:
    async def scene(connector: Connector, client: Client2) -> None:
        number = client.ask((b"expect", b"100-continue"), method=b"POST", ends=False)
        asked = await connector.next()
        assert b"expect" not in asked.headers
        told = await client.next(h2.events.InformationalResponseReceived, number)
        assert dict(told.headers)[b":status"] == b"100"

    play2(scene)


def test_an_upload_that_stalls_holds_up_no_other_stream() -> None:
    async def scene(connector: Connector, client: Client2) -> None:
        stalled = client.ask(method=b"POST", ends=False)
        slow = await connector.next()
        slow.welcome = False  # its connector takes nothing
        client.send(stalled, bytes(16_384))
        await until(lambda: slow.body)
        while room := min(client.h2.local_flow_control_window(stalled), 16_384):
            client.send(stalled, bytes(room))
        free = client.ask(method=b"POST", ends=False)
        quick = await connector.next()
        await client.upload(free, 20 * MIB)
        client.send(free, b"", ends=True)
        await until(lambda: quick.ended)
        assert len(quick.body) == 20 * MIB
        assert len(slow.body) <= http2.OF_VISITORS.window
        quick.answer(200)
        await client.answer(free)
        slow.welcome = True
        slow.exchange.drained()
        await client.upload(stalled, MIB)  # it goes on where it stood

    play2(scene)


def test_who_reads_one_answer_slowly_gets_the_others() -> None:
    async def scene(connector: Connector, client: Client2) -> None:
        client.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 100_000})
        client.h2.increment_flow_control_window(10 * MIB)
        client.flush()
        client.reads = False
        first, second = client.ask(path=b"/slow"), client.ask(path=b"/quick")
        slow, quick = await connector.next(), await connector.next()
        slow.exchange.reply(Answered(200))
        sent = 0
        while slow.exchange.received(bytes(16_384)):
            sent += 16_384
            assert sent < MIB
            await asyncio.sleep(0)
        for _ in range(2):
            quick.exchange.reply(Answered(200, ((b"Content-Length", b"%d" % 90_000),)))
            quick.exchange.received(bytes(90_000))
            quick.exchange.reply(End())
            await client.next(h2.events.StreamEnded, second)
            assert len(client.bodies[second]) == 90_000
            second = client.ask(path=b"/quick")
            quick = await connector.next()
        assert len(client.bodies[first]) == 100_000
        assert not slow.resumed
        client.h2.increment_flow_control_window(10 * MIB, first)
        client.flush()
        await until(lambda: slow.resumed)

    play2(scene)


def test_an_answer_before_the_end_of_the_request_ends_it() -> None:
    async def scene(connector: Connector, client: Client2) -> None:
        number = client.ask((b"content-length", b"100"), method=b"POST", ends=False)
        (await connector.next()).answer(413)
        assert (await client.answer(number))[0][b":status"] == b"413"
        assert (await client.next(h2.events.StreamReset, number)).error_code == ErrorCodes.NO_ERROR
        number = client.ask()
        (await connector.next()).answer(200)
        await client.answer(number)

    play2(scene)


@pytest.mark.parametrize(("break_off", "length"), [(True, b"9"), (False, b"9")])
def test_an_answer_that_is_not_whole_does_not_look_so(break_off: bool, length: bytes) -> None:
    async def scene(connector: Connector, client: Client2) -> None:
        number = client.ask()
        asked = await connector.next()
        asked.exchange.reply(Answered(200, ((b"Content-Length", length),)))
        asked.exchange.received(b"half")
        asked.exchange.reply(Broken("gone") if break_off else End())
        assert (await client.next(h2.events.StreamReset, number)).error_code == ErrorCodes.INTERNAL_ERROR
        number = client.ask()
        (await connector.next()).answer(200)
        await client.answer(number)

    play2(scene)


def test_a_visitor_that_takes_a_request_back_or_leaves_is_told_to_the_connector() -> None:
    async def scene(connector: Connector, client: Client2) -> None:
        number = client.ask()
        asked = await connector.next()
        client.h2.reset_stream(number, ErrorCodes.CANCEL)
        client.flush()
        await until(lambda: asked.cancelled)
        client.ask()
        asked = await connector.next()
        client.writer.transport.abort()
        await until(lambda: asked.cancelled)

    play2(scene)


@pytest.mark.parametrize(("headers", "status"), [
    (usual(authority=b"other.example.com"), 404), (usual(authority=b"management.argotunnel.com"), 404),
    (usual(authority=b"Management.ArgoTunnel.com.:443"), 404),
    (usual(authority=None), 400), ([*usual(), (b"host", b"other.example.com")], 400), ([*usual(), (b":path", b"/")], 400),
    ([*usual(), (b"a", b"b"), (b":scheme", b"http")], 400), (usual(method=None), 400), (usual(path=None), 400),
    (usual(scheme=None), 400), (usual(scheme=b"ftp"), 400), (usual(path=b""), 400), (usual(path=b"*"), 400),
    (usual(protocol=b"websocket"), 400), ([(b":method", b"CONNECT"), (b":authority", NAME.encode())], 501),
    (usual(method=b"CONNECT"), 501), (usual(method=b"OPTIONS", path=b"*"), 400), (usual(authority=b"user@app.example.com"), 400),
    (usual(path=b"http://app.example.com/"), 400), (usual(method=b"G T"), 400), (usual(path=b"/a b"), 400), (usual(status=b"200"), 400),
    ([*usual(), (b"connection", b"close")], 400), ([*usual(), (b"transfer-encoding", b"chunked")], 400),
    ([*usual(), (b"upgrade", b"websocket")], 400), ([*usual(), (b"Upper", b"x")], 400), ([*usual(), (b"", b"x")], 400),
    ([*usual(), (b"a", b"b\r\nc: d")], 400), ([*usual(), (b"a\nb", b"c")], 400),
])  # fmt: skip
def test_what_no_connector_gets(headers: Sequence[Header], status: int) -> None:
    async def scene(connector: Connector, client: Client2) -> None:
        told, body = await client.answer(client.say(headers))
        assert (told[b":status"], b"id " in body) == (b"%d" % status, True)
        assert not connector.asked
        number = client.ask()  # the connection goes on
        (await connector.next()).answer(200)
        await client.answer(number)

    play2(scene)


def test_a_host_may_be_told_in_either_way_or_both() -> None:
    async def scene(connector: Connector, client: Client2) -> None:
        for headers in (
            [*usual(authority=None), (b"host", NAME.encode())],
            [*usual(), (b"host", NAME.encode())],
        ):
            client.say(headers)
            assert (await connector.next()).request.host == NAME.encode()

    play2(scene)


@pytest.mark.parametrize("lengths", [(b"3", b"4"), (b"x",), (b"-1",), (b"1" * 5_000,)])
@pytest.mark.parametrize("ends", [True, False])
def test_a_length_must_be_one(lengths: Sequence[bytes], ends: bool) -> None:
    async def scene(connector: Connector, client: Client2) -> None:
        number = client.ask(*((b"content-length", length) for length in lengths), method=b"POST", ends=ends)
        assert (await client.answer(number))[0][b":status"] == b"400"
        assert not connector.asked

    play2(scene)


def test_a_body_that_does_not_follow_has_no_length() -> None:
    async def scene(connector: Connector, client: Client2) -> None:
        number = client.ask((b"content-length", b"3"), method=b"POST")
        assert (await client.answer(number))[0][b":status"] == b"400"
        client.ask((b"content-length", b"0"), method=b"POST")
        assert (await connector.next()).headers[b"content-length"] == b"0"

    play2(scene)


@pytest.mark.parametrize("sent", [
    lambda client, number: client.send(number, b"ab", True), lambda client, number: client.send(number, b"abcd", False),
    lambda client, number: client.send(number, b"abcd", True),
    lambda client, number: (client.send(number, b"ab"), client.h2.send_headers(number, [(b"a", b"b")], True), client.flush()),
])  # fmt: skip
def test_a_body_is_as_long_as_it_says(sent: Callable[[Client2, int], object]) -> None:
    async def scene(connector: Connector, client: Client2) -> None:
        other = client.ask()
        beside = await connector.next()
        number = client.ask((b"content-length", b"3"), method=b"POST", ends=False)
        asked = await connector.next()
        sent(client, number)
        assert (await client.next(h2.events.StreamReset, number)).error_code == ErrorCodes.PROTOCOL_ERROR
        assert asked.cancelled
        assert not asked.ended
        beside.answer(200)  # the others go on
        await client.answer(other)

    play2(scene)


def test_a_page_says_why_there_is_no_answer() -> None:
    async def scene(connector: Connector, client: Client2) -> None:
        number = client.ask()
        (await connector.next()).exchange.reply(Refused("no origin"))
        headers, body = await client.answer(number)
        assert (headers[b":status"], b"The origin does not answer" in body) == (b"502", True)
        assert headers[b"content-length"] == b"%d" % len(body)
        connector.lines.clear()
        headers, _ = await client.answer(client.ask(method=b"HEAD"))
        assert headers[b":status"] == b"503"

    play2(scene)

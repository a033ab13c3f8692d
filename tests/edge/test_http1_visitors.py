"""Visitors over HTTP/1.1, before a connection that a test plays."""

from __future__ import annotations

import asyncio
import logging

import pytest

from halfopen.edge.seldom import Seldom
from halfopen.edge.visitors import arrival, connection, visit
from halfopen.tunnelwire.exchange import Answered, Broken, End, Kind, Refused
from tests.edge.playing import HOST, Client, Connector, leave, play


def test_a_request_and_its_answer_and_the_next_on_the_same_connection() -> None:
    async def scene(connector: Connector, client: Client) -> None:
        client.send(b"GET /a?b=c HTTP/1.1\r\n" + HOST + b"Accept: */*\r\nX-Twice: 1\r\nX-Twice: 2\r\n\r\n")
        asked = await connector.next()
        request = asked.request
        assert (request.kind, request.method, request.host, request.path) == (
            Kind.HTTP, b"GET", b"app.example.com", b"/a?b=c",
        )  # fmt: skip
        assert not request.body
        assert not asked.ended  # its end stands in the head
        assert [value for name, value in request.headers if name == b"x-twice"] == [b"1", b"2"]
        asked.answer(
            200, [(b"Content-Length", b"5"), (b"Set-Cookie", b"a"), (b"Set-Cookie", b"b")], b"hel", b"lo"
        )
        head = await client.head()
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        assert head.count(b"Set-Cookie") == 2
        assert await client.reader.readexactly(5) == b"hello"
        client.send(b"HEAD / HTTP/1.1\r\n" + HOST + b"\r\n")
        (await connector.next()).answer(200, [(b"Content-Length", b"7")])
        assert b"Content-Length: 7" in await client.head()
        client.send(b"GET / HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n")
        (await connector.next()).answer(204)
        assert b"Connection: close" in await client.head()
        assert await client.rest() == b""

    play(scene)


def test_an_answer_of_unknown_length_goes_in_pieces_with_its_trailers() -> None:
    async def scene(connector: Connector, client: Client) -> None:
        client.send(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
        asked = await connector.next()
        asked.exchange.reply(Answered(200))
        asked.exchange.received(b"one")
        asked.exchange.reply(End(((b"grpc-status", b"0"),)))
        assert b"Transfer-Encoding: chunked" in await client.head()
        expected = b"3\r\none\r\n0\r\ngrpc-status: 0\r\n\r\n"
        assert await client.reader.readexactly(len(expected)) == expected

    play(scene)


def test_an_old_client_reads_to_the_end() -> None:
    async def scene(connector: Connector, client: Client) -> None:
        client.send(b"GET / HTTP/1.0\r\n" + HOST + b"\r\n")
        (await connector.next()).answer(200, [], b"one", b"two")
        assert b"chunked" not in await client.head()
        assert await client.rest() == b"onetwo"

    play(scene)


def test_an_old_client_is_not_told_to_go_on() -> None:
    async def scene(connector: Connector, client: Client) -> None:
        client.send(b"PUT / HTTP/1.0\r\n" + HOST + b"Expect: 100-continue\r\nContent-Length: 1\r\n\r\n")
        asked = await connector.next()
        client.send(b"a")
        while not asked.ended:
            await asyncio.sleep(0.01)
        asked.answer(200, [])
        assert (await client.head()).startswith(b"HTTP/1.1 200 ")

    play(scene)


def test_bodies_in_pieces_and_of_known_length() -> None:
    async def scene(connector: Connector, client: Client) -> None:
        client.send(
            b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n"
        )
        asked = await connector.next()
        assert b"expect" not in asked.headers
        assert await client.head() == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.send(b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n")
        while not asked.ended:
            await asyncio.sleep(0.01)
        assert asked.body == b"onetwo"
        asked.answer(200, [(b"Content-Length", b"0")])
        await client.head()
        client.send(b"PUT / HTTP/1.1\r\n" + HOST + b"Content-Length: 6\r\n\r\nthree!")
        asked = await connector.next()
        assert (asked.body, asked.ended, asked.headers[b"content-length"]) == (b"three!", True, b"6")
        asked.answer(200, [(b"Content-Length", b"0")])
        await client.head()

    play(scene)


def test_requests_that_do_not_wait_are_answered_in_their_order() -> None:
    async def scene(connector: Connector, client: Client) -> None:
        one = b"POST /%d HTTP/1.1\r\n" + HOST + b"Content-Length: 1\r\n\r\n%d"
        client.send(b"".join(one % (n, n) for n in range(3)))
        for number in range(3):
            asked = await connector.next()
            assert len(connector.asked) == number + 1
            assert (asked.request.path, asked.body, asked.ended) == (b"/%d" % number, b"%d" % number, True)
            asked.answer(200, [(b"Content-Length", b"1")], b"%d" % number)
            await client.head()
            assert await client.reader.readexactly(1) == b"%d" % number

    play(scene)


def test_after_an_upgrade_bytes_are_copied_unread() -> None:
    async def scene(connector: Connector, client: Client) -> None:
        client.send(
            b"GET /ws HTTP/1.1\r\n"
            + HOST
            + b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: k\r\n\r\nearly"
        )
        asked = await connector.next()
        assert asked.request.kind is Kind.WEBSOCKET
        assert asked.headers[b"sec-websocket-key"] == b"k"
        assert not {b"upgrade", b"connection"} & asked.headers.keys()
        await asyncio.sleep(0.05)
        assert (asked.body, asked.ended) == (b"", False)
        asked.exchange.reply(
            Answered(
                101,
                (
                    (b"Upgrade", b"websocket"),
                    (b"Connection", b"Upgrade"),
                ),
            )
        )
        assert (await client.head()).startswith(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n")
        client.send(b"GET / HTTP/1.1\r\n\r\n\x00\xff")
        while not asked.body.endswith(b"\xff"):
            await asyncio.sleep(0.01)
        assert asked.body == b"earlyGET / HTTP/1.1\r\n\r\n\x00\xff"
        asked.exchange.received(b"\x81\x01x")
        assert await client.reader.readexactly(3) == b"\x81\x01x"
        asked.exchange.reply(End())
        assert await client.rest() == b""

    play(scene)


@pytest.mark.parametrize("count", [1, 3])
def test_a_visitor_that_sends_no_more_gets_what_it_asked_for(count: int) -> None:
    async def scene(connector: Connector, client: Client) -> None:
        client.send((b"GET /1 HTTP/1.1\r\n" + HOST + b"\r\n") * count)
        client.writer.write_eof()
        for _ in range(count - 1):
            (await connector.next()).answer(200, [(b"Content-Length", b"3")], b"one")
            await client.head()
            assert await client.reader.readexactly(3) == b"one"
        last = await connector.next()
        await asyncio.sleep(0.1)  # it has ended by now
        last.answer(200, [(b"Content-Length", b"4")], b"last")
        await client.head()
        assert await client.rest() == b"last"

    play(scene)


@pytest.mark.parametrize(
    "sent", [b"Content-Length: 3\r\n\r\nab", b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n"]
)
def test_a_visitor_that_sends_no_more_of_half_a_request_is_gone(sent: bytes) -> None:
    async def scene(connector: Connector, client: Client) -> None:
        client.send(b"POST / HTTP/1.1\r\n" + HOST + sent)
        asked = await connector.next()
        client.writer.write_eof()
        assert await client.rest() == b""
        assert asked.cancelled
        assert not asked.ended

    play(scene)


def test_a_page_for_who_sends_no_more_is_whole() -> None:
    async def scene(_: Connector, client: Client) -> None:
        client.send(b"nonsense\r\n\r\n")
        client.writer.write_eof()
        assert b"</html>" in await client.rest()

    play(scene)


def test_after_an_upgrade_each_side_may_end_first() -> None:
    async def scene(connector: Connector, client: Client) -> None:
        client.send(b"GET /ws HTTP/1.1\r\n" + HOST + b"Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
        asked = await connector.next()
        asked.exchange.reply(Answered(101, ((b"Upgrade", b"websocket"), (b"Connection", b"Upgrade"))))
        await client.head()
        client.writer.write_eof()
        while not asked.ended:
            await asyncio.sleep(0.01)
        asked.exchange.received(b"more")
        asked.exchange.reply(End())
        assert await client.rest() == b"more"

    play(scene)


def test_a_visitor_that_leaves_is_told_to_the_connector(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrival, "LOOK", 0.05)

    async def scene(connector: Connector, client: Client) -> None:
        client.send(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
        asked = await connector.next()
        client.writer.write_eof()
        await asyncio.sleep(0.1)
        assert not asked.cancelled
        leave(client.writer)
        while not asked.cancelled:
            await asyncio.sleep(0.01)

    play(scene)


def test_a_visitor_that_does_not_read_is_sent_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "BUFFER", 1 << 16)

    async def scene(connector: Connector, client: Client) -> None:
        client.send(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
        asked = await connector.next()
        asked.exchange.reply(Answered(200, ((b"Content-Length", b"%d" % (64 << 20)),)))
        sent = 0
        while asked.exchange.received(bytes(1 << 16)) and sent < 64 << 20:
            sent += 1 << 16
            await asyncio.sleep(0)
        assert sent < 32 << 20  # what the kernel's buffers hold, and ours
        assert not asked.resumed
        await client.head()
        await client.reader.readexactly(sent)
        while not asked.resumed:
            await asyncio.sleep(0.01)

    play(scene)


def test_an_upload_waits_for_the_connector() -> None:
    async def scene(connector: Connector, client: Client) -> None:
        client.send(b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 40000000\r\n\r\n")
        asked = await connector.next()
        asked.welcome = False
        client.send(bytes(20_000_000))
        await asyncio.sleep(0.5)
        before = len(asked.body)
        assert before < 5_000_000
        asked.welcome = True
        asked.exchange.drained()
        while len(asked.body) < 20_000_000:
            await asyncio.sleep(0.01)
        asked.exchange.reply(Answered(413, ((b"Content-Length", b"0"),)))
        asked.exchange.reply(End())
        # What still comes of the upload must not be taken for a request.
        assert b"413" in await client.head()
        assert await client.rest() == b""
        assert len(connector.asked) == 1

    play(scene)


def test_every_answer_has_the_id_that_the_origin_was_told() -> None:
    async def scene(connector: Connector, client: Client) -> None:
        for reply in (
            Answered(200, ((b"CF-Ray", b"forged"), (b"Content-Length", b"0"))),
            Refused("no origin"),
        ):
            client.send(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
            asked = await connector.next()
            asked.exchange.reply(reply)
            asked.exchange.reply(End())
            ray = asked.headers[b"cf-ray"]
            head = await client.head()
            assert head.lower().count(b"cf-ray") == 1
            assert b"cf-ray: " + ray + b"\r\n" in head
        assert b"id " + ray + b"<" in await client.rest()

    play(scene)


@pytest.mark.parametrize(("reply", "words"), [
    (Refused("dial tcp:\nrefused"), "502 for app.example.com (id {}): dial tcp: refused"), (Refused(""), "The origin does not answer"),
    (Broken("gone"), "502 for app.example.com (id {}): gone"), (Answered(199), "its answer is none"),
    (None, "503 for app.example.com (id {}): The tunnel is down"),
])  # fmt: skip
def test_the_log_says_why_there_is_no_answer(
    reply: Answered | Refused | Broken | None, words: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setattr(visit, "SELDOM", Seldom())
    caplog.set_level(logging.INFO)

    async def scene(connector: Connector, client: Client) -> None:
        if reply is None:
            connector.lines.clear()
        client.send(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
        if reply is not None:
            (await connector.next()).exchange.reply(reply)
        page = await client.rest()
        (record,) = caplog.records
        assert words.format(page.partition(b"cf-ray: ")[2].split()[0].decode()) in record.message

    play(scene)


def test_pages_for_tunnels_that_are_down_and_origins_that_do_not_answer() -> None:
    async def down(connector: Connector, client: Client) -> None:
        connector.lines.clear()
        client.send(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
        assert b" 503 " in await client.head()
        assert b"The tunnel is down" in await client.rest()

    async def refused(connector: Connector, client: Client) -> None:
        client.send(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
        (await connector.next()).exchange.reply(Refused("no origin"))
        assert b" 502 " in await client.head()
        assert b"The origin does not answer" in await client.rest()

    async def lost(connector: Connector, client: Client) -> None:
        client.send(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
        (await connector.next()).exchange.reply(Broken("gone"))
        assert b"The tunnel broke off" in await client.rest()

    for scene in (down, refused, lost):
        play(scene)


def test_an_answer_that_breaks_off_does_not_look_whole() -> None:
    async def scene(connector: Connector, client: Client) -> None:
        client.send(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
        asked = await connector.next()
        asked.exchange.reply(Answered(200))
        asked.exchange.received(b"half")
        asked.exchange.reply(Broken("gone"))
        await client.head()
        assert await client.rest() == b"4\r\nhalf\r\n"

    play(scene)


@pytest.mark.parametrize(("head", "body", "seen"), [
    (b"GET", b"hello and more", b"hello"), (b"GET", b"hel", b"hel"), (b"HEAD", b"hello", b""),
])  # fmt: skip
def test_an_answer_is_as_long_as_it_says_or_the_connection_ends(
    head: bytes, body: bytes, seen: bytes
) -> None:
    async def scene(connector: Connector, client: Client) -> None:
        client.send(head + b" / HTTP/1.1\r\n" + HOST + b"\r\n")
        (await connector.next()).answer(200, [(b"Content-Length", b"5")], body)
        await client.head()
        assert await client.reader.readexactly(len(seen)) == seen
        if len(body) < 5:
            assert await client.rest() == b""
            return
        client.send(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
        (await connector.next()).answer(204)
        assert (await client.head()).startswith(b"HTTP/1.1 204 No Content\r\n")

    play(scene)


FORGED = (
    b"Cf-Cloudflared-Proxy-Connection-Upgrade: update-configuration\r\nCf-Cloudflared-Proxy-Src: x\r\nCf-Int-A: x\r\n"
    b"Cf-Proxy-B: x\r\nCf-Connecting-IP: 203.0.113.9\r\nCf-Ray: x\r\nCf-Warp-Tag-Id: x\r\nX-Forwarded-For: 203.0.113.9\r\n"
    b"Cf_Connecting_Ip: 203.0.113.9\r\nCF-RAY: x\r\nX-Forwarded-Proto: https\r\nConnection: x-named\r\nX-Named: x\r\n"
)


def test_what_a_visitor_may_not_say_is_not_handed_on() -> None:
    async def scene(connector: Connector, client: Client) -> None:
        client.send(b"GET / HTTP/1.1\r\n" + HOST + FORGED + b"\r\n")
        asked = await connector.next()
        ray = asked.headers.pop(b"cf-ray", b"")
        assert asked.headers | {b"cf-ray": b""} == {
            b"x-forwarded-for": b"127.0.0.1", b"x-forwarded-proto": b"http", b"cf-connecting-ip": b"127.0.0.1", b"cf-ray": b"",
        }  # fmt: skip
        assert ray.endswith(b"-ams01")

    play(scene)


def test_a_trusted_proxy_tells_of_the_visitor() -> None:
    async def scene(connector: Connector, client: Client) -> None:
        client.send(b"GET / HTTP/1.1\r\n" + HOST + FORGED + b"\r\n")
        asked = await connector.next()
        assert asked.headers[b"x-forwarded-for"] == b"203.0.113.9, 127.0.0.1"
        assert asked.headers[b"x-forwarded-proto"] == b"https"
        assert asked.headers[b"cf-connecting-ip"] == b"203.0.113.9"
        assert b"cf-cloudflared-proxy-connection-upgrade" not in asked.headers

    play(scene, ["127.0.0.0/8"])


@pytest.mark.parametrize(
    ("told", "visitor"),
    [
        (b"6.6.6.6, 203.0.113.9", b"203.0.113.9"),  # the first is what the visitor made up
        (b"203.0.113.9, 127.0.0.7", b"203.0.113.9"),  # two proxies, both trusted
        (b"203.0.113.9:4711", b"203.0.113.9"),
        (b"2001:db8::7", b"2001:db8::7"),
        (b"127.0.0.9", b"127.0.0.9"),  # a proxy asks itself
        (b"6.6.6.6, nobody", b"127.0.0.1"),
    ],
)
def test_a_visitor_behind_a_proxy_does_not_choose_who_it_is(told: bytes, visitor: bytes) -> None:
    async def scene(connector: Connector, client: Client) -> None:
        client.send(b"GET / HTTP/1.1\r\n" + HOST + b"X-Forwarded-For: " + told + b"\r\n\r\n")
        asked = await connector.next()
        assert asked.headers[b"cf-connecting-ip"] == visitor
        assert asked.headers[b"x-forwarded-for"] == told + b", 127.0.0.1"

    play(scene, ["127.0.0.0/8"])


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost:"])
def test_who_says_nothing_is_not_waited_for(sent: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrival, "ARRIVAL", 0.2)
    monkeypatch.setattr(connection, "ARRIVAL", 0.2)
    monkeypatch.setattr(arrival, "LOOK", 0.1)

    async def scene(_: Connector, client: Client) -> None:
        client.send(sent)
        assert await client.rest() == b""

    play(scene)

"""Visitors that are slow, silent or many: what is waited for, and for how long, and that nobody else is disturbed."""

from __future__ import annotations

import asyncio
import logging
import resource
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from halfopen import descriptors
from halfopen.edge import running
from halfopen.edge.connecting import Way
from halfopen.edge.visitors import arrival, connection, http1
from halfopen.tunnelwire.exchange import Answered, End
from tests.edge.playing import HOST, Client, Connector, edge, leave, play, run, until


@pytest.fixture(autouse=True)
def _looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrival, "LOOK", 0.05)


UPGRADE = (
    b"GET /ws HTTP/1.1\r\n"
    + HOST
    + b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: k\r\n\r\n"
)
SWITCHES = Answered(101, ((b"Upgrade", b"websocket"), (b"Connection", b"Upgrade")))


@pytest.mark.parametrize(
    "sent", [b"Content-Length: 9\r\n\r\nhalf", b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"]
)
def test_an_upload_that_stalls_is_answered_and_told_to_the_connector(
    sent: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http1, "UPLOAD", 0.2)

    async def scene(connector: Connector, client: Client) -> None:
        client.send(b"POST / HTTP/1.1\r\n" + HOST + sent)
        asked = await connector.next()
        assert b" 408 " in await client.head()
        await client.rest()
        assert asked.cancelled

    play(scene)


def test_an_upload_that_waits_for_the_connector_is_not_said_to_stall(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http1, "UPLOAD", 0.1)

    async def scene(connector: Connector, client: Client) -> None:
        client.send(b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 10\r\n\r\n")
        asked = await connector.next()
        asked.welcome = False
        client.send(b"12345")
        await asyncio.sleep(0.4)
        assert not asked.cancelled
        asked.welcome = True
        asked.exchange.drained()
        client.send(b"67890")
        await until(lambda: asked.ended)

    play(scene)


def test_whose_answer_has_begun_may_be_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http1, "UPLOAD", 0.1)

    async def scene(connector: Connector, client: Client) -> None:
        client.send(b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n")
        asked = await connector.next()
        asked.exchange.reply(Answered(200))
        await asyncio.sleep(0.4)
        client.send(b"4\r\nmore\r\n")
        await until(lambda: asked.body == b"more")

    play(scene)


def test_a_websocket_may_be_silent_for_as_long_as_it_likes(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("UPLOAD", "IDLE"):
        monkeypatch.setattr(http1, name, 0.1)

    async def scene(connector: Connector, client: Client) -> None:
        client.send(UPGRADE)
        asked = await connector.next()
        asked.exchange.reply(SWITCHES)
        await client.head()
        await asyncio.sleep(0.5)
        client.send(b"ping")
        await until(lambda: asked.body == b"ping")
        asked.exchange.received(b"pong")
        assert await client.reader.readexactly(4) == b"pong"
        asked.exchange.reply(End())

    play(scene)


def test_who_takes_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "TAKING", 0.3)

    async def scene(connector: Connector, client: Client) -> None:
        client.send(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
        asked = await connector.next()
        asked.exchange.reply(Answered(200))
        while asked.exchange.received(bytes(1 << 20)):
            await asyncio.sleep(0)
        await until(lambda: asked.cancelled)

    play(scene)


def test_who_takes_little_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "TAKING", 0.5)

    async def scene(connector: Connector, client: Client) -> None:
        client.send(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
        asked = await connector.next()
        asked.exchange.reply(Answered(200))
        sent = 0
        while asked.exchange.received(bytes(1 << 20)):
            sent += 1 << 20
            await asyncio.sleep(0)
        for _ in range(12):
            await client.reader.readexactly(400_000)
            await asyncio.sleep(0.1)
        assert not asked.cancelled

    play(scene)


def test_a_connection_that_idles_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http1, "IDLE", 0.2)

    async def scene(connector: Connector, client: Client) -> None:
        client.send(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
        (await connector.next()).answer(200, [(b"Content-Length", b"0")])
        await client.head()
        assert await client.rest() == b""

    play(scene)


def test_the_next_request_is_waited_for_from_its_first_byte_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http1, "ARRIVAL", 0.2)

    async def scene(connector: Connector, client: Client) -> None:
        client.send(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
        (await connector.next()).answer(200, [(b"Content-Length", b"0")])
        await client.head()
        await asyncio.sleep(0.4)
        client.send(b"GET / HT")
        assert await client.rest() == b""

    play(scene)


def test_answers_that_are_not_taken_are_not_asked_for_in_advance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "BUFFER", 1 << 16)

    async def scene(connector: Connector, client: Client) -> None:
        client.send((b"GET / HTTP/1.1\r\n" + HOST + b"\r\n") * 50)
        taken = 0
        with suppress(TimeoutError):
            while taken < 50:
                asked = await asyncio.wait_for(connector.next(), 0.3)
                asked.answer(200, [(b"Content-Length", b"4000000")], bytes(4_000_000))
                taken += 1
        assert taken < 10  # what the system's buffers hold, and one more
        leave(client.writer)

    play(scene)


def test_more_requests_in_advance_than_anybody_makes_are_refused() -> None:
    async def scene(connector: Connector, client: Client) -> None:
        client.send((b"GET / HTTP/1.1\r\n" + HOST + b"\r\n") * (3 * http1.AHEAD))
        await connector.next()
        connector.asked[0].answer(200, [(b"Content-Length", b"0")])
        for _ in range(http1.AHEAD):
            (await connector.next()).answer(200, [(b"Content-Length", b"0")])
        await client.rest()
        assert len(connector.asked) == http1.AHEAD + 1

    play(scene)


# --- many of them


def test_no_more_than_there_is_room_for_and_idle_ones_make_room(caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> None:
        async with edge(trusted=["127.0.0.0/8"], most=5) as (connector, visitors, address):
            clients = [Client(*await asyncio.open_connection(*address)) for _ in range(5)]
            for client in clients:
                client.send(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
            busy = [await connector.next() for _ in clients]
            late = [Client(*await asyncio.open_connection(*address)) for _ in range(3)]
            for client in late:
                assert await client.rest() == b""
            busy[2].answer(200, [(b"Content-Length", b"0")])
            await until(lambda: sum(each.idle for each in visitors.present) == 1)
            another = Client(*await asyncio.open_connection(*address))
            another.send(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
            await connector.next()
            assert len([record for record in caplog.records if "visitors" in record.message]) == 1
            for client in (*clients, *late, another):
                leave(client.writer)

    caplog.set_level(logging.WARNING)
    run(scene())


@pytest.mark.parametrize(("trusted", "through"), [((), 25), (("127.0.0.0/8",), 40)])
def test_one_address_has_no_more_than_its_share_unless_it_is_a_proxy(
    trusted: tuple[str, ...], through: int
) -> None:
    async def scene() -> None:
        async with edge(trusted=trusted, most=100) as (_, visitors, address):
            opened = [await asyncio.open_connection(*address) for _ in range(40)]
            await until(lambda: len(visitors.present) == through)
            await asyncio.sleep(0.1)
            assert len(visitors.present) == through
            for _, writer in opened:
                writer.transport.abort()

    run(scene())


@pytest.mark.parametrize(("count", "words"), [(1, "1 visitor is cut off"), (2, "2 visitors are cut off")])
def test_who_is_not_done_when_the_edge_ends_is_told(
    count: int, words: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "DRAINING", 0.1)

    async def scene() -> None:
        async with edge() as (connector, visitors, address):
            clients = [Client(*await asyncio.open_connection(*address)) for _ in range(count)]
            for client in clients:
                client.send(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
                await connector.next()
            places = running.Places(address, address)
            way = Way(address, Path())
            await running.RunningEdge(connector, connector, visitors, places, way, None)._drain(
                asyncio.Event()
            )
            for client in clients:
                leave(client.writer)

    run(scene())
    assert [record.message for record in caplog.records] == [words]


def test_who_is_gone_without_a_word_is_noticed() -> None:
    async def scene() -> None:
        async with edge() as (_, visitors, address):
            _, writer = await asyncio.open_connection(*address)
            await until(lambda: visitors.present)
            (arrived,) = visitors.present
            taken = arrived._transport.get_extra_info("socket")  # type: ignore[union-attr]
            assert taken.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            assert taken.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 60
            assert taken.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            writer.close()

    run(scene())


@pytest.fixture
def _files() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.usefixtures("_files")
@pytest.mark.parametrize(("soft", "wanted", "allowed"), [(64, 100, 100), (64, 10_000_000, None)])
def test_as_many_connections_as_files_may_be_open(soft: int, wanted: int, allowed: int | None) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert descriptors.allow(wanted, 10) == (allowed if allowed is not None else hard - 10)
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == (wanted + 10 if allowed is not None else hard)

"""A request whose connection to the connector breaks: it is asked again over another where that is safe, over either version of HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from halfopen.edge.visitors.visit import AT_HAND
from halfopen.tunnelwire.exchange import Answered, Broken, End
from tests.edge.playing import HOST, Carried, Client, Client2, Connector, play, play2, until


class Visitor:
    """A visitor with one request, by any version of HTTP."""

    def __init__(self, client: Client | Client2) -> None:
        self._client = client
        self._number = 0

    def ask(self, method: bytes, length: int = 0) -> None:
        if isinstance(self._client, Client2):
            headers = [(b"content-length", b"%d" % length)] if length else []
            self._number = self._client.ask(*headers, method=method, ends=not length)
        else:
            told = b"Content-Length: %d\r\n" % length if length else b""
            self._client.send(method + b" / HTTP/1.1\r\n" + HOST + told + b"Connection: close\r\n\r\n")

    async def send(self, size: int, ends: bool = False) -> None:
        if isinstance(self._client, Client2):
            await self._client.upload(self._number, size)
            if ends:
                self._client.send(self._number, b"", ends)
        else:
            self._client.send(bytes(size))

    async def status(self) -> int:
        if isinstance(self._client, Client2):
            return int((await self._client.answer(self._number))[0][b":status"])
        return int((await self._client.head()).split()[1])


Scene = Callable[[Connector, Visitor], Awaitable[None]]


@pytest.fixture(params=["http/1.1", "h2"])
def playing(request: pytest.FixtureRequest) -> Callable[[Scene], None]:
    """Plays a scene before a connector of three lines."""

    def begin(scene: Scene) -> None:
        async def with_visitor(connector: Connector, client: Client | Client2) -> None:
            await scene(connector, Visitor(client))

        if request.param == "h2":
            play2(with_visitor, lines=3)
        else:
            play(with_visitor, lines=3)

    return begin


def whole(asked: Carried) -> None:
    asked.answer(200, [(b"Content-Length", b"0")])


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE"])
def test_what_may_be_asked_twice_is_asked_over_each_other_connection_once(
    playing: Callable[[Scene], None], method: bytes
) -> None:
    async def scene(connector: Connector, visitor: Visitor) -> None:
        visitor.ask(method)
        for _ in range(3):
            (await connector.next()).exchange.reply(Broken("gone", lost=True))
        assert await visitor.status() == 502
        assert {asked.link for asked in connector.asked} == set(connector.lines)
        assert len({asked.request for asked in connector.asked}) == 1

    playing(scene)


def test_the_second_answer_is_the_answer(playing: Callable[[Scene], None]) -> None:
    async def scene(connector: Connector, visitor: Visitor) -> None:
        visitor.ask(b"GET")
        first = await connector.next()
        first.exchange.reply(Broken("gone", lost=True))
        whole(await connector.next())
        assert await visitor.status() == 200

    playing(scene)


def test_what_may_not_be_asked_twice_is_not(playing: Callable[[Scene], None]) -> None:
    async def scene(connector: Connector, visitor: Visitor) -> None:
        visitor.ask(b"POST", 1)
        await visitor.send(1)
        (await connector.next()).exchange.reply(Broken("gone", lost=True))
        assert await visitor.status() == 502
        assert len(connector.asked) == 1

    playing(scene)


def test_an_answer_that_has_begun_is_not_asked_for_again(playing: Callable[[Scene], None]) -> None:
    async def scene(connector: Connector, visitor: Visitor) -> None:
        visitor.ask(b"GET")
        asked = await connector.next()
        asked.exchange.reply(Answered(200, ((b"Content-Length", b"5"),)))
        asked.exchange.received(b"he")
        asked.exchange.reply(Broken("gone", lost=True))
        await asyncio.sleep(0.05)
        assert len(connector.asked) == 1

    playing(scene)


@pytest.mark.parametrize("before", [0, 1, AT_HAND])
def test_a_body_that_is_at_hand_is_sent_again(playing: Callable[[Scene], None], before: int) -> None:
    async def scene(connector: Connector, visitor: Visitor) -> None:
        length = 3 * AT_HAND
        visitor.ask(b"PUT", length)
        await visitor.send(before)
        first = await connector.next()
        first.welcome = False  # it takes what comes, and wants no more
        await until(lambda: len(first.body) == before)
        first.exchange.reply(Broken("gone", lost=True))
        second = await connector.next()
        assert len(second.body) == before
        await visitor.send(length - before, ends=True)
        await until(lambda: second.ended)
        assert len(second.body) == length
        whole(second)
        assert await visitor.status() == 200

    playing(scene)


def test_a_body_that_is_not_at_hand_any_more_is_not(playing: Callable[[Scene], None]) -> None:
    async def scene(connector: Connector, visitor: Visitor) -> None:
        visitor.ask(b"PUT", 3 * AT_HAND)
        await visitor.send(AT_HAND + 1)
        first = await connector.next()
        await until(lambda: len(first.body) == AT_HAND + 1)
        first.exchange.reply(Broken("gone", lost=True))
        assert await visitor.status() == 502
        assert len(connector.asked) == 1

    playing(scene)


def test_a_connection_that_takes_no_more_requests_is_passed_by(playing: Callable[[Scene], None]) -> None:
    async def scene(connector: Connector, visitor: Visitor) -> None:
        connector.lines[0].full = connector.lines[1].full = True
        visitor.ask(b"POST")
        asked = await connector.next()
        assert asked.link is connector.lines[2]
        whole(asked)
        assert await visitor.status() == 200

    playing(scene)


def test_where_none_takes_it_the_tunnel_is_down(playing: Callable[[Scene], None]) -> None:
    async def scene(connector: Connector, visitor: Visitor) -> None:
        for line in connector.lines:
            line.full = True
        visitor.ask(b"GET")
        assert await visitor.status() == 503
        assert not connector.asked

    playing(scene)


def test_what_breaks_late_is_nothing_to_a_request_that_is_over(playing: Callable[[Scene], None]) -> None:
    async def scene(connector: Connector, visitor: Visitor) -> None:
        visitor.ask(b"GET")
        asked = await connector.next()
        whole(asked)
        asked.exchange.reply(Broken("gone", lost=True))
        asked.exchange.reply(End())
        assert asked.exchange.received(b"late")
        assert await visitor.status() == 200
        assert len(connector.asked) == 1

    playing(scene)


def test_what_the_connector_breaks_off_itself_is_not_asked_again(playing: Callable[[Scene], None]) -> None:
    """The origin may have died of it."""

    async def scene(connector: Connector, visitor: Visitor) -> None:
        visitor.ask(b"GET")
        (await connector.next()).exchange.reply(Broken("broken off by the connector"))
        assert await visitor.status() == 502
        assert len(connector.asked) == 1

    playing(scene)

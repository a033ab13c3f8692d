"""Who has connected and not registered: not for long, not too many."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import pytest
import uvloop

from halfopen.edge.connectors import arrivals
from halfopen.edge.connectors.arrivals import Arrivals
from halfopen.edge.connectors.greeting import Greeting
from halfopen.edge.connectors.http2 import Http2Link
from halfopen.edge.connectors.listening import Connectors
from halfopen.edge.door import Door
from halfopen.edge.trust import NAMES, Trust
from halfopen.testing.connectors.connection import Exchange
from halfopen.testing.connectors.connector import Connector
from halfopen.tunnels.vault import RunToken
from tests.edge.test_hostile import Wire


class Arrival:
    def __init__(self, peer: str = "192.0.2.1") -> None:
        self.peer = peer
        self.ended: list[str] = []

    def end(self, reason: str) -> None:
        self.ended.append(reason)


def test_of_too_many_the_oldest_goes(caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> None:
        waiting = Arrivals(3)
        came = [Arrival() for _ in range(6)]
        for each in came[:3]:
            waiting.come(each)
        waiting.gone(came[0])  # it has registered
        for each in came[3:]:
            waiting.come(each)
        assert [bool(each.ended) for each in came] == [False, True, True, False, False, False]

    asyncio.run(scene())
    assert len(caplog.records) == 1  # told once, not for each


@pytest.mark.parametrize(
    "crowd",
    [
        ["192.0.2.9"] * 3,
        ["2001:db8::1", "2001:db8::2:3", "2001:db8:0:0:ffff::"],
        ["192.0.2.9", "::ffff:192.0.2.9", "::ffff:c000:209"],
    ],
)
def test_of_too_many_one_goes_whose_address_has_most(crowd: list[str]) -> None:
    async def scene() -> None:
        waiting = Arrivals(5)
        others = [Arrival("::ffff:192.0.2.1"), Arrival("2001:db8:0:1::1")]
        crowding = [Arrival(each) for each in crowd]
        for each in (*others, *crowding, *(Arrival(each) for each in crowd)):
            waiting.come(each)
        assert [len(each.ended) for each in (*others, *crowding)] == [0, 0, 1, 1, 1]
        assert len(waiting) == 5

    asyncio.run(scene())


def test_who_does_not_register_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrivals, "ARRIVAL", 0.05)

    async def scene() -> None:
        waiting = Arrivals(3)
        late, registered = Arrival(), Arrival()
        waiting.come(late)
        waiting.come(registered)
        waiting.gone(registered)
        await asyncio.sleep(0.2)
        assert late.ended == ["not registered in time"]
        assert not registered.ended

    asyncio.run(scene())


class Stranger(Wire):
    """A connection of somebody who has not registered."""

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("127.0.0.1", 1)


def test_who_says_much_before_it_registers_is_let_go() -> None:
    async def scene() -> None:
        nobody: Any = None
        link = Http2Link(nobody, Arrivals(3), set())
        wire = Stranger(link)
        link.connection_made(wire)
        padding = b"\0\x40\0\xfe\0\0\0\0\0" + bytes(1 << 14)  # a frame that means nothing
        for _ in range(3):
            link.data_received(padding)
        assert not wire.closed
        link.data_received(padding)
        assert wire.closed
        link.connection_lost(None)

    asyncio.run(scene())


def test_who_does_not_even_agree_on_tls_keeps_nobody_out(tmp_path: Path) -> None:
    trust = Trust(tmp_path)
    for_edge, for_connector = trust.context(), ssl.create_default_context(cadata=trust.authority())

    class Welcome(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            cast(asyncio.Transport, transport).write(b"welcome")

    async def scene() -> None:
        waiting, made = Arrivals(10), list[Greeting]()
        door = Door(lambda taken, peer: made.append(Greeting(for_edge, waiting, Welcome, taken, peer)))
        address = await door.bind("127.0.0.1", 0)
        door.open()
        async with asyncio.timeout(20):
            silent = [await asyncio.open_connection(*address) for _ in range(15)]
            silent[9][1].write(b"GET / HTTP/1.1\r\n\r\n")
            for reader, _ in [*silent[:5], silent[9]]:
                with suppress(ConnectionError):
                    assert len(await reader.read()) < 10  # closed, after an alert at most
            reader, writer = await asyncio.open_connection(
                *address, ssl=for_connector, server_hostname=NAMES[0]
            )
            assert await reader.readexactly(7) == b"welcome"
        for opened in (writer, *(each for _, each in silent)):
            opened.transport.abort()
        door.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(scene())


class Silent:
    """A registry that never answers, for all that sessions want of holdings."""

    async def register(self, *_: object) -> None:
        await asyncio.Event().wait()


def test_no_more_connections_than_there_is_room_for(tmp_path: Path) -> None:
    async def origin(_: Exchange) -> None:
        """Nobody asks."""

    async def scene() -> None:
        nobody: Any = Silent()
        trust = Trust(tmp_path)
        edge = Connectors(nobody, trust, 1)
        host, port = await edge.bind("127.0.0.1", 0)
        edge.open()
        token = RunToken("a", str(uuid4()), b"s")
        over_quic = Connector(token, origin, host, port, trust.authority(), "quic")
        async with asyncio.timeout(20):
            _, silent = await asyncio.open_connection(host, port)
            reader, writer = await asyncio.open_connection(host, port)
            late = asyncio.create_task(over_quic.connect())
            assert await reader.read() == b""
            await asyncio.sleep(0.2)
            assert not late.done()
            silent.write(b"GET / HTTP/1.1\r\n\r\n")  # which is no TLS
            (await late).close()
        for each in (silent, writer):
            each.transport.abort()
        edge.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(scene())

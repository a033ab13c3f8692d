"""Who has connected and not registered: not for long, not too many."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from pathlib import Path
from typing import cast

import pytest
import uvloop

from halfopen.edge.connectors import arrivals
from halfopen.edge.connectors.arrivals import Arrivals
from halfopen.edge.connectors.greeting import Greeting
from halfopen.edge.door import Door
from halfopen.edge.trust import NAMES, Trust


class Arrival:
    def __init__(self) -> None:
        self.ended: list[str] = []

    def end(self, reason: str) -> None:
        self.ended.append(reason)


def test_of_too_many_the_oldest_goes(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(arrivals, "MOST", 3)

    async def scene() -> None:
        waiting = Arrivals()
        came = [Arrival() for _ in range(6)]
        for each in came[:3]:
            waiting.come(each)
        waiting.gone(came[0])  # it has registered
        for each in came[3:]:
            waiting.come(each)
        assert [bool(each.ended) for each in came] == [False, True, True, False, False, False]

    asyncio.run(scene())
    assert len(caplog.records) == 1  # told once, not for each


def test_who_does_not_register_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrivals, "ARRIVAL", 0.05)

    async def scene() -> None:
        waiting = Arrivals()
        late, registered = Arrival(), Arrival()
        waiting.come(late)
        waiting.come(registered)
        waiting.gone(registered)
        await asyncio.sleep(0.2)
        assert late.ended == ["not registered in time"]
        assert not registered.ended

    asyncio.run(scene())


def test_who_does_not_even_agree_on_tls_keeps_nobody_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(arrivals, "MOST", 10)
    trust = Trust(tmp_path)
    for_edge, for_connector = trust.context(), ssl.create_default_context(cadata=trust.authority())

    class Welcome(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            cast(asyncio.Transport, transport).write(b"welcome")

    async def scene() -> None:
        waiting, made = Arrivals(), list[Greeting]()
        door = Door(lambda taken, _: made.append(Greeting(for_edge, waiting, Welcome, taken)))
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

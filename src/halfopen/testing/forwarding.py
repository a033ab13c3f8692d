"""A connector that stays connected and asks an HTTP server, as cloudflared does."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

import httpx

from halfopen.testing.connectors.connection import Exchange, Origin
from halfopen.testing.connectors.connector import Connector
from halfopen.tunnelwire.exchange import Answered, Refused
from halfopen.tunnelwire.headers import HOP_BY_HOP

_PAUSE: Final = 0.5  # s before a connection that was lost is opened again


def forward(url: str) -> Origin:
    """What connections of a connector are made with so that they ask the server at a URL such as ``http://127.0.0.1:3000``."""

    async def asked(exchange: Exchange) -> None:
        request = exchange.request
        async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
            question = client.build_request(
                request.method.decode(), request.path.decode(), headers=[(b"Host", request.host), *request.headers],
                content=exchange.body() if request.body else None,
            )  # fmt: skip
            try:
                answer = await client.send(question, stream=True)
            except httpx.HTTPError as error:
                exchange.answer(Refused(f"the origin does not answer: {error}"))
                return
            kept = [each for each in answer.headers.raw if each[0].lower() not in HOP_BY_HOP]
            exchange.answer(Answered(answer.status_code, tuple(kept)))
            try:
                async for piece in answer.aiter_raw():
                    await exchange.send(piece)
            except httpx.HTTPError:
                exchange.give_up()
            else:
                exchange.end()

    return asked


async def stay(
    connector: Connector, stop: asyncio.Event, count: int = 4, registered: asyncio.Event | None = None
) -> None:
    """Keep that many connections of a connector open until `stop` is set; then leave in order. `registered` is set once one is."""
    async with asyncio.TaskGroup() as group:
        for index in range(count):
            group.create_task(_stay(connector, stop, index, registered or asyncio.Event()))


async def _stay(connector: Connector, stop: asyncio.Event, index: int, registered: asyncio.Event) -> None:
    while not stop.is_set():
        try:
            connection = await connector.connect(index)
        except OSError:
            await asyncio.sleep(_PAUSE)
            continue
        try:
            await connection.outcome
            registered.set()
            await _first(connection.lost.wait(), stop.wait())
            if not connection.lost.is_set():
                await _first(connection.lost.wait(), connection.leave())
        except ConnectionError:
            pass  # it was lost meanwhile
        finally:
            connection.close()
        if not stop.is_set():
            await asyncio.sleep(_PAUSE)


async def _first(*awaited: Coroutine[Any, Any, object]) -> None:
    waiting = [asyncio.create_task(each) for each in awaited]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for each in waiting:
        each.cancel()

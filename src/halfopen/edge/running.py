"""An edge that runs: listeners for connectors and for visitors, and an end that lets requests end."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from halfopen.edge.connectors.listening import Connectors
from halfopen.edge.front import Front, Network
from halfopen.edge.holdings import Holdings
from halfopen.edge.registry import Registry
from halfopen.edge.trust import Trust
from halfopen.edge.visitors.http1 import Visitor

LOG: Final = logging.getLogger("halfopen.edge")

DRAINING: Final = 30.0
"""Seconds for which requests under way may go on once the edge is to end."""

Address = tuple[str, int]


@dataclass(frozen=True)
class Places:
    """Where an edge listens: for connectors, for visitors; and whose word about visitors is believed."""

    connectors: Address
    visitors: Address
    trusted: Sequence[Network] = ()


async def run(registry: Registry, trust: Trust, places: Places, listening: Callable[[Places], None]) -> None:
    """Be an edge until SIGTERM or SIGINT, a second one of which ends it at once.

    `listening` is told where it listens once it does. SessionError where another process speaks for this edge now, OSError
    where an address cannot be listened at.
    """
    loop = asyncio.get_running_loop()
    holdings = Holdings(registry)
    front = Front(holdings, places.trusted)
    connectors = Connectors(holdings, trust)
    visitors: set[Visitor] = set()
    await holdings.begin()
    bound = await connectors.listen(*places.connectors)
    for_visitors = await loop.create_server(lambda: Visitor(front, visitors), *places.visitors)
    told = asyncio.create_task(holdings.run())
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    listening(Places(bound, _bound(for_visitors), places.trusted))
    stopped = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((told, stopped), return_when=asyncio.FIRST_COMPLETED)
        for_visitors.close()
        connectors.stop_listening()
        if not told.done():
            await _drain(visitors, stop)
    finally:
        stopped.cancel()
        told.cancel()
        connectors.close()
        await asyncio.gather(told, stopped, return_exceptions=True)
    if not told.cancelled() and (error := told.exception()) is not None:
        raise error
    await holdings.leave()


async def _drain(visitors: set[Visitor], stop: asyncio.Event) -> None:
    """Let requests end."""
    stop.clear()
    for visitor in list(visitors):
        visitor.finish()
    end = asyncio.get_running_loop().time() + DRAINING
    while visitors and not stop.is_set() and asyncio.get_running_loop().time() < end:
        await asyncio.sleep(0.05)
    if visitors:
        LOG.warning("%d visitors are cut off", len(visitors))


def _bound(server: asyncio.Server) -> Address:
    address: Address = server.sockets[0].getsockname()[:2]
    return address

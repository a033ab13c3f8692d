"""An edge that runs: listeners for connectors and for visitors, and an end that lets requests end."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from halfopen import descriptors
from halfopen.edge.connectors.listening import Connectors
from halfopen.edge.front import Front, Network
from halfopen.edge.holdings import Holdings
from halfopen.edge.registry import Registry
from halfopen.edge.trust import Trust
from halfopen.edge.visitors.arrival import Visitors
from halfopen.edge.visitors.certificates import Certificates

LOG: Final = logging.getLogger("halfopen.edge")

DRAINING: Final = 30.0
"""Seconds for which requests under way may go on once the edge is to end."""

MOST: Final = 16_384
"""Connections at once; half of them are for visitors."""

_OTHER_FILES: Final = 256  # of database and log

Address = tuple[str, int]


@dataclass(frozen=True)
class Places:
    """Where an edge listens: for connectors, for visitors, and for those over TLS; and whose word about visitors is believed."""

    connectors: Address
    visitors: Address
    tls: Address | None = None
    trusted: Sequence[Network] = ()


async def run(
    registry: Registry,
    trust: Trust,
    places: Places,
    listening: Callable[[Places], None],
    certificates: Certificates | None = None,
) -> None:
    """Be an edge until SIGTERM or SIGINT, a second one of which ends it at once.

    Visitors over TLS are shown the `certificates`. `listening` is told where it listens once it does. SessionError where another process speaks for this edge now, OSError
    where an address cannot be listened at.
    """
    loop = asyncio.get_running_loop()
    holdings = Holdings(registry)
    front = Front(holdings, places.trusted)
    connectors = Connectors(holdings, trust)
    visitors = Visitors(front, descriptors.allow(MOST, _OTHER_FILES) // 2)
    await holdings.begin()
    bound = await connectors.listen(*places.connectors)
    in_plain = await visitors.listen(*places.visitors)
    over_tls = await visitors.listen(*places.tls, certificates) if places.tls and certificates else None
    told = asyncio.create_task(holdings.run())
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    watched = asyncio.create_task(certificates.watch()) if certificates is not None else None
    listening(Places(bound, in_plain, over_tls, places.trusted))
    stopped = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((told, stopped), return_when=asyncio.FIRST_COMPLETED)
        visitors.stop_listening()
        connectors.stop_listening()
        if not told.done():
            await _drain(visitors, stop)
    finally:
        stopped.cancel()
        told.cancel()
        if watched is not None:
            watched.cancel()
        visitors.close()
        connectors.close()
        await asyncio.gather(told, stopped, return_exceptions=True)
    if not told.cancelled() and (error := told.exception()) is not None:
        raise error
    await holdings.leave()


async def _drain(visitors: Visitors, stop: asyncio.Event) -> None:
    """Let requests end."""
    stop.clear()
    visitors.finish()
    end = asyncio.get_running_loop().time() + DRAINING
    while visitors.present and not stop.is_set() and asyncio.get_running_loop().time() < end:
        await asyncio.sleep(0.05)
    if visitors.present:
        LOG.warning("%d visitors are cut off", len(visitors.present))

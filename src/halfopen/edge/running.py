"""An edge that runs: listeners for connectors and for visitors, and an end that lets requests end."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from halfopen.api.proxies import Network
from halfopen.descriptors import allow
from halfopen.edge.connecting import Way
from halfopen.edge.connectors.listening import Connectors
from halfopen.edge.door import Address, spoken
from halfopen.edge.front import Front
from halfopen.edge.holdings import Holdings
from halfopen.edge.metrics import EdgeMetrics
from halfopen.edge.registry import OverError, Registry
from halfopen.edge.trust import AUTHORITY, Trust
from halfopen.edge.visitors.arrival import Visitors
from halfopen.edge.visitors.certificates import Certificates
from halfopen.errors import UsageError

LOG: Final = logging.getLogger("halfopen.edge")

DRAINING: Final = 30.0
"""Seconds for which requests under way may go on once the edge is to end."""

MOST: Final = 16_384
"""Connections at once; half of them are for visitors, half for connectors."""

_OTHER_FILES: Final = 256  # of database and log


@dataclass(frozen=True)
class Places:
    """Where an edge listens: for connectors, for visitors, and for those over TLS; and whose word about visitors is believed."""

    connectors: Address
    visitors: Address
    tls: Address | None = None
    trusted: Sequence[Network] = ()


async def _at(whose: str, address: Address, bind: Callable[[str, int], Awaitable[Address]]) -> Address:
    try:
        return await bind(*address)
    except UnicodeError:
        why: object = "no name of a host"
    except OSError as error:
        why = error.strerror or error
    raise UsageError(f"address for {whose}", spoken(address), f"where one can listen ({why})")


class RunningEdge:
    """An edge that listens, of one event loop."""

    def __init__(
        self,
        holdings: Holdings,
        connectors: Connectors,
        visitors: Visitors,
        places: Places,
        way: Way,
        certificates: Certificates | None,
    ) -> None:
        self._holdings, self._connectors, self._visitors = holdings, connectors, visitors
        self._certificates = certificates
        self.places, self.way = places, way

    @classmethod
    async def begin(
        cls,
        registry: Registry,
        trust: Trust,
        places: Places,
        certificates: Certificates | None,
        metrics: EdgeMetrics,
    ) -> RunningEdge:
        """Listen; `places` of what comes of it has the ports that were chosen. Visitors over TLS are shown the `certificates`.

        UsageError where an address cannot be listened at, and who is the edge now stays so; OverError where this may not be the edge.
        """
        holdings = Holdings(registry, metrics)
        half = allow(MOST, _OTHER_FILES) // 2
        connectors = Connectors(holdings, trust, half)
        front = Front(holdings, places.trusted, metrics)
        visitors = Visitors(front, half)
        bound = await _at("connectors", places.connectors, connectors.bind)
        in_plain = await _at("visitors", places.visitors, visitors.bind)
        over_tls = None
        if places.tls and certificates:
            over_tls = await _at(
                "visitors over TLS", places.tls, partial(visitors.bind, certificates=certificates)
            )
        await holdings.begin()
        connectors.open()
        visitors.open()
        listens = Places(bound, in_plain, over_tls, places.trusted)
        way = Way(bound, trust.folder / AUTHORITY)
        return cls(holdings, connectors, visitors, listens, way, certificates)

    async def serve(self, stop: asyncio.Event) -> None:
        """Go on until `stop` is set; then let requests end, for `DRAINING` s at most or until it is set again.

        OverError where this may not be the edge any more, once requests have ended.
        """
        told = asyncio.create_task(self._holdings.run())
        aside: list[asyncio.Task[Any]] = [asyncio.create_task(stop.wait())]
        if self._certificates is not None:
            aside.append(asyncio.create_task(self._certificates.watch()))
        else:
            # By it others are told to look at their certificates.
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
        try:
            await asyncio.wait((told, aside[0]), return_when=asyncio.FIRST_COMPLETED)
            over = told.done()
            if over:
                LOG.error("this is an edge no more, requests under way may end: %s", told.exception())
            else:
                stop.clear()
            self._visitors.stop_listening()
            self._connectors.stop_listening()
            await self._drain(stop)
        finally:
            for each in (told, *aside):
                each.cancel()
            self._visitors.close()
            self._connectors.close()
            await asyncio.gather(told, *aside, return_exceptions=True)
        if over:
            told.result()
        with suppress(OverError):  # the next process of the edge has begun meanwhile
            await self._holdings.leave()

    async def _drain(self, stop: asyncio.Event) -> None:
        self._visitors.finish()
        end = asyncio.get_running_loop().time() + DRAINING
        while self._visitors.present and not stop.is_set() and asyncio.get_running_loop().time() < end:
            await asyncio.sleep(0.05)
        if left := len(self._visitors.present):
            LOG.warning("%d visitor%s cut off", left, " is" if left == 1 else "s are")


async def run(
    registry: Registry,
    trust: Trust,
    places: Places,
    certificates: Certificates | None,
    metrics: EdgeMetrics,
    listening: Callable[[Places, Way], None],
) -> None:
    """Be an edge until SIGTERM or SIGINT, a second one of which ends it at once.

    `listening` is told where it listens once it does, and how connectors come. UsageError where it cannot, OverError where this may not be the edge (any more).
    """
    edge = await RunningEdge.begin(registry, trust, places, certificates, metrics)
    stop = told_to_stop()
    listening(edge.places, edge.way)
    await edge.serve(stop)


def told_to_stop() -> asyncio.Event:
    """What SIGTERM and SIGINT set from now on, in the loop that runs."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop

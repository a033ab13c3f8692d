"""Where connectors connect: one port for both transports."""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import Final

from halfopen.edge.connectors.arrivals import MOST as ARRIVING
from halfopen.edge.connectors.arrivals import Arrivals
from halfopen.edge.connectors.greeting import Greeting
from halfopen.edge.connectors.http2 import Http2Link
from halfopen.edge.connectors.quic import QuicLink
from halfopen.edge.connectors.quic_connection import BoundedConnection, configuration
from halfopen.edge.connectors.quic_listener import QuicListener, listen
from halfopen.edge.door import Address, Door
from halfopen.edge.holdings import Holdings, Link
from halfopen.edge.seldom import SELDOM
from halfopen.edge.trust import Trust

LOG: Final = logging.getLogger("halfopen.edge")

RENEWAL: Final = 3_600.0
"""Seconds between two looks at the certificate."""

STRANGERS: Final = 4
"""Those that have not registered are at most the fourth part of all connections: they leave room for others."""

_TRIES: Final = 5  # ports that are looked at where any will do: one has to be free for both transports


class Connectors:
    """All connections of connectors to this edge, `most` of them at once."""

    def __init__(self, holdings: Holdings, trust: Trust, most: int) -> None:
        self._holdings, self._trust, self._most = holdings, trust, most
        self._arrivals = Arrivals(min(ARRIVING, max(most // STRANGERS, 1)))
        self._links: set[Http2Link] = set()
        self._quic_links: set[QuicLink] = set()
        self._context = trust.context()
        self._configuration = configuration(is_client=False)
        trust.load(self._configuration)
        self._quic = QuicListener(self._configuration, self._quic_link)
        self._tcp = Door(self._greet)
        self._renewed: asyncio.Task[None] | None = None

    async def bind(self, host: str, port: int) -> Address:
        """Take an address; gives which. OSError where one cannot listen there."""
        tries = 1 if port else _TRIES
        while True:
            tries -= 1
            bound = await listen(self._quic, host, port)
            try:
                await self._tcp.bind(*bound)
            except OSError:
                self._quic.close()
                if not tries:
                    raise
            else:
                return bound

    def open(self) -> None:
        """Let connectors in."""
        self._tcp.open()
        self._quic.open()
        self._renewed = asyncio.create_task(self._renew())

    def _greet(self, taken: socket.socket, peer: str) -> None:
        if self._may_come():
            Greeting(self._context, self._arrivals, self._link, taken, peer)
        else:
            taken.close()

    def _may_come(self) -> bool:
        """Whether one more may; who has not registered may count twice."""
        if len(self._links) + len(self._quic_links) + len(self._arrivals) < self._most:
            return True
        SELDOM.tell(
            logging.WARNING,
            "connectors",
            f"as many connections of connectors as there may be, {self._most:,}: others are turned away",
        )
        return False

    def _quic_link(self, quic: BoundedConnection, peer: str) -> QuicLink | None:
        if not self._may_come():
            return None
        return QuicLink(quic, peer, self._holdings, self._arrivals, self._quic_links)

    def _link(self) -> Http2Link:
        return Http2Link(self._holdings, self._arrivals, self._links)

    def stop_listening(self) -> None:
        """Let nobody in any more."""
        self._tcp.close()
        self._quic.stop_listening()

    def close(self) -> None:
        """Close all of them: connectors come back to whoever listens then."""
        self.stop_listening()
        links: list[Link] = [*self._links, *self._quic_links]
        for link in links:
            link.close()
        if self._renewed is not None:
            self._renewed.cancel()
        self._quic.close()

    async def _renew(self) -> None:
        """Go on with the newest certificate for ever: one that could not be made or read is tried again."""
        while True:
            await asyncio.sleep(RENEWAL)
            try:
                await asyncio.to_thread(self._trust.reload, self._context)
                self._trust.load(self._configuration)
            except Exception as error:
                LOG.error("the certificate of the edge is not renewed, and is tried again: %s", error)

"""Where connectors connect: one port for both transports."""

from __future__ import annotations

import asyncio
import socket
from typing import Final

from halfopen.edge.connectors.arrivals import Arrivals
from halfopen.edge.connectors.greeting import Greeting
from halfopen.edge.connectors.http2 import Http2Link
from halfopen.edge.connectors.quic import QuicLink
from halfopen.edge.connectors.quic_connection import configuration
from halfopen.edge.connectors.quic_listener import QuicListener, listen
from halfopen.edge.door import Door
from halfopen.edge.holdings import Holdings, Link
from halfopen.edge.trust import Trust

RENEWAL: Final = 86_400.0
"""Seconds between two looks at the certificate."""

_TRIES: Final = 5  # ports that are looked at where any will do: one has to be free for both transports

Address = tuple[str, int]


class Connectors:
    """All connections of connectors to this edge."""

    def __init__(self, holdings: Holdings, trust: Trust) -> None:
        self._holdings, self._trust = holdings, trust
        self._arrivals = Arrivals()
        self._links: set[Http2Link] = set()
        self._quic_links: set[QuicLink] = set()
        self._context = trust.context()
        self._configuration = configuration(is_client=False)
        trust.load(self._configuration)
        self._quic = QuicListener(
            self._configuration,
            lambda quic: QuicLink(quic, holdings, self._arrivals, self._quic_links),
        )
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

    def _greet(self, taken: socket.socket, _: str) -> None:
        Greeting(self._context, self._arrivals, self._link, taken)

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
        while True:
            await asyncio.sleep(RENEWAL)
            self._trust.reload(self._context)
            self._trust.load(self._configuration)

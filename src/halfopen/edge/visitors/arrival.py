"""Visitors as they come in: over TLS or without, by HTTP/1.1 or HTTP/2, and no more of them than there is room for."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import Counter
from functools import partial
from typing import Any, Final, cast

from halfopen.edge.door import Address, Door
from halfopen.edge.front import Front
from halfopen.edge.nearness import near
from halfopen.edge.seldom import SELDOM
from halfopen.edge.visitors.certificates import Certificates
from halfopen.edge.visitors.connection import ARRIVAL, Connection
from halfopen.edge.visitors.http1 import Http1
from halfopen.edge.visitors.http2 import PREFACE, Http2

LOOK: Final = 1.0
"""Seconds between two looks at who is waited for."""

SHARE: Final = 4
"""One address has at most the fourth part of all connections, unless it is a trusted proxy's."""

_HANDSHAKE: Final = 10.0  # s
_SHUTDOWN: Final = 5.0  # s
_KEEPALIVE: Final = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1), (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 15), (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 4),
)  # fmt: skip


class Visitors:
    """All connections of visitors, `most` of them at once."""

    def __init__(self, front: Front, most: int) -> None:
        self.front = front
        self.present: dict[Connection | Arrival, None] = {}  # who came first stands first
        self._most = most
        self._there: Counter[str] = Counter()
        self._count = 0
        self._doors: list[Door] = []
        self._securing: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(LOOK, self._look)

    async def bind(self, host: str, port: int, certificates: Certificates | None = None) -> Address:
        """Take an address for visitors, over TLS where there are certificates; gives which. OSError where one cannot listen there."""
        door = Door(partial(self._take, certificates), _KEEPALIVE)
        self._doors.append(door)
        return await door.bind(host, port)

    def open(self) -> None:
        """Let visitors in."""
        for door in self._doors:
            door.open()

    def stop_listening(self) -> None:
        """Let nobody in any more."""
        for door in self._doors:
            door.close()

    def finish(self) -> None:
        """Let everybody end what is under way."""
        for each in list(self.present):
            each.finish()

    def close(self) -> None:
        """Close all of them."""
        self.stop_listening()
        self._timer.cancel()
        for task in self._securing:
            task.cancel()
        for each in list(self.present):
            each.close()

    def _look(self) -> None:
        self._timer = self._loop.call_later(LOOK, self._look)
        now = self._loop.time()
        for each in list(self.present):
            each.look(now)

    # --- who may come

    def _take(self, certificates: Certificates | None, taken: socket.socket, address: str) -> None:
        if not self._may_come(address):
            taken.close()
            return
        self._there[near(address)] += 1
        self._count += 1
        task = self._loop.create_task(self._welcome(certificates, taken, address))
        self._securing.add(task)
        task.add_done_callback(self._securing.discard)

    async def _welcome(self, certificates: Certificates | None, taken: socket.socket, address: str) -> None:
        """Begin with a connection, which counts from now on; over TLS once that is agreed on."""
        arrival = Arrival(self, certificates, address)
        tls: dict[str, Any] = {}
        if certificates is not None:
            tls = {
                "ssl": certificates.agree(taken),
                "ssl_handshake_timeout": _HANDSHAKE,
                "ssl_shutdown_timeout": _SHUTDOWN,
            }
        try:
            await self._loop.connect_accepted_socket(lambda: arrival, taken, **tls)
        except OSError:  # of TLS, too
            pass
        finally:
            if not arrival.made:
                self.gone(address)

    def _may_come(self, address: str) -> bool:
        """Whether one more may; one that is idle makes room."""
        if self._there[near(address)] >= self._most // SHARE and not self.front.peer(address).trusted:
            SELDOM.tell(
                logging.WARNING,
                "share",
                f"too many connections of one visitor, {address}: others of it are turned away",
            )
            return False
        if self._count < self._most:
            return True
        SELDOM.tell(
            logging.WARNING,
            "visitors",
            f"as many visitors as there may be, {self._most:,}: others are turned away",
        )
        idle = next((each for each in self.present if each.idle), None)
        if idle is not None:
            idle.close()
        return idle is not None

    def gone(self, address: str) -> None:
        """One that came has gone."""
        whose = near(address)
        self._count -= 1
        self._there[whose] -= 1
        if not self._there[whose]:
            del self._there[whose]


class Arrival(asyncio.Protocol):
    """A connection until it is known what it speaks."""

    idle = False

    def __init__(self, visitors: Visitors, certificates: Certificates | None, address: str) -> None:
        self._visitors, self._certificates, self._address = visitors, certificates, address
        self._transport: asyncio.Transport | None = None
        self._deadline = asyncio.get_running_loop().time() + ARRIVAL
        self._begun = b""
        self.made = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It has come, and over TLS has agreed on what it speaks."""
        self.made = True
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are none by name
        self._visitors.present[self] = None
        if self._certificates is not None:
            agreed = transport.get_extra_info("ssl_object")
            kind = Http2 if agreed.selected_alpn_protocol() == "h2" else Http1
            self._become(kind, self._certificates.names(agreed.context), b"")

    def data_received(self, data: bytes) -> None:
        """What it begins with: HTTP/2 has a preface that no request of HTTP/1 can be."""
        self._begun += data
        if self._begun.startswith(PREFACE):
            self._become(Http2, None, self._begun)
        elif not PREFACE.startswith(self._begun):
            self._become(Http1, None, self._begun)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone before that."""
        if self._transport is not None:
            self._transport = None
            self._visitors.present.pop(self, None)
            self._visitors.gone(self._address)

    def look(self, now: float) -> None:
        """See whether it is waited for in vain."""
        if now > self._deadline:
            self.close()

    def finish(self) -> None:
        """End: nothing is under way."""
        self.close()

    def close(self) -> None:
        """End."""
        if self._transport is not None:
            self._transport.abort()

    def _become(self, kind: type[Connection], names: frozenset[str] | None, begun: bytes) -> None:
        transport, self._transport = self._transport, None
        if transport is None:
            return
        self._visitors.present.pop(self, None)
        connection = kind(self._visitors, self._visitors.front.peer(self._address, names))
        transport.set_protocol(connection)
        connection.connection_made(transport)
        if begun:
            connection.data_received(begun)

"""A connector's connection over HTTP/2."""

from __future__ import annotations

import asyncio
import ssl
from typing import cast

from halfopen.edge.trust import NAMES
from halfopen.testing.connectors.configuration import Configuration
from halfopen.testing.connectors.connection import Connection, Origin
from halfopen.tunnelwire.exchange import Answered, Refused
from halfopen.tunnelwire.headers import Header
from halfopen.tunnelwire.http2.connector import (
    Asked,
    ConfigurationCame,
    ConnectorConnection,
    ConnectorEvent,
    ControlOpened,
)
from halfopen.tunnelwire.http2.events import ControlBytes, Lost, Room
from halfopen.tunnelwire.rpc.registration import Registration


class Http2Connection(Connection, asyncio.Protocol):
    """As `Connection`."""

    def __init__(self, wish: Registration, origin: Origin, configuration: Configuration) -> None:
        super().__init__(wish, origin, configuration)
        self.wire = ConnectorConnection(self._loop.time())
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The edge has agreed on TLS."""
        transport = cast(asyncio.Transport, transport)  # uvloop's are none by name
        self._transport = transport
        self.flush()

    def data_received(self, data: bytes) -> None:
        """Bytes of the edge."""
        for event in self.wire.receive(data, self._loop.time()):
            self._on(event)
        self.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over."""
        self._transport = None
        for event in self.wire.lose("the connection is gone"):
            self._on(event)

    def _on(self, event: ConnectorEvent) -> None:
        match event:
            case ControlOpened():
                self.began()
            case ControlBytes(data=data):
                self.heard(data)
            case ConfigurationCame(stream=stream, configuration=configuration):
                failed = bool(self.configured(configuration))
                self.wire.applied(stream, self.configuration.version, failed)
            case Asked(stream=stream, what=what):
                self.asked(stream, what)
            case Room():
                self.roomy()
            case Lost():
                self.gone()

    def say(self, data: bytes, end: bool = False) -> None:
        """As `Connection`."""
        self.wire.control(data, end)

    def flush(self) -> None:
        """As `Connection`."""
        if self._transport is not None and (data := self.wire.take_outgoing()):
            self._transport.write(data)

    def close(self) -> None:
        """As `Connection`."""
        if self._transport is not None:
            self._transport.abort()

    def answer(self, stream: int, answer: Answered | Refused) -> None:
        """As `Connection`."""
        self.wire.answer(stream, answer)

    def room(self, stream: int) -> int:
        """As `Connection`."""
        return self.wire.room(stream)

    def send(self, stream: int, data: bytes, end: bool) -> None:
        """As `Connection`."""
        self.wire.send(stream, data, end)

    def end(self, stream: int, trailers: tuple[Header, ...]) -> None:
        """As `Connection`."""
        self.wire.end(stream, trailers)

    def give_up(self, stream: int) -> None:
        """As `Connection`."""
        self.wire.give_up(stream)

    def acknowledge(self, stream: int, size: int) -> None:
        """As `Connection`."""
        self.wire.acknowledge(stream, size)


async def connect(
    wish: Registration,
    origin: Origin,
    configuration: Configuration,
    host: str,
    port: int,
    context: ssl.SSLContext,
) -> Connection:
    """Open a connection."""
    _, connection = await asyncio.get_running_loop().create_connection(
        lambda: Http2Connection(wish, origin, configuration),
        host,
        port,
        ssl=context,
        server_hostname=NAMES[0],
    )
    return connection

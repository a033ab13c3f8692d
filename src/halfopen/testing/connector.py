"""A connector in the place of cloudflared, over HTTP/2: it registers, is asked, and answers as its origin does."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final
from uuid import uuid4

from halfopen.edge.trust import NAMES
from halfopen.tunnels.vault import RunToken
from halfopen.tunnelwire.configuration import ConfigurationSent
from halfopen.tunnelwire.exchange import Answered, Body, Broken, End, Refused, Request
from halfopen.tunnelwire.headers import Header
from halfopen.tunnelwire.http2.connector import (
    Asked,
    ConfigurationCame,
    ConnectorConnection,
    ConnectorEvent,
    ControlOpened,
)
from halfopen.tunnelwire.http2.events import ControlBytes, Lost, Room
from halfopen.tunnelwire.rpc.connector_control import Accepted, ConnectorControl, Left, Rejected
from halfopen.tunnelwire.rpc.registration import Registration

VERSION: Final = "2026.8.2"
FEATURES: Final = ("allow_remote_config", "serialized_headers", "support_datagram_v2", "support_quic_eof")


class Exchange:
    """One request, as an origin sees it: read its `body`, begin an answer, send it and end it."""

    def __init__(
        self, wire: ConnectorConnection, flush: Callable[[], None], stream: int, request: Request
    ) -> None:
        self.request = request
        self._wire, self._flush, self._stream = wire, flush, stream
        self._came: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.roomy = asyncio.Event()
        self.broken = asyncio.Event()

    async def body(self) -> AsyncIterator[bytes]:
        """The pieces of the body, or what a client sends after an upgrade."""
        while (piece := await self._came.get()) is not None:
            yield piece
            self._wire.acknowledge(self._stream, len(piece))
            self._flush()

    def answer(self, answer: Answered | Refused) -> None:
        """Begin an answer, or refuse."""
        self._wire.answer(self._stream, answer)
        self._flush()

    async def send(self, data: bytes, end: bool = False) -> None:
        """Send a piece of the answer as there is room."""
        while data and not self.broken.is_set():
            if not (room := self._wire.room(self._stream)):
                self.roomy.clear()
                await self.roomy.wait()
                continue
            piece, data = data[:room], data[room:]
            self._wire.send(self._stream, piece, end and not data)
            self._flush()
            if end and not data:
                return
        if end:
            self._wire.send(self._stream, b"", end=True)
            self._flush()

    def end(self, trailers: Sequence[Header] = ()) -> None:
        """End the answer, with trailers."""
        self._wire.end(self._stream, tuple(trailers))
        self._flush()

    def give_up(self) -> None:
        """Break off."""
        self._wire.give_up(self._stream)
        self._flush()

    def take(self, what: Body | End | Broken) -> None:
        """More of the request."""
        if isinstance(what, Body):
            self._came.put_nowait(what.data)
            return
        self._came.put_nowait(None)
        if isinstance(what, Broken):
            self.broken.set()
            self.roomy.set()


Origin = Callable[[Exchange], Awaitable[None]]


class Connection(asyncio.Protocol):
    """One connection of a connector."""

    def __init__(self, wish: Registration, origin: Origin) -> None:
        self._wish, self._origin = wish, origin
        self._loop = asyncio.get_running_loop()
        self.wire = ConnectorConnection(self._loop.time())
        self._control = ConnectorControl()
        self._transport: asyncio.Transport | None = None
        self._exchanges: dict[int, Exchange] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.outcome: asyncio.Future[Accepted | Rejected] = self._loop.create_future()
        self.left = asyncio.Event()
        self.lost = asyncio.Event()
        self.configurations: list[ConfigurationSent] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The edge has agreed on TLS."""
        assert isinstance(transport, asyncio.Transport)
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
                self._control.register(self._wish)
                self._say()
            case ControlBytes(data=data):
                for told in self._control.receive(data):
                    if isinstance(told, Accepted | Rejected) and not self.outcome.done():
                        self.outcome.set_result(told)
                    elif isinstance(told, Left):
                        self.left.set()
                self._say()
            case ConfigurationCame(stream=stream, configuration=configuration):
                self.configurations.append(configuration)
                self.wire.applied(stream, configuration.version)
            case Asked(stream=stream, what=Request() as request):
                exchange = self._exchanges[stream] = Exchange(self.wire, self.flush, stream, request)
                task = self._loop.create_task(self._serve(stream, exchange))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            case Asked(stream=stream, what=(Body() | End() | Broken()) as what):
                if (known := self._exchanges.get(stream)) is not None:
                    known.take(what)
            case Room():
                for exchange in self._exchanges.values():
                    exchange.roomy.set()
            case Lost():
                if not self.outcome.done():
                    self.outcome.set_exception(ConnectionError("the edge has closed the connection"))
                    self.outcome.exception()  # it may be that nobody asks
                self.lost.set()

    async def _serve(self, stream: int, exchange: Exchange) -> None:
        try:
            await self._origin(exchange)
        finally:
            self._exchanges.pop(stream, None)

    def tell_configuration(self, config: bytes) -> None:
        """Say what is configured locally (JSON)."""
        self._control.configured(config)
        self._say()
        self.flush()

    async def leave(self) -> None:
        """Say good-bye, and wait until the edge has heard it."""
        self._control.leave()
        self._say()
        self.flush()
        await self.left.wait()

    def close(self) -> None:
        """Break off."""
        if self._transport is not None:
            self._transport.abort()

    def _say(self) -> None:
        self.wire.control(self._control.take_outgoing())

    def flush(self) -> None:
        """Send what is to be sent."""
        if self._transport is not None and (data := self.wire.take_outgoing()):
            self._transport.write(data)


class Connector:
    """A connector of a tunnel: as many connections as are asked for, all to one edge, which is trusted by its authority (PEM)."""

    def __init__(self, token: RunToken, origin: Origin, host: str, port: int, authority: str) -> None:
        self.id = str(uuid4())
        self._origin, self._host, self._port = origin, host, port
        self._context = ssl.create_default_context(cadata=authority)
        self._wish = Registration(
            token.account,
            token.secret,
            token.tunnel,
            0,
            self.id,
            VERSION,
            "linux_amd64",
            FEATURES,
            "127.0.0.1",
        )

    async def connect(self, index: int = 0) -> Connection:
        """Open a connection; its `outcome` says whether the edge takes it."""
        wish = replace(self._wish, conn_index=index)
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: Connection(wish, self._origin),
            self._host,
            self._port,
            ssl=self._context,
            server_hostname=NAMES[0],
        )
        return connection

    @asynccontextmanager
    async def connected(self, count: int = 4) -> AsyncIterator[list[Connection]]:
        """That many connections, registered; broken off afterwards."""
        made = [await self.connect(index) for index in range(count)]
        try:
            for each in made:
                told = await each.outcome
                if isinstance(told, Rejected):
                    raise ConnectionRefusedError(told.cause)
            yield made
        finally:
            for each in made:
                each.close()

"""Connections to a connector that a test plays, and visitors before them."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from ipaddress import ip_network
from typing import Any, TypeVar

import h2.events
import uvloop
from h2.config import H2Configuration
from h2.connection import H2Connection

from halfopen.edge.exchange import Exchange
from halfopen.edge.front import Front
from halfopen.edge.metrics import Route
from halfopen.edge.visitors.arrival import Visitors
from halfopen.edge.visitors.certificates import Certificates
from halfopen.tunnelwire.exchange import Answered, End, Request
from halfopen.tunnelwire.headers import Header

Event = TypeVar("Event", bound=h2.events.Event)

NAME = "app.example.com"
HOST = f"Host: {NAME}\r\n".encode()


class Carried:
    """A request as a connector gets it: an `exchange.Stream` that notes what is done to it."""

    def __init__(self, request: Request, exchange: Exchange, link: Line) -> None:
        self.request, self.exchange, self.link = request, exchange, link
        self.body = b""
        self.ended = self.cancelled = False
        self.resumed = 0
        self.welcome = True

    def send(self, data: bytes, ends: bool = False) -> bool:
        self.body += data
        self.ended |= ends
        return self.welcome

    def resume(self) -> None:
        self.resumed += 1

    def cancel(self) -> None:
        self.cancelled = True

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.request.headers)

    def answer(self, status: int = 200, headers: Sequence[Header] = (), *body: bytes) -> None:
        self.exchange.reply(Answered(status, tuple(headers)))
        for piece in body:
            self.exchange.received(piece)
        self.exchange.reply(End())


class Line:
    """One connection of the connector: a `holdings.Link` that notes what it is asked, and a holding of itself."""

    load = 0
    full = False

    def __init__(self, connector: Connector) -> None:
        self._connector = connector

    @property
    def link(self) -> Line:
        return self

    def open(self, request: Request, exchange: Exchange) -> Carried | None:
        if self.full:
            return None
        asked = Carried(request, exchange, self)
        self._connector.asked.append(asked)
        self._connector.came.put_nowait(asked)
        return asked


class Connector:
    """All that `Front` wants of holdings: the lines of the one tunnel there is."""

    colo = "ams01"

    def __init__(self, lines: int) -> None:
        self.lines = [Line(self) for _ in range(lines)]
        self.asked: list[Carried] = []
        self.came: asyncio.Queue[Carried] = asyncio.Queue()

    def route(self, hostname: str) -> Route | None:
        return Route(hostname, "tunnel") if hostname == NAME else None

    def links(self, tunnel: str) -> list[Line]:
        return self.lines

    async def next(self) -> Carried:
        return await self.came.get()


@asynccontextmanager
async def edge(
    lines: int = 1, trusted: Sequence[str] = (), certificates: Certificates | None = None, most: int = 100
) -> AsyncIterator[tuple[Any, Visitors, tuple[str, int]]]:
    """A connector of so many lines, and visitors before it, who come in at an address; all have left at the end."""
    connector: Any = Connector(lines)
    visitors = Visitors(Front(connector, [ip_network(each) for each in trusted]), most)
    address = await visitors.bind("127.0.0.1", 0, certificates)
    visitors.open()
    try:
        async with asyncio.timeout(60):
            yield connector, visitors, address
    finally:
        visitors.stop_listening()
        async with asyncio.timeout(30):
            while visitors.present:
                await asyncio.sleep(0.01)
        visitors.close()


def run(scene: Coroutine[Any, Any, None]) -> None:
    """Run a scene in the loop that edges run in."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(scene)


async def until(true: Callable[[], object]) -> None:
    while not true():
        await asyncio.sleep(0.01)


def leave(writer: asyncio.StreamWriter) -> None:
    """Leave with a reset: who only sends no more could still wait for an answer."""
    if (taken := writer.get_extra_info("socket")).fileno() >= 0:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


class Client:
    """A visitor over HTTP/1.1."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def head(self) -> bytes:
        return await self.reader.readuntil(b"\r\n\r\n")

    async def rest(self) -> bytes:
        return await self.reader.read()


class Client2:
    """A visitor over HTTP/2, who may say what no visitor should: nothing that is sent is checked."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.h2 = H2Connection(
            H2Configuration(
                client_side=True,
                header_encoding=None,
                validate_outbound_headers=False,
                normalize_outbound_headers=False,
            )
        )
        self.h2.initiate_connection()
        self.events: list[h2.events.Event] = []
        self.bodies: dict[int, bytearray] = {}
        self.raw = b""  # what comes, where a test reads it itself
        self.reads = True  # whether windows are opened again for what comes
        self.flush()

    def flush(self) -> None:
        self.writer.write(self.h2.data_to_send())

    def ask(self, *headers: Header, ends: bool = True, method: bytes = b"GET", path: bytes = b"/") -> int:
        """A request; its headers follow the usual ones."""
        usual = [
            (b":method", method),
            (b":scheme", b"http"),
            (b":authority", NAME.encode()),
            (b":path", path),
        ]
        return self.say([*usual, *headers], ends)

    def say(self, headers: Sequence[Header], ends: bool = True) -> int:
        number = self.h2.get_next_available_stream_id()
        self.h2.send_headers(number, headers, end_stream=ends)
        self.flush()
        return number

    def send(self, number: int, data: bytes, ends: bool = False) -> None:
        self.h2.send_data(number, data, end_stream=ends)
        self.flush()

    def send_raw(self, data: bytes) -> None:
        self.writer.write(data)

    async def error(self) -> int:
        """The error with which the other end ends the connection."""
        code = (await self.next(h2.events.ConnectionTerminated)).error_code
        await self.gone()
        assert code is not None
        return code

    async def upload(self, number: int, size: int) -> None:
        """Send so many bytes as there is room for them."""
        while size:
            room = min(self.h2.local_flow_control_window(number), self.h2.max_outbound_frame_size, size)
            if room:
                self.send(number, bytes(room))
                size -= room
            else:
                await self.read()

    async def read(self) -> bool:
        """Take in what comes; whether anything did."""
        data = await self.reader.read(1 << 16)
        for event in self.h2.receive_data(data):
            self.events.append(event)
            if isinstance(event, h2.events.DataReceived):
                self.bodies.setdefault(event.stream_id, bytearray()).extend(event.data)
                if self.reads and event.flow_controlled_length:
                    self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        if self.h2.state_machine.state.name != "CLOSED":
            self.flush()
        return bool(data)

    async def next(self, kind: type[Event], number: int | None = None) -> Event:
        """The first event of a kind, of a stream."""
        while True:
            for event in self.events:
                if isinstance(event, kind) and number in (None, getattr(event, "stream_id", None)):
                    self.events.remove(event)
                    return event
            assert await self.read(), f"the connection ended before {kind.__name__}"

    async def answer(self, number: int) -> tuple[dict[bytes, bytes], bytes]:
        """The whole answer to a request: headers and body."""
        head = await self.next(h2.events.ResponseReceived, number)
        await self.next(h2.events.StreamEnded, number)
        return dict(head.headers), bytes(self.bodies.get(number, b""))

    async def gone(self) -> None:
        """Read until the other end has closed."""
        while await self.read():
            pass


Scene = Callable[[Connector, Client], Awaitable[None]]
Scene2 = Callable[[Connector, Client2], Awaitable[None]]


def play(scene: Scene, trusted: Sequence[str] = (), lines: int = 1) -> None:
    """A scene with one visitor over HTTP/1.1."""

    async def whole() -> None:
        async with edge(lines, trusted) as (connector, _, address):
            reader, writer = await asyncio.open_connection(*address)
            try:
                await scene(connector, Client(reader, writer))
            finally:
                leave(writer)

    run(whole())


def play2(scene: Scene2, trusted: Sequence[str] = (), lines: int = 1) -> None:
    """A scene with one visitor over HTTP/2, who knows beforehand that it is spoken."""

    async def whole() -> None:
        async with edge(lines, trusted) as (connector, _, address):
            reader, writer = await asyncio.open_connection(*address)
            try:
                await scene(connector, Client2(reader, writer))
            finally:
                writer.transport.abort()

    run(whole())


USUAL = ((b":method", b"GET"), (b":scheme", b"http"), (b":authority", NAME.encode()), (b":path", b"/"))


def usual(**other: bytes | None) -> list[Header]:
    """The usual pseudo headers, some of them others or missing."""
    told = {name[1:].decode(): value for name, value in USUAL} | other
    return [(f":{name}".encode(), value) for name, value in told.items() if value is not None]

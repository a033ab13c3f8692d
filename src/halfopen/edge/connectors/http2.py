"""Connectors over HTTP/2: TCP and TLS as they come in, until they leave."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from collections.abc import Mapping
from typing import Any, Final, cast

from halfopen.edge.connectors.arrivals import Arrivals
from halfopen.edge.connectors.session import BUSY, CONFIGURED, SILENT, Session
from halfopen.edge.exchange import BACKLOG, Exchange
from halfopen.edge.holdings import Holdings
from halfopen.tunnelwire.configuration import Applied, NotApplied
from halfopen.tunnelwire.exchange import Body, Broken, End, Refused, Reply, Request
from halfopen.tunnelwire.http2.edge import Configured, EdgeConnection, EdgeEvent, Replied
from halfopen.tunnelwire.http2.events import ControlBytes, ControlEnded, Lost, Room

LOG: Final = logging.getLogger("halfopen.edge")


class Http2Link(asyncio.Protocol):
    """One connection of a connector: a `session.Carrier`."""

    transport: Final = "http2"

    def __init__(self, holdings: Holdings, arrivals: Arrivals, links: set[Http2Link]) -> None:
        """A link that is in `links` while it is open."""
        self._holdings, self._arrivals, self._links = holdings, arrivals, links
        self._loop = asyncio.get_running_loop()
        self._wire = EdgeConnection(self._loop.time())
        self._session: Session | None = None
        self._streams: dict[int, _Stream] = {}
        self._tcp: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._configuring: dict[int, asyncio.Future[Applied | NotApplied]] = {}
        self._flushing = False
        self.peer = ""

    # --- the connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Somebody has connected, and agreed on TLS."""
        transport = cast(asyncio.Transport, transport)  # uvloop's are none by name
        self._tcp = transport
        self._links.add(self)
        self.peer = transport.get_extra_info("peername")[0].partition("%")[0]
        self._session = Session(self._holdings, self._arrivals, self)
        self._tick()
        self.flush()

    def data_received(self, data: bytes) -> None:
        """Bytes of the connector."""
        self._take(self._wire.receive(data, self._loop.time()))

    def pause_writing(self) -> None:
        """The connector takes less than it is sent: what it asks for in return, such as answers to pings, is not read either."""
        if self._tcp is not None and not self._tcp.is_closing():
            self._tcp.pause_reading()

    def resume_writing(self) -> None:
        """It has caught up."""
        if self._tcp is not None and not self._tcp.is_closing():
            self._tcp.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over, whoever ended it."""
        if self._timer is not None:
            self._timer.cancel()
        self._tcp = None
        self._links.discard(self)
        if self._session is not None:
            self._session.over()
        self._take(self._wire.lose("the connection to the connector was lost"))

    # --- what the session, the registry and visitors want of it

    def say(self, data: bytes) -> None:
        """As `session.Carrier`."""
        self._wire.control(data)
        self.flush()

    def end(self, reason: str) -> None:
        """As `session.Carrier`."""
        if self._tcp is not None and not self._tcp.is_closing():
            LOG.debug("the connection to %s ends: %s", self.peer, reason)
            self._transmit()
            self._tcp.close()

    def close(self) -> None:
        """As `holdings.Link`."""
        if self._session is not None:
            self._session.cleaned_up()

    @property
    def load(self) -> int:
        """As `holdings.Link`."""
        return len(self._streams)

    def open(self, request: Request, exchange: Exchange) -> _Stream | None:
        """As `holdings.Link`."""
        if self._tcp is None or self._tcp.is_closing() or not self._wire.capacity():
            return None
        number = self._wire.ask(request)
        stream = self._streams[number] = _Stream(self, self._wire, number, exchange)
        self.flush()
        return stream

    async def push(self, version: int, config: Mapping[str, Any]) -> Applied | NotApplied:
        """As `holdings.Link` (edge protocol, section 6)."""
        if self._tcp is None or not self._wire.capacity():
            return BUSY
        number = self._wire.configure(version, json.dumps(config).encode())
        told: asyncio.Future[Applied | NotApplied] = self._loop.create_future()
        self._configuring[number] = told
        self.flush()
        try:
            async with asyncio.timeout(CONFIGURED):
                return await told
        except TimeoutError:
            self._wire.give_up(number)
            self.flush()
            return SILENT
        finally:
            del self._configuring[number]

    def flush(self) -> None:
        """Send what is to be sent, once for all that is said meanwhile."""
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._transmit)

    def _transmit(self) -> None:
        self._flushing = False
        if self._tcp is not None and (data := self._wire.take_outgoing()):
            self._tcp.write(data)

    def done(self, number: int) -> None:
        """A request is over."""
        if self._streams.pop(number, None) is not None and not self._streams and self._session is not None:
            self._session.emptied()

    # --- inside

    def _take(self, events: list[EdgeEvent]) -> None:
        for event in events:
            match event:
                case Replied(stream=number, reply=reply):
                    self._on_reply(number, reply)
                case Room(stream=number):
                    for stream in [*self._streams.values()] if number == 0 else [self._streams.get(number)]:
                        if stream is not None:
                            stream.pump()
                case ControlBytes(data=data):
                    if self._session is not None:
                        self._session.receive(data)
                case Configured(stream=number, outcome=outcome):
                    if (told := self._configuring.get(number)) is not None and not told.done():
                        told.set_result(outcome)
                case Lost(reason=reason):
                    self.end(reason)
                case ControlEnded():
                    pass  # it has said before that it leaves
        self.flush()

    def _on_reply(self, number: int, reply: Reply) -> None:
        stream = self._streams.get(number)
        if stream is None:
            return
        match reply:
            case Body(data=data):
                stream.received(data)
            case Refused() | End() | Broken():
                self.done(number)
                stream.exchange.reply(reply)
            case _:
                stream.exchange.reply(reply)

    def _tick(self) -> None:
        now = self._loop.time()
        self._take(self._wire.tick(now))
        self._timer = self._loop.call_later(max(self._wire.next_tick() - now, 1), self._tick)


class _Stream:
    """As `exchange.Stream`."""

    __slots__ = ("_ends", "_link", "_number", "_owed", "_size", "_waiting", "_wire", "exchange")

    def __init__(self, link: Http2Link, wire: EdgeConnection, number: int, exchange: Exchange) -> None:
        self._link, self._wire, self._number = link, wire, number
        self.exchange = exchange
        self._waiting: deque[bytes] = deque()  # of the request, what the connector has no room for yet
        self._size = 0
        self._ends = False
        self._owed = 0  # of the answer, what the visitor has not taken yet

    def send(self, data: bytes, ends: bool = False) -> bool:
        if data:
            self._waiting.append(data)
            self._size += len(data)
        self._ends |= ends
        self.pump()
        self._link.flush()
        return self._size <= BACKLOG

    def pump(self) -> None:
        """Send what there is room for."""
        full = self._size > BACKLOG
        while self._waiting and (room := self._wire.room(self._number)):
            data = self._waiting.popleft()
            if len(data) > room:
                self._waiting.appendleft(data[room:])
                data = data[:room]
            self._size -= len(data)
            self._wire.send(self._number, data, self._ends and not self._waiting)
        if self._ends and not self._size:
            self._wire.send(self._number, b"", end=True)  # nothing where it was said with the last piece
        if full and self._size <= BACKLOG:
            self.exchange.drained()

    def received(self, data: bytes) -> None:
        """A piece of the answer."""
        if self.exchange.received(data):
            self._wire.acknowledge(self._number, len(data) + self._owed)
            self._owed = 0
        else:
            self._owed += len(data)

    def resume(self) -> None:
        if self._owed:
            self._wire.acknowledge(self._number, self._owed)
            self._owed = 0
            self._link.flush()

    def cancel(self) -> None:
        self._wire.give_up(self._number)
        self._link.done(self._number)
        self._link.flush()

"""Connectors over HTTP/2: TCP and TLS as they come in, until they leave."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from collections.abc import Mapping
from typing import Any, Final

from halfopen.edge.exchange import Exchange
from halfopen.edge.holdings import Holding, Holdings
from halfopen.tunnels.registrations import Refused, Registration
from halfopen.tunnelwire.configuration import Applied, NotApplied
from halfopen.tunnelwire.exchange import Body, Broken, End, Reply, Request
from halfopen.tunnelwire.http2.edge import Configured, EdgeConnection, EdgeEvent, Replied
from halfopen.tunnelwire.http2.events import ControlBytes, ControlEnded, Lost, Room
from halfopen.tunnelwire.rpc.edge_control import (
    ControlEvent,
    EdgeControl,
    LocalConfiguration,
    RegistrationAsked,
    RegistrationImpossible,
    RegistrationWithdrawn,
    Unregistered,
)
from halfopen.tunnelwire.rpc.vat import Aborted

LOG: Final = logging.getLogger("halfopen.edge")

ARRIVAL: Final = 10.0
"""Seconds within which who connects must have registered."""

REFUSED: Final = 1.0
"""Seconds between a refusal and the end of the connection."""

DRAINING: Final = 30.0
"""Seconds for which requests may go on when the connector has said that it leaves."""

BACKLOG: Final = 1 << 18
"""Bytes of one request that wait for the connector before no more are welcome."""

_CONFIGURED: Final = 15.0  # seconds for which a connector may take to apply a configuration


class Http2Link(asyncio.Protocol):
    """One connection of a connector: registered, asked, closed."""

    def __init__(self, holdings: Holdings, links: set[Http2Link]) -> None:
        """A link that is in `links` while it is open."""
        self._holdings, self._links = holdings, links
        self._loop = asyncio.get_running_loop()
        self._wire = EdgeConnection(self._loop.time())
        self._control = EdgeControl()
        self._streams: dict[int, _Stream] = {}
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._holding: Holding | None = None
        self._registering: asyncio.Task[None] | None = None
        self._leaves = False
        self._configuring: deque[asyncio.Future[Applied | NotApplied]] = deque()
        self._peer = ""

    # --- the connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Somebody has connected, and agreed on TLS."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._links.add(self)
        self._peer = transport.get_extra_info("peername")[0]
        self._timer = self._loop.call_later(ARRIVAL, self._late)
        self.flush()

    def data_received(self, data: bytes) -> None:
        """Bytes of the connector."""
        self._take(self._wire.receive(data, self._loop.time()))

    def pause_writing(self) -> None:
        """The connector takes less than it is sent: what it asks for in return, such as answers to pings, is not read either."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """It has caught up."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over, whoever ended it."""
        if self._timer is not None:
            self._timer.cancel()
        if self._registering is not None:
            self._registering.cancel()
        self._transport = None
        self._links.discard(self)
        if self._holding is not None:
            self._holdings.left(self._holding, lost=not self._leaves)
            self._holding = None
        self._take(self._wire.lose("the connection to the connector was lost"))

    # --- what the registry and visitors want of it

    def close(self) -> None:
        """Close it at once, as somebody wishes who cleans up."""
        self._leaves = True
        self._end("cleaned up")

    @property
    def load(self) -> int:
        """How many requests are under way."""
        return len(self._streams)

    def open(self, request: Request, exchange: Exchange) -> _Stream | None:
        """Ask the connector; None where it takes no more requests."""
        if self._transport is None or self._transport.is_closing() or not self._wire.capacity():
            return None
        number = self._wire.ask(request)
        stream = self._streams[number] = _Stream(self, self._wire, number, exchange)
        self.flush()
        return stream

    async def push(self, version: int, config: Mapping[str, Any]) -> int | None:
        """As `holdings.Link.push` (edge protocol, section 6)."""
        if self._transport is None or not self._wire.capacity():
            return None
        told: asyncio.Future[Applied | NotApplied] = self._loop.create_future()
        self._configuring.append(told)
        self._wire.configure(version, json.dumps(config).encode())
        self.flush()
        async with asyncio.timeout(_CONFIGURED):
            outcome = await told
        match outcome:
            case Applied(version=applied, error=error):
                if error:
                    LOG.warning(
                        "the connector at %s does not take version %d of its configuration",
                        self._peer,
                        version,
                    )
                return applied if applied >= 0 else None
            case NotApplied(reason=reason):
                LOG.warning("a configuration did not reach the connector at %s: %s", self._peer, reason)
        return None

    def flush(self) -> None:
        """Send what is to be sent."""
        if self._transport is not None and (data := self._wire.take_outgoing()):
            self._transport.write(data)

    def done(self, number: int) -> None:
        """A request is over; who waited for the last one to leave may go."""
        if self._streams.pop(number, None) is not None and self._leaves and not self._streams:
            self._end("it has left")

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
                    self._on_control(data)
                case Configured(outcome=outcome):
                    if self._configuring and not (told := self._configuring.popleft()).done():
                        told.set_result(outcome)
                case Lost(reason=reason):
                    self._end(reason)
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
            case End() | Broken():
                self.done(number)
                stream.exchange.reply(reply)
            case _:
                stream.exchange.reply(reply)

    def _on_control(self, piece: bytes) -> None:
        for event in self._control.receive(piece):
            self._on_control_event(event)
        self._answer_control()

    def _on_control_event(self, event: ControlEvent) -> None:
        match event:
            case RegistrationAsked(wish=wish):
                asked = Registration(
                    wish.account, wish.tunnel, wish.secret, wish.connector, wish.conn_index, wish.version, wish.arch,
                    wish.features, self._peer,
                )  # fmt: skip
                self._registering = self._loop.create_task(self._register(asked))
            case LocalConfiguration(config=config):
                self._on_configuration(config)
            case Unregistered():
                self._leaves = True
                if self._holding is not None:
                    self._holdings.left(self._holding, lost=False)
                    self._holding = None
                self._loop.call_later(DRAINING if self._streams else 0, self._end, "it has left")
            case RegistrationImpossible(reason=reason):
                LOG.info("a registration from %s cannot be one: %s", self._peer, reason)
                self._loop.call_later(REFUSED, self._end, "refused")
            case RegistrationWithdrawn() | Aborted():
                self._loop.call_soon(self._end, "withdrawn")

    async def _register(self, asked: Registration) -> None:
        answer, holding = await self._holdings.register(asked, self)
        if isinstance(answer, Refused):
            LOG.info("a connector at %s is refused: %s", self._peer, answer.cause)
            if self._timer is not None:
                self._timer.cancel()
            self._control.refused(answer.cause)
            self._answer_control()
            # cloudflared would wait for ever; at once it would take the end for the answer, and give up.
            self._timer = self._loop.call_later(REFUSED, self._end, "refused")
            return
        self._holding = holding
        self._control.registered(answer.connection, self._holdings.colo, answer.remotely_managed)
        self._answer_control()
        if self._timer is not None:
            self._timer.cancel()
        self._tick()

    def _on_configuration(self, config: bytes) -> None:
        try:
            told = json.loads(config)
        except (ValueError, RecursionError):
            told = None
        if isinstance(told, dict) and self._holding is not None:
            self._holdings.reported(self._holding, told)

    def _answer_control(self) -> None:
        if answer := self._control.take_outgoing():
            self._wire.control(answer)
            self.flush()

    def _late(self) -> None:
        self._end("not registered in time")

    def _tick(self) -> None:
        now = self._loop.time()
        self._take(self._wire.tick(now))
        self._timer = self._loop.call_later(max(self._wire.next_tick() - now, 1), self._tick)

    def _end(self, reason: str) -> None:
        if self._transport is not None and not self._transport.is_closing():
            LOG.debug("the connection to %s ends: %s", self._peer, reason)
            self.flush()
            self._transport.close()


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

"""Connectors over HTTP/2: TCP and TLS as they come in, until they leave."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final

from halfopen.edge.exchange import Exchange, Kind, Request
from halfopen.edge.holdings import Holding, Holdings
from halfopen.errors import WireError
from halfopen.tunnels.registry import Refused, Registration
from halfopen.tunnelwire.headers import META, USER_HEADERS, Header, read_meta, read_user_headers
from halfopen.tunnelwire.http2 import (
    KIND,
    PATIENCE,
    Answered,
    Broken,
    ControlReceived,
    Drained,
    Finished,
    Http2Tunnel,
    Lost,
    Received,
)
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
from halfopen.tunnelwire.visitor import from_origin

LOG: Final = logging.getLogger("halfopen.edge")

ARRIVAL: Final = 10.0
"""Seconds within which who connects must have registered."""

DRAINING: Final = 30.0
"""Seconds for which requests may go on when the connector has said that it leaves."""


class Http2Link(asyncio.Protocol):
    """One connection of a connector: registered, asked, closed."""

    def __init__(self, holdings: Holdings, links: set[Http2Link]) -> None:
        """A link that is in `links` while it is open."""
        self._holdings, self._links = holdings, links
        self._loop = asyncio.get_running_loop()
        self._tunnel = Http2Tunnel(self._loop.time())
        self._control = EdgeControl()
        self._streams: dict[int, _Stream] = {}
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._holding: Holding | None = None
        self._registering: asyncio.Task[None] | None = None
        self._leaves = False
        self._peer = ""

    # --- the connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Somebody has connected, and agreed on TLS."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._links.add(self)
        self._peer = transport.get_extra_info("peername")[0]
        self._timer = self._loop.call_later(ARRIVAL, self._late)
        self._flush()

    def data_received(self, data: bytes) -> None:
        """Bytes of the connector."""
        for event in self._tunnel.receive(data, self._loop.time()):
            match event:
                case Received(stream=number, data=piece, cost=cost):
                    if (stream := self._streams.get(number)) is None:
                        self._tunnel.consumed(number, cost)
                    elif stream.exchange.received(piece):
                        self._tunnel.consumed(number, cost + stream.taken())
                    else:
                        stream.owed += cost
                case Answered(stream=number, status=status, headers=headers):
                    self._on_answer(number, status, headers)
                case Finished(stream=number, trailers=trailers):
                    if (stream := self._streams.pop(number, None)) is not None:
                        stream.exchange.finished(trailers)
                        self._left()
                case Broken(stream=number, code=code):
                    self._break(number, f"the connector gave it up ({code})")
                case Drained(stream=number):
                    if (stream := self._streams.get(number)) is not None:
                        stream.exchange.drained()
                case ControlReceived(data=piece):
                    self._on_control(piece)
                case Lost(reason=reason):
                    self._end(reason)
        self._flush()

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
        streams, self._streams = self._streams, {}
        for stream in streams.values():
            stream.exchange.broken("the connection to the connector was lost")

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
        """Ask the connector; None where the connection is about to end."""
        if self._transport is None or self._transport.is_closing():
            return None
        headers: list[Header] = [
            (b":method", request.method), (b":scheme", request.scheme), (b":authority", request.host), (b":path", request.target),
        ]  # fmt: skip
        if request.kind is not Kind.http:
            headers.append((KIND, request.kind.value.encode()))
        number = self._tunnel.request([*headers, *request.headers], request.ends)
        stream = self._streams[number] = _Stream(self, number, request.kind, exchange)
        self._flush()
        return stream

    async def push(self, version: int, config: Mapping[str, Any]) -> int | None:
        """As `holdings.Link.push` (edge protocol, section 6)."""
        body = json.dumps({"version": version, "config": config}).encode()
        answer = _Whole(self._loop)
        headers = [
            (KIND, b"update-configuration"),
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
        ]
        request = Request(Kind.http, b"POST", b"https", b"edge", b"/", headers, False)
        if (stream := self.open(request, answer)) is None:
            return None
        stream.send(body, True)
        async with asyncio.timeout(PATIENCE):
            told = json.loads(await answer.body)
        if told.get("err") is not None:
            LOG.warning("connector %s does not take version %d of its configuration", self._peer, version)
        applied = told.get("lastAppliedVersion")
        return applied if isinstance(applied, int) and applied >= 0 else None

    # --- inside

    def send(self, number: int, data: bytes, ends: bool) -> bool:
        """A piece of a request's body."""
        more = self._tunnel.send(number, data, ends)
        self._flush()
        return more

    def consumed(self, number: int, cost: int) -> None:
        """The visitor has taken what came."""
        self._tunnel.consumed(number, cost)
        self._flush()

    def cancel(self, number: int) -> None:
        """The visitor is gone."""
        if self._streams.pop(number, None) is not None:
            self._tunnel.cancel(number)
            self._flush()
            self._left()

    def _on_answer(self, number: int, status: int, headers: Sequence[Header]) -> None:
        stream = self._streams.get(number)
        if stream is None or 100 <= status < 200:
            return
        told = dict(headers)
        switches = stream.kind is Kind.websocket and status == 200
        try:
            known = read_user_headers(told.get(USER_HEADERS, b""))
            origin = read_meta(told[META]).from_origin if META in told else True
        except WireError as error:
            self._tunnel.cancel(number)
            self._break(number, str(error))
            return
        stream.exchange.answered(101 if switches else status, from_origin(known, switches), origin)

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
                self._loop.call_later(DRAINING, self._end, "it has left")
                self._loop.call_soon(self._left)
            case RegistrationImpossible(reason=reason):
                LOG.info("a registration from %s cannot be one: %s", self._peer, reason)
                self._loop.call_soon(self._end, "refused")
            case RegistrationWithdrawn() | Aborted():
                self._loop.call_soon(self._end, "withdrawn")

    async def _register(self, asked: Registration) -> None:
        answer, holding = await self._holdings.register(asked, self)
        if isinstance(answer, Refused):
            LOG.info("a connector at %s is refused: %s", self._peer, answer.cause)
            self._control.refused(answer.cause)
            self._answer_control()
            self._end("refused")  # what was written goes before; cloudflared would wait for ever
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
            self._tunnel.send(self._tunnel.control, answer)
            self._flush()

    def _break(self, number: int, why: str) -> None:
        if (stream := self._streams.pop(number, None)) is not None:
            stream.exchange.broken(why)
            self._left()

    def _left(self) -> None:
        """A request is over: who waited for the last to leave may go."""
        if self._leaves and not self._streams:
            self._end("it has left")

    def _late(self) -> None:
        self._end("not registered in time")

    def _tick(self) -> None:
        self._timer = self._loop.call_later(PATIENCE, self._tick)
        for event in self._tunnel.tick(self._loop.time()):
            assert isinstance(event, Lost)
            self._end(event.reason)
        self._flush()

    def _end(self, reason: str) -> None:
        if self._transport is not None and not self._transport.is_closing():
            LOG.debug("the connection to %s ends: %s", self._peer, reason)
            self._tunnel.close()
            self._flush()
            self._transport.close()

    def _flush(self) -> None:
        if self._transport is not None and (data := self._tunnel.take_outgoing()):
            self._transport.write(data)


class _Stream:
    """As `exchange.Stream`."""

    __slots__ = ("_link", "_number", "exchange", "kind", "owed")

    def __init__(self, link: Http2Link, number: int, kind: Kind, exchange: Exchange) -> None:
        self._link, self._number = link, number
        self.kind, self.exchange = kind, exchange
        self.owed = 0  # of the connector's window, what the visitor has not taken yet

    def send(self, data: bytes, ends: bool = False) -> bool:
        return self._link.send(self._number, data, ends)

    def taken(self) -> int:
        owed, self.owed = self.owed, 0
        return owed

    def resume(self) -> None:
        if owed := self.taken():
            self._link.consumed(self._number, owed)

    def cancel(self) -> None:
        self._link.cancel(self._number)


class _Whole:
    """An exchange of which the whole body is wanted."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.body: asyncio.Future[bytes] = loop.create_future()
        self._pieces: list[bytes] = []

    def answered(self, status: int, headers: Sequence[Header], from_origin: bool) -> None:
        if status != 200:
            self.broken(f"status {status}")

    def received(self, data: bytes) -> bool:
        self._pieces.append(data)
        return True

    def finished(self, trailers: Sequence[Header]) -> None:
        if not self.body.done():
            self.body.set_result(b"".join(self._pieces))

    def broken(self, why: str) -> None:
        if not self.body.done():
            self.body.set_exception(WireError(why))

    def drained(self) -> None:
        return

"""Connectors over QUIC: one connection from its handshake until the connector leaves."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping
from typing import Any, Final

from qh3.asyncio.protocol import QuicConnectionProtocol
from qh3.quic.events import (
    ConnectionTerminated,
    QuicEvent,
    StopSendingReceived,
    StreamDataReceived,
    StreamReset,
)

from halfopen.edge.connectors.arrivals import Arrivals
from halfopen.edge.connectors.quic_connection import BoundedConnection
from halfopen.edge.connectors.quic_streams import CONTROL, NOTHING, Configuring, QuicStream
from halfopen.edge.connectors.session import BUSY, CONFIGURED, SILENT, Session
from halfopen.edge.exchange import BACKLOG, Exchange
from halfopen.edge.holdings import Holdings
from halfopen.errors import WireError
from halfopen.tunnelwire.configuration import Applied, NotApplied
from halfopen.tunnelwire.exchange import Body, Broken, End, Refused, Reply, Request
from halfopen.tunnelwire.quic.edge_streams import EdgeCallStream

LOG: Final = logging.getLogger("halfopen.edge")

STREAMS: Final = 1_000
"""Requests that are under way at once on one connection."""

_SAID: Final = 1.0  # s for which the end waits until what was said last is sent


class QuicLink(QuicConnectionProtocol):
    """One connection of a connector: a `session.Carrier`."""

    transport: Final = "quic"

    def __init__(
        self,
        quic: BoundedConnection,
        peer: str,
        holdings: Holdings,
        arrivals: Arrivals,
        links: set[QuicLink],
    ) -> None:
        """A link that is in `links` while it is open."""
        super().__init__(quic)
        self.quic = quic
        self.peer = peer.partition("%")[0]
        self._links = links
        self._streams: dict[int, QuicStream] = {}
        self._configuring: dict[int, Configuring] = {}
        self._calls: dict[int, EdgeCallStream] = {}
        self._full: set[QuicStream] = set()  # of which more waits than is welcome
        self._session = Session(holdings, arrivals, self)
        self._ending = False
        links.add(self)

    # --- the connection

    def datagram_received(self, data: Any, addr: Any) -> None:
        """A datagram of the connector; what is to be sent is sent behind all that have come."""
        self.quic.receive_datagram(data, addr, now=self._loop.time())
        self._process_events()
        self.flush()

    def transmit(self) -> None:
        """Send what is to be sent."""
        super().transmit()
        for stream in [each for each in self._full if each.unsent <= BACKLOG]:
            self._full.discard(stream)
            stream.exchange.drained()
        if self._ending and self.quic.is_sent(CONTROL):
            self._close()

    def quic_event_received(self, event: QuicEvent) -> None:
        """What the connection tells."""
        match event:
            case StreamDataReceived(data=data, end_stream=end, stream_id=number):
                self._on_data(number, data, end)
            case StreamReset(stream_id=number):
                if (stream := self._streams.get(number)) is not None:
                    self._on_replies(number, stream, stream.wire.reset())
                elif (configuring := self._configuring.pop(number, None)) is not None:
                    configuring.tell(NotApplied("broken off by the connector"))
            case StopSendingReceived(stream_id=number):
                if (stream := self._streams.get(number)) is not None:
                    stream.unwanted()
            case ConnectionTerminated(error_code=code, reason_phrase=reason):
                LOG.debug("the connection to %s is lost: %s (%#x)", self.peer, reason, code)
                self._gone("the connection to the connector was lost")

    # --- what the session, the registry and visitors want of it

    def say(self, data: bytes) -> None:
        """As `session.Carrier`."""
        if self in self._links and self.quic.is_open(CONTROL):
            self.quic.send_stream_data(CONTROL, data)
            self.flush()

    def end(self, reason: str) -> None:
        """As `session.Carrier`."""
        if not self._ending and self in self._links:
            LOG.debug("the connection to %s ends: %s", self.peer, reason)
            self._ending = True
            self._loop.call_later(_SAID, self._close)
            self.transmit()  # which sends what was said last, at once or when the library's pace allows it

    def close(self) -> None:
        """As `holdings.Link`."""
        self._session.cleaned_up()

    @property
    def load(self) -> int:
        """As `holdings.Link`."""
        return len(self._streams)

    def open(self, request: Request, exchange: Exchange) -> QuicStream | None:
        """As `holdings.Link`."""
        if self._ending or self not in self._links or len(self._streams) >= STREAMS:
            return None
        number = self.quic.get_next_available_stream_id()
        stream = self._streams[number] = QuicStream(self, number, request, exchange)
        self.flush()
        return stream

    async def push(self, version: int, config: Mapping[str, Any]) -> Applied | NotApplied:
        """As `holdings.Link` (edge protocol, section 6)."""
        if self._ending or self not in self._links:
            return BUSY
        number = self.quic.get_next_available_stream_id()
        configuring = self._configuring[number] = Configuring(version, json.dumps(config).encode())
        self.quic.send_stream_data(number, configuring.wire.take_outgoing())
        self.flush()
        try:
            async with asyncio.timeout(CONFIGURED):
                return await configuring.told
        except TimeoutError:
            self.quic.reset_stream(number, NOTHING)
            self.quic.stop_stream(number, NOTHING)
            self.flush()
            return SILENT
        finally:
            self._configuring.pop(number, None)

    def flush(self) -> None:
        """Send what is to be sent, once for all that is said meanwhile."""
        self._transmit_soon()

    def fill(self, stream: QuicStream) -> None:
        """A stream has more to send than is welcome: tell it once it has not."""
        self._full.add(stream)

    def done(self, number: int) -> None:
        """A request is over."""
        if (stream := self._streams.pop(number, None)) is not None:
            self._full.discard(stream)
            if not self._streams:
                self._session.emptied()

    # --- inside

    def _on_data(self, number: int, data: bytes, end: bool) -> None:
        if (stream := self._streams.get(number)) is not None:
            stream.came(len(data))
            self._on_replies(number, stream, stream.wire.receive(data, end))
            stream.taken()
        elif number == CONTROL:
            if self._session.registered:  # before that its window is the most that comes
                self._take(number, len(data))
            self._session.receive(data)
        elif (configuring := self._configuring.get(number)) is not None:
            if (outcome := configuring.receive(data, end)) is not None:
                del self._configuring[number]
                self.quic.send_stream_data(number, b"", end_stream=True)
                self.quic.stop_stream(number, NOTHING)
                configuring.tell(outcome)
        elif number % 4 == 0:
            self._on_call(number, data, end)

    def _on_call(self, number: int, data: bytes, end: bool) -> None:
        call = self._calls.setdefault(number, EdgeCallStream())
        self._take(number, len(data))
        try:
            call.receive(data)
            self.quic.send_stream_data(number, call.take_outgoing(), end_stream=end)
        except WireError:
            end = True
            self.quic.reset_stream(number, NOTHING)
            self.quic.stop_stream(number, NOTHING)
        if end:
            self._calls.pop(number)

    def _take(self, number: int, size: int) -> None:
        self.quic.take(self.quic.stream(number), size)

    def _on_replies(self, number: int, stream: QuicStream, replies: list[Reply]) -> None:
        for reply in replies:
            match reply:
                case Body(data=data):
                    stream.received(data)
                case Refused() | End() | Broken():
                    self.done(number)
                    stream.close(broken=not isinstance(reply, End))
                    stream.exchange.reply(reply)
                case _:
                    stream.exchange.reply(reply)

    def _close(self) -> None:
        if self in self._links:
            self.quic.close(NOTHING)
            super().transmit()
            self._gone("closed by the edge")

    def _gone(self, reason: str) -> None:
        """Once: the connection is over, whoever ended it."""
        if self not in self._links:
            return
        self._links.discard(self)
        self._session.over()
        for configuring in self._configuring.values():
            configuring.tell(NotApplied(reason))
        self._configuring.clear()
        for number, stream in list(self._streams.items()):
            self._on_replies(number, stream, [Broken(reason, lost=True)])

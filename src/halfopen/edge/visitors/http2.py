"""Visitors over HTTP/2: many requests on one connection, of which none waits for another.

What comes of a request's body is taken from the connection at once and from its stream as the connector takes it; what comes of an answer waits
with its stream, and streams send by turns.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

import h2.events
from h2.errors import ErrorCodes
from h2.exceptions import H2Error, ProtocolError

from halfopen.edge.front import BAD, TOO_LONG, Peer
from halfopen.edge.turns import Turns
from halfopen.edge.visitors.connection import (
    IDLE,
    LONGEST_HEADERS,
    Connection,
)
from halfopen.edge.visitors.http2_stream import Stream
from halfopen.edge.visitors.pseudo import asked, length
from halfopen.errors import WireError
from halfopen.tunnelwire.headers import Header
from halfopen.tunnelwire.http2.blocks import plain
from halfopen.tunnelwire.http2.link import Limits, Link

if TYPE_CHECKING:
    import asyncio

    from halfopen.edge.visitors.arrival import Visitors

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""What HTTP/2 begins with (RFC 9113, 3.4)."""

OF_VISITORS: Final = Limits(
    streams=100, window=256 << 10, grown=256 << 10, frame=64 << 10, headers=2 * LONGEST_HEADERS
)
"""What a visitor may do on one connection, or it ends; for headers of half as many bytes there is a page."""

RESETS: Final = 100
"""Requests that a visitor may take back before they are answered, or half of all it makes, whichever is more."""

_TURN: Final = 64 << 10  # bytes that a stream sends before it is another's turn
_PIECE: Final = 0.9  # how much of itself a piece of a body makes up for, however short it is
_GOAWAY: Final = b"\0\0\x08\x07\0\0\0\0\0%b\0\0\0\0"  # RFC 9113, 6.8; h2 would send nothing behind it


class Http2(Connection):
    """One connection of a visitor."""

    def __init__(self, visitors: Visitors, peer: Peer) -> None:
        super().__init__(visitors, peer)
        self.link = Link(client=False, now=self.now, limits=OF_VISITORS)
        self._streams: dict[int, Stream] = {}
        self._ready: dict[Stream, None] = {}  # who has something to send, in its order
        self._flushing = False
        self._last = 0  # number of the last request
        self._asked = self._taken_back = 0  # requests
        self._turns: Turns | None = None

    # --- the connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A visitor has come."""
        super().connection_made(transport)
        assert self._transport is not None
        self._turns = Turns(self._transport, self)
        self._deadline = self.now + IDLE
        self._write()

    def data_received(self, data: bytes) -> None:
        """Bytes of the visitor."""
        if self._turns is not None:
            self._turns.came(data)

    @property
    def behind(self) -> bool:
        """As `turns.Takes`."""
        return self.link.behind

    def take(self, received: bytes) -> None:
        """As `turns.Takes`."""
        self._write()  # h2 would forget it where the visitor says that it goes
        try:
            for event in self.link.events(received, self.now):
                self._on(event)
        except H2Error as error:
            self._end(getattr(error, "error_code", ErrorCodes.PROTOCOL_ERROR))
            return
        self.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        """The visitor is gone: connectors are told."""
        super().connection_lost(exc)
        self.link.lost = "the visitor is gone"
        self._ready.clear()
        streams, self._streams = self._streams, {}
        for stream in streams.values():
            stream.visit.cancel()

    def pause_writing(self) -> None:
        """The visitor takes less than comes: what it asks for in return, such as answers to pings, is not read either."""
        super().pause_writing()
        if self._turns is not None:
            self._turns.hold()

    def resume_writing(self) -> None:
        """It has caught up."""
        super().resume_writing()
        if self._turns is not None:
            self._turns.release()
        self.flush()

    @property
    def idle(self) -> bool:
        """Whether no request is under way."""
        return not self._streams

    def look(self, now: float) -> None:
        """See whether the visitor is waited for in vain."""
        super().look(now)
        if self._writable:
            for stream in list(self._streams.values()):
                stream.look(now)

    def finish(self) -> None:
        """Take no further requests; end when those under way have ended."""
        if not self._finishing:
            self._finishing = True
            self._write()
            self.write(_GOAWAY % self._last.to_bytes(4, "big"))
        if not self._streams:
            super().close()

    def close(self) -> None:
        """Say so, and end."""
        self.finish()
        super().close()

    # --- what comes

    def _on(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.RequestReceived(stream_id=number, stream_ended=ended):
                self._on_request(number, plain(event.headers), ended is not None)
            case h2.events.DataReceived(stream_id=number, data=data, stream_ended=ended):
                if (stream := self._streams.get(number)) is not None:
                    self.link.lengths.make_up(_PIECE)
                    stream.on_data(data, ended is not None)
            case h2.events.TrailersReceived(stream_id=number):
                if (stream := self._streams.get(number)) is not None:
                    stream.on_data(b"", True)
            case h2.events.StreamReset(stream_id=number):
                self._on_reset(number)
            case h2.events.WindowUpdated(stream_id=number) if number:
                if (stream := self._streams.get(number)) is not None:
                    self._ready[stream] = None
            case h2.events.WindowUpdated() | h2.events.RemoteSettingsChanged():
                self._ready.update(dict.fromkeys(self._streams.values()))
            case h2.events.ConnectionTerminated(error_code=code):
                self.link.go_on()  # requests under way go on, which h2 would not let them
                if code:
                    self.close()
                else:
                    self.finish()

    def _on_request(self, number: int, headers: list[Header], ended: bool) -> None:
        self._asked += 1
        if not self.link.is_open(number):  # taken back already
            self._take_back()
            return
        self.link.begin(number)
        if self._finishing:
            self.link.close(number, ErrorCodes.REFUSED_STREAM)
            return
        self._last = number
        if ended:
            self.link.other_ended(number)
        stream = self._streams[number] = Stream(self, number)
        if sum(len(name) + len(value) for name, value in headers) > LONGEST_HEADERS:
            stream.refuse(TOO_LONG)
            return
        try:
            told, size = asked(headers, not ended), length(headers, not ended)
        except WireError:
            stream.refuse(BAD)
        else:
            stream.begin(told, size)

    def _on_reset(self, number: int) -> None:
        self.link.forget(number)
        if (stream := self._streams.get(number)) is not None:
            if not stream.begun:
                self._take_back()
            self.over(stream)
            stream.visit.cancel()

    def _take_back(self) -> None:
        self._taken_back += 1
        if self._taken_back > RESETS and self._taken_back * 2 > self._asked:
            raise CalmError("requests that are taken back")

    # --- for streams

    def ready(self, stream: Stream) -> None:
        """A stream has something to send, which it does together with others."""
        self._ready[stream] = None
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self.flush)

    def over(self, stream: Stream) -> None:
        """A stream is done with."""
        self._ready.pop(stream, None)
        if self._streams.pop(stream.number, None) is not None and not self._streams:
            self._deadline = self.now + IDLE
            if self._finishing:
                self._loop.call_soon(super().close)

    def flush(self) -> None:
        """Send what there is to send, stream by stream, as the visitor takes it."""
        self._flushing = False
        sent = 0
        while self._ready and self._writable:
            stream = next(iter(self._ready))
            del self._ready[stream]
            size = stream.pump(_TURN)
            if size >= _TURN:
                self._ready[stream] = None
            sent += size
            if sent >= _TURN:
                self._write()
                sent = 0
        self._write()

    def _write(self) -> None:
        if data := self.link.take_outgoing():
            self.write(data)

    def _end(self, code: ErrorCodes | int) -> None:
        """The visitor does not speak HTTP/2, or too much of it."""
        with suppress(H2Error):
            self.link.h2.close_connection(code)
        self._write()
        self._finishing = True
        super().close()


class CalmError(ProtocolError):
    """A visitor makes work for nothing."""

    error_code = ErrorCodes.ENHANCE_YOUR_CALM

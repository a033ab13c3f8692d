"""Visitors over HTTP/1.1: their requests in, answers out, and after an upgrade bytes both ways unread."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final

import httptools

from halfopen.edge.exchange import Stream
from halfopen.edge.front import DOWN, LOST, NO_HOST, REFUSED, Front, Page
from halfopen.errors import WireError
from halfopen.tunnelwire.exchange import Answered, Broken, End, Kind, Refused, Request
from halfopen.tunnelwire.headers import Header

ARRIVAL: Final = 15.0
"""Seconds within which a request's headers must have come, the first one's since the connection."""

IDLE: Final = 75.0
"""Seconds for which a connection without a request stays open."""

LONGEST_HEADERS: Final = 64 << 10
"""Bytes of a request's line and headers."""

_BUFFER: Final = 256 << 10  # bytes of an answer that wait for the visitor
_BODILESS: Final = frozenset((204, 304))
_SPECIAL: Final = frozenset((b"content-length", b"connection", b"transfer-encoding", b"keep-alive"))
_BAD: Final = Page(400, "Not a request", "What came cannot be read as HTTP.")
_TOO_LONG: Final = Page(431, "Too much in the headers", "The headers of the request are too long.")


class Visitor(asyncio.Protocol):
    """One connection of a visitor. Requests that come before the answer to an earlier one wait their turn."""

    def __init__(self, front: Front, visitors: set[Visitor], scheme: bytes = b"http") -> None:
        """A visitor that is in `visitors` while it is there."""
        self.front, self.scheme = front, scheme
        self._visitors = visitors
        self._finishing = False
        self.peer = ""
        self._loop = asyncio.get_running_loop()
        self._parser: Any = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._url = b""
        self._headers: list[Header] = []
        self._size = 0
        self._turns: deque[_Turn] = deque()
        self._writable = True
        self._refused = False
        self._raw: _Turn | None = None

    # --- the connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A visitor has come."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._visitors.add(self)
        transport.set_write_buffer_limits(_BUFFER)
        self.peer = transport.get_extra_info("peername")[0]
        self._wait(ARRIVAL)

    def data_received(self, data: bytes) -> None:
        """Bytes of the visitor."""
        if self._raw is not None:
            self._raw.body(data)
            return
        if self._refused:
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            if self._turns:
                self._turns[-1].early = data[upgrade.args[0] :]
                self.pause()  # until the answer says what follows
        except (httptools.HttpParserError, WireError):
            self._refuse(_TOO_LONG if self._size > LONGEST_HEADERS else _BAD)

    def eof_received(self) -> bool:
        """The visitor sends no more: after an upgrade the other direction goes on."""
        if self._raw is not None:
            self._raw.body(b"", ends=True)
            return True
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The visitor is gone: connectors are told."""
        self._transport = None
        self._visitors.discard(self)
        if self._timer is not None:
            self._timer.cancel()
        turns, self._turns = self._turns, deque()
        for turn in turns:
            turn.cancel()

    def pause_writing(self) -> None:
        """The visitor takes less than comes."""
        self._writable = False

    def resume_writing(self) -> None:
        """It has caught up."""
        self._writable = True
        if self._turns:
            self._turns[0].resume()

    # --- the parser

    def on_message_begin(self) -> None:
        """A request begins."""
        self._url, self._headers, self._size = b"", [], 0

    def on_url(self, url: bytes) -> None:
        """Its target, or a piece of it."""
        self._url += url
        self._add(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        self._headers.append((name, value))
        self._add(len(name) + len(value))

    def on_headers_complete(self) -> None:
        """All of them."""
        turn = _Turn(self, self._parser.get_method(), self._url, self._headers, self._parser)
        self._turns.append(turn)
        if self._timer is not None:
            self._timer.cancel()
        if len(self._turns) == 1:
            turn.begin()
        else:
            self.pause()

    def on_body(self, body: bytes) -> None:
        """A piece of its body."""
        self._turns[-1].body(body)

    def on_message_complete(self) -> None:
        """It is whole."""
        self._turns[-1].body(b"", ends=True)

    # --- for turns

    def write(self, data: bytes) -> bool:
        """Send to the visitor; whether more may come."""
        if self._transport is not None:
            self._transport.write(data)
        return self._writable

    def pause(self) -> None:
        """Read no more for now."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def unpause(self) -> None:
        """Read on, unless requests wait."""
        if self._transport is not None and not self._transport.is_closing() and len(self._turns) <= 1:
            self._transport.resume_reading()

    def over(self, turn: _Turn, keeps: bool) -> None:
        """The first request is done with: the next, or the end."""
        if self._turns and self._turns[0] is turn:
            self._turns.popleft()
        if not keeps or self._finishing or self._transport is None:
            self.close()
        elif self._turns:
            self._turns[0].begin()
        else:
            self._wait(IDLE)
            self.unpause()

    def switched(self, turn: _Turn) -> None:
        """From now on bytes are copied."""
        self._raw = turn
        if turn.early:
            turn.body(turn.early)
            turn.early = b""
        self.unpause()

    def finish(self) -> None:
        """End when the request under way has ended, or now if there is none."""
        self._finishing = True
        if not self._turns:
            self.close()

    def close(self) -> None:
        """Send what is written, and end."""
        if self._transport is not None:
            self._transport.close()

    def _refuse(self, page: Page) -> None:
        self._refused = True
        if self._turns:  # answers to earlier requests come first
            self._turns[-1].closes = True
            self.pause()
            return
        self.write(_response(page, self.front.identifier(), b"GET"))
        self.close()

    def _add(self, size: int) -> None:
        self._size += size
        if self._size > LONGEST_HEADERS:
            raise WireError("headers too long")

    def _wait(self, seconds: float) -> None:
        self._timer = self._loop.call_later(seconds, self.close)


class _Turn:
    """One request and its answer: an `exchange.Exchange`."""

    def __init__(
        self, visitor: Visitor, method: bytes, target: bytes, headers: list[Header], parser: Any
    ) -> None:
        self._visitor, self._method, self._target, self._headers = visitor, method, target, headers
        self._modern = parser.get_http_version() == "1.1"
        self.closes = not parser.should_keep_alive()
        self._id = visitor.front.identifier()
        self._stream: Stream | None = None
        self._waiting: list[bytes] = []  # of the body, before the turn has come
        self._whole = False  # the request
        self._answered = self._done = self._raw = False
        self._chunked = False
        self._left: int | None = None  # bytes of the answer, where their number was told
        self._upgrades = False
        self._sized = False  # whether there is a body, or after an upgrade anything
        self.early = b""

    # --- the request

    def begin(self) -> None:
        """Its turn has come."""
        named = {name.lower(): value for name, value in self._headers}
        host = named.get(b"host", b"")
        if not host or sum(name.lower() == b"host" for name, _ in self._headers) > 1:
            self._page(NO_HOST)
            return
        if self._method == b"CONNECT" or self._target[:1] != b"/":
            self._page(_BAD)
            return
        front = self._visitor.front
        carriers = front.carriers(host)
        if isinstance(carriers, Page):
            self._page(carriers)
            return
        self._upgrades = named.get(b"upgrade", b"").lower() == b"websocket" and self._method == b"GET"
        self._sized = self._upgrades or b"content-length" in named or b"transfer-encoding" in named
        try:
            headers = front.headers(self._headers, self._visitor.peer, self._visitor.scheme, self._id)
            request = Request(
                Kind.WEBSOCKET if self._upgrades else Kind.HTTP, host, self._method, self._visitor.scheme, self._target,
                tuple(each for each in headers if each[0] != b"expect"), self._sized,
            )  # fmt: skip
        except WireError:
            self._page(_BAD)
            return
        for carrier in carriers:
            if (stream := carrier.open(request, self)) is not None:
                self._stream = stream
                break
        else:
            self._page(DOWN)
            return
        if named.get(b"expect", b"").lower() == b"100-continue" and not self._whole:
            self._visitor.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if self._sized and not self._upgrades:
            waiting, self._waiting = self._waiting, []
            for piece in waiting:
                stream.send(piece)
            if self._whole:
                stream.send(b"", True)

    def body(self, data: bytes, ends: bool = False) -> None:
        """A piece of the request's body, or what follows an upgrade."""
        if ends and not self._raw:
            self._whole = True
            if self._upgrades:
                return  # what follows is no request
        if self._done:
            return
        if self._stream is None:
            if data:
                self._waiting.append(data)
                self._visitor.pause()
        elif self._sized and not self._stream.send(data, ends):
            self._visitor.pause()

    def cancel(self) -> None:
        """The visitor is gone."""
        self._done = True
        if self._stream is not None:
            self._stream.cancel()

    def resume(self) -> None:
        """The visitor takes more."""
        if self._stream is not None and not self._done:
            self._stream.resume()

    # --- the answer

    def reply(self, reply: Answered | Refused | End | Broken) -> None:
        """As `exchange.Exchange`."""
        if self._done:
            return
        match reply:
            case Answered(status=status, headers=headers):
                self._on_answer(status, headers)
            case Refused():
                self._page(REFUSED)
            case End(trailers=trailers):
                self._on_end(trailers)
            case Broken() if not self._answered:
                self._page(LOST)
            case Broken():
                self._done = True
                self._visitor.over(self, keeps=False)  # an answer that ends early must not look whole

    def _on_answer(self, status: int, headers: Sequence[Header]) -> None:
        self._answered = True
        if status == 101:
            self._raw = True
            self._visitor.write(_head(status, [*headers]))
            self._visitor.switched(self)
            return
        told = [each for each in headers if each[0].lower() not in _SPECIAL]
        length = next((value for name, value in headers if name.lower() == b"content-length"), None)
        if length is not None:
            told.append((b"Content-Length", length))
        if self._method == b"HEAD" or status in _BODILESS:
            self._left = 0
        elif length is not None:
            self._left = int(length) if length.isdigit() else 0
        elif self._modern:
            self._chunked = True
            told.append((b"Transfer-Encoding", b"chunked"))
        else:
            self.closes = True
        if self.closes:
            told.append((b"Connection", b"close"))
        self._visitor.write(_head(status, told))

    def received(self, data: bytes) -> bool:
        """As `exchange.Exchange`."""
        if self._done:
            return True
        if self._left is not None:
            data = data[: self._left]  # more would be taken for the next answer
            self._left -= len(data)
        return self._visitor.write(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked and data else data)

    def _on_end(self, trailers: Sequence[Header]) -> None:
        if self._chunked:
            lines = b"".join(b"%b: %b\r\n" % each for each in trailers)
            self._visitor.write(b"0\r\n" + lines + b"\r\n")
        self._done = True
        if self._left:  # the rest would be waited for
            self.closes = True
        # What still comes of a request that was answered before its end would be taken for the next.
        self._visitor.over(self, not self.closes and self._whole and not self._raw)

    def drained(self) -> None:
        """As `exchange.Exchange`."""
        self._visitor.unpause()

    def _page(self, page: Page) -> None:
        self._done = True
        self._visitor.write(_response(page, self._id, self._method))
        self._visitor.over(self, keeps=False)


def _response(page: Page, identifier: str, method: bytes) -> bytes:
    html = page.html(identifier)
    headers = [
        (b"Content-Type", b"text/html; charset=utf-8"), (b"Content-Length", b"%d" % len(html)), (b"Cache-Control", b"no-store"),
        (b"Content-Security-Policy", b"default-src 'none'; style-src 'unsafe-inline'"), (b"Connection", b"close"),
    ]  # fmt: skip
    return _head(page.status, headers) + (b"" if method == b"HEAD" else html)


def _head(status: int, headers: Sequence[Header]) -> bytes:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    lines = [b"HTTP/1.1 %d %b" % (status, phrase.encode()), *(b"%b: %b" % each for each in headers), b"", b""]
    return b"\r\n".join(lines)

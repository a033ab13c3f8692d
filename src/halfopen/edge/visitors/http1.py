"""Visitors over HTTP/1.1: their requests in, answers out, and after an upgrade bytes both ways unread."""

from __future__ import annotations

import re
import socket
from collections import deque
from collections.abc import Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import httptools

from halfopen.edge.front import BAD, STALLED, TOO_LONG, Page, Peer
from halfopen.edge.visitors.connection import ARRIVAL, IDLE, LONGEST_HEADERS, UPLOAD, Connection
from halfopen.edge.visitors.visit import Asked, Visit
from halfopen.errors import WireError
from halfopen.tunnelwire.headers import Header

if TYPE_CHECKING:
    import asyncio

    from halfopen.edge.visitors.arrival import Visitors

LINGERING: Final = 2.0
"""Seconds for which a visitor that is answered may go on sending what nobody wants."""

AHEAD: Final = 100
"""Requests that may wait for the answers to earlier ones of their connection."""

_VERSIONS: Final = ("1.0", "1.1")
_FRAMING: Final = (b"content-length", b"transfer-encoding")
_CLOSED: Final = 7  # TCP_CLOSE, of Linux
_ABSOLUTE: Final = re.compile(rb"(?i:https?)://([^/?#]+)(.*)")  # a target with a host (RFC 9112, 3.2.2)
_LINES: Final = {each.value: b"HTTP/1.1 %d %b\r\n" % (each, each.phrase.encode()) for each in HTTPStatus}


class Http1(Connection):
    """One connection of a visitor. Requests that come before the answer to an earlier one wait their turn."""

    def __init__(self, visitors: Visitors, peer: Peer) -> None:
        super().__init__(visitors, peer)
        self._parser: Any = httptools.HttpRequestParser(self)
        self._target = b""
        self._headers: list[Header] = []
        self._size = 0
        self._turns: deque[_Turn] = deque()
        self._begun = False  # whether the first of them has: not before the last answer is taken
        self._heard = 0.0
        self._refused = False
        self._again = False  # whether the parser is told of a request that is known
        self._half = False  # whether the visitor sends no more
        self._raw: Visit | None = None

    # --- the connection

    def data_received(self, data: bytes) -> None:
        """Bytes of the visitor."""
        self._heard = self.now
        if self._raw is not None:
            self._send(self._raw, data)
            return
        if self._refused:
            return
        try:
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                self._on_upgrade(data[upgrade.args[0] :])
        except (httptools.HttpParserError, WireError):
            self._refuse(TOO_LONG if self._size > LONGEST_HEADERS else BAD)

    def _on_upgrade(self, rest: bytes) -> None:
        """The parser leaves what follows to us."""
        if not self._turns:
            return
        turn = self._turns[-1]
        if turn.framing:  # a body: what is asked for besides is not done (RFC 9110, 7.8)
            self._parser, self._again = httptools.HttpRequestParser(self), True
            self._parser.feed_data(b"POST / HTTP/1.1\r\n%b\r\n" % turn.framing)
            self._parser.feed_data(rest)
        else:
            turn.early = rest
            self.pause()  # until the answer says what follows

    def eof_received(self) -> bool:
        """The visitor sends no more. What it has asked for whole is answered, and after an upgrade the other direction goes on; TLS knows
        no such half."""
        self._say()
        if self._raw is not None:
            self._raw.send(b"", True)
        elif self._turns and self._turns[-1].whole and not self._refused:
            self._turns[-1].closes = True
        else:
            return False
        self._half = self._transport is not None and self._transport.can_write_eof()
        return self._half

    def connection_lost(self, exc: Exception | None) -> None:
        """The visitor is gone: connectors are told."""
        super().connection_lost(exc)
        turns, self._turns = self._turns, deque()
        for turn in turns:
            turn.visit.cancel()

    def resume_writing(self) -> None:
        """The visitor has caught up."""
        super().resume_writing()
        if self._turns and self._begun:
            self._turns[0].visit.resume()
        self._next()

    @property
    def idle(self) -> bool:
        """Whether no request is under way."""
        return not self._turns

    def look(self, now: float) -> None:
        """See whether the visitor is waited for in vain."""
        super().look(now)
        if self._half and self._transport is not None and _is_gone(self._transport):
            self._transport.abort()
        if self._turns and not self._paused and self._turns[0].visit.waits and now - self._heard > UPLOAD:
            self._turns[0].visit.spoil(STALLED)

    def finish(self) -> None:
        """End when the request under way has ended, or now if there is none."""
        self._finishing = True
        if not self._turns:
            self.close()

    # --- the parser

    def on_message_begin(self) -> None:
        """A request begins."""
        self._target, self._headers, self._size = b"", [], 0
        if not self._turns:
            self._deadline = min(self._deadline, self.now + ARRIVAL)

    def on_url(self, url: bytes) -> None:
        """Its target, or a piece of it."""
        self._target += url
        self._add(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        self._headers.append((name.lower(), value))
        self._add(len(name) + len(value))

    def on_headers_complete(self) -> None:
        """All of them."""
        if self._refused:
            return
        if self._again:
            self._again = False
            return
        if self._parser.get_http_version() not in _VERSIONS:
            raise WireError("another version of HTTP")
        if len(self._turns) > AHEAD:
            raise WireError("too many requests at once")
        self._turns.append(_Turn(self, self._parser, self._target, self._headers))
        self._headers = []  # what comes behind the body is none of them
        if len(self._turns) > 1:
            self.pause()
        self._next()

    def on_body(self, body: bytes) -> None:
        """A piece of its body."""
        if not self._refused:
            self._send(self._turns[-1].visit, body)

    def on_message_complete(self) -> None:
        """It is whole."""
        if self._refused:
            return
        turn = self._turns[-1]
        if self._parser.should_upgrade() and turn.framing:
            return  # its body is still to come
        turn.whole = True
        turn.visit.send(b"", True)

    # --- for turns

    def over(self, turn: _Turn, keeps: bool) -> None:
        """The answer to the first request is written: the next, or the end."""
        if self._turns and self._turns[0] is turn:
            self._turns.popleft()
            self._begun = False
        if keeps and not self._finishing:
            self._deadline = self.now + IDLE
            self._next()
        elif turn.whole:
            self.close()
        else:
            self._linger()

    def switched(self, turn: _Turn) -> None:
        """From now on bytes are copied."""
        self._raw = turn.visit
        self.unpause()
        if turn.early:
            self._send(turn.visit, turn.early)
            turn.early = b""

    def drained(self) -> None:
        """More of the first request is welcome; of further ones nothing is before its end."""
        if len(self._turns) <= 1:
            self.unpause()

    @property
    def roomy(self) -> bool:
        """Whether more may be written."""
        return self._writable

    def _send(self, visit: Visit, data: bytes) -> None:
        if not visit.send(data):
            self.pause()

    def _next(self) -> None:
        """Begin with the first request where its turn has come; read on where none waits behind it."""
        if self._turns and not self._begun and self._writable and self._transport is not None:
            self._begun = True
            self._turns[0].visit.begin()
        elif not self._turns:
            self.unpause()

    def _linger(self) -> None:
        """End, but let what is under way come: else the system would throw the answer away behind which it was not read."""
        self._refused = True
        self._deadline = self.now + LINGERING
        self.unpause()
        if self._transport is not None and self._transport.can_write_eof():
            self._say()
            self._transport.write_eof()

    def _refuse(self, page: Page) -> None:
        if self._refused:
            return
        self._refused = True
        if len(self._turns) > 1 and not self._turns[-1].whole:
            self._turns.pop().visit.cancel()
        if self._turns and not self._turns[-1].whole:
            self._begun = True
            self._turns[0].visit.spoil(page)
        elif self._turns:  # answers to earlier requests come first
            self._turns[-1].closes = True
            self.pause()
        else:
            turn = _Turn(self, self._parser, b"", [])
            self._turns.append(turn)
            self._begun = True
            turn.visit.refuse(page)

    def _add(self, size: int) -> None:
        self._size += size
        if self._size > LONGEST_HEADERS:
            raise WireError("headers too long")


class _Turn:
    """One request and how its answer is written: a `visit.Answering`."""

    __slots__ = (
        "_chunked", "_connection", "_modern", "_switches", "closes", "early", "framing", "visit", "whole",
    )  # fmt: skip

    def __init__(self, connection: Http1, parser: Any, target: bytes, headers: list[Header]) -> None:
        self._connection = connection
        self._modern = parser.get_http_version() != "1.0"
        self.closes = not parser.should_keep_alive()
        self.whole = False  # the request
        self._chunked = self._switches = False
        self.early = b""
        method = parser.get_method()
        named = dict(headers)
        host, path = _place([value for name, value in headers if name == b"host"], target, self._modern)
        self.framing = b"".join(b"%b: %b\r\n" % each for each in headers if each[0] in _FRAMING)
        body, upgrades = bool(self.framing), parser.should_upgrade()
        if upgrades:
            self.closes = True  # what follows is not read as a request
        protocol = named.get(b"upgrade", b"").lower()
        websocket = upgrades and not body and (method, protocol) == (b"GET", b"websocket")
        asked = Asked(method, host, path, headers, body, websocket)
        self.visit = Visit(connection.front, connection.peer, asked, self)

    def head(self, status: int, headers: Sequence[Header], sized: bool) -> None:
        """As `visit.Answering`."""
        lines = [_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status]
        lines += [b"%b: %b\r\n" % each for each in headers]
        if status == 101:
            self._switches = True
        elif not sized and self._modern:
            self._chunked = True
            lines.append(b"Transfer-Encoding: chunked\r\n")
        elif not sized:
            self.closes = True
        if self.closes and not self._switches:
            lines.append(b"Connection: close\r\n")
        lines.append(b"\r\n")
        self._connection.write(b"".join(lines))
        if self._switches:
            self._connection.switched(self)

    def body(self, data: bytes) -> bool:
        """As `visit.Answering`."""
        self._connection.write(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)
        return self._connection.roomy

    def end(self, trailers: Sequence[Header]) -> None:
        """As `visit.Answering`."""
        if self._chunked:
            self._connection.write(b"0\r\n%b\r\n" % b"".join(b"%b: %b\r\n" % each for each in trailers))
        if not self.whole:  # what still comes of it would be taken for the next
            self.closes = True
        self._connection.over(self, not self.closes)

    def broken(self) -> None:
        """As `visit.Answering`."""
        self._connection.close()

    def last(self) -> None:
        """As `visit.Answering`."""
        self.closes = True

    def go_on(self) -> None:
        """As `visit.Answering`."""
        if self._modern:  # others know no such answer (RFC 9110, 10.1.1)
            self._connection.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def drained(self) -> None:
        """As `visit.Answering`."""
        self._connection.drained()


def _place(hosts: Sequence[bytes], target: bytes, modern: bool) -> tuple[bytes, bytes]:
    """Host and path of a request; no host where none or more than one is told. One in the target counts (RFC 9112, 3.2.2)."""
    host = hosts[0] if len(hosts) == 1 else b""
    whole = _ABSOLUTE.fullmatch(target)
    if whole is None:
        return host, target
    if not host and (hosts or modern):  # wanted all the same (RFC 9112, 3.2)
        return b"", target
    path = whole[2]
    return whole[1], path if path[:1] == b"/" else b"/" + path


def _is_gone(transport: asyncio.Transport) -> bool:
    """Whether a connection on which nothing more is read was reset: loops would not notice before they write."""
    if transport.is_closing():
        return False
    state: bytes = transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)
    return state[0] == _CLOSED

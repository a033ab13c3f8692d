"""One request of a visitor, whatever version of HTTP it came by: who carries it, what goes on, and what becomes of it.

It begins, its answer's status is known, and it is over: each in one place.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Final, Protocol

from halfopen.edge.exchange import Stream
from halfopen.edge.front import (
    BAD,
    DOWN,
    LOST,
    MISDIRECTED,
    NO_HOST,
    NO_PROXY,
    NO_SITE,
    REFUSED,
    Front,
    Page,
    Peer,
    bare,
)
from halfopen.edge.holdings import Link
from halfopen.edge.metrics import NOWHERE
from halfopen.edge.seldom import SELDOM
from halfopen.errors import WireError
from halfopen.tunnelwire.exchange import Answered, Broken, End, Kind, Refused, Request
from halfopen.tunnelwire.headers import Header

AT_HAND: Final = 64 << 10
"""Bytes of a request's body that are kept, so that it can be sent again, until its answer begins."""

_REPEATED: Final = frozenset((b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE"))
"""Methods that ask for the same when they ask twice (RFC 9110, 9.2.2)."""

_RAY: Final = b"cf-ray"
_REASON: Final = 200  # characters of what a connector says that the log tells
_BODILESS: Final = frozenset((204, 304))


@dataclass(slots=True)
class Asked:
    """What the headers of a request say; their names are in lower case. A `body` follows, or, for a websocket, whatever is sent after 101."""

    method: bytes
    host: bytes
    path: bytes
    headers: list[Header]
    body: bool
    websocket: bool = False


class Answering(Protocol):
    """How a version of HTTP writes the answer to a request."""

    def head(self, status: int, headers: Sequence[Header], sized: bool) -> None:
        """The answer begins. It is `sized` where its end is known beforehand."""
        ...

    def body(self, data: bytes) -> bool:
        """A piece of it; whether more may come, else `Visit.resume` says when."""
        ...

    def end(self, trailers: Sequence[Header]) -> None:
        """It is whole."""
        ...

    def broken(self) -> None:
        """It has begun, and must not look whole."""
        ...

    def last(self) -> None:
        """It had better be the last one of its connection."""
        ...

    def go_on(self) -> None:
        """The body is welcome, says who was asked whether it is."""
        ...

    def drained(self) -> None:
        """More of the request is welcome."""
        ...


class Visit:
    """A request that is under way: an `exchange.Exchange`."""

    __slots__ = (
        "_answered", "_answering", "_asked", "_began", "_front", "_id", "_kept", "_left", "_open", "_over", "_peer", "_received",
        "_request", "_route", "_sent", "_status", "_stream", "_tried", "_whole",
    )  # fmt: skip

    def __init__(self, front: Front, peer: Peer, asked: Asked, answering: Answering) -> None:
        self._front, self._peer, self._asked, self._answering = front, peer, asked, answering
        self._id = front.identifier()
        self._request: Request | None = None
        self._stream: Stream | None = None
        self._tried: list[Link] = []
        self._kept: bytearray | None = bytearray()  # of the body: None once it is more than is at hand
        self._open = asked.body  # whether anything may be sent
        self._whole = False  # the request
        self._answered = self._over = False
        self._left: int | None = None  # bytes of the answer, where their number was told
        self._began = monotonic()
        self._route = NOWHERE
        self._status: int | None = None
        self._received = self._sent = 0  # bytes of bodies, from the visitor and to it

    # --- the request

    def begin(self) -> None:
        """Its headers are there, and its turn has come."""
        asked = self._asked
        if asked.method == b"CONNECT":
            return self.refuse(NO_PROXY)
        if not asked.host:
            return self.refuse(NO_HOST)
        self._route = self._front.route(asked.host)
        if asked.path[:1] != b"/":
            return self.refuse(NO_SITE if (asked.method, asked.path) == (b"OPTIONS", b"*") else BAD)
        if not self._peer.may_ask(bare(asked.host.decode("latin-1"))):
            return self.refuse(MISDIRECTED)
        try:
            headers = self._front.headers(asked.headers, self._peer, self._id)
            expects = [each for each in headers if each[0] == b"expect"]
            for each in expects:
                headers.remove(each)
            self._request = Request(
                Kind.WEBSOCKET if asked.websocket else Kind.HTTP, asked.host, asked.method, self._peer.scheme, asked.path,
                tuple(headers), asked.body or asked.websocket,
            )  # fmt: skip
        except WireError:
            return self.refuse(BAD)
        self._ask(DOWN, "its connections take no more requests")
        if expects and not self._whole and not self._over:
            self._answering.go_on()

    def send(self, data: bytes, ends: bool = False) -> bool:
        """A piece of the body, or what follows after 101; whether more is welcome, else `Answering.drained` says when."""
        self._whole |= ends
        self._received += len(data)
        if self._over or not self._open:
            return True
        if self._kept is not None:
            self._kept += data
            if len(self._kept) > AT_HAND and self._stream is not None:
                self._kept = None
        return self._stream is not None and self._stream.send(data, ends)

    def resume(self) -> None:
        """The visitor takes more of the answer."""
        if self._stream is not None:
            self._stream.resume()

    @property
    def waits(self) -> bool:
        """Whether nothing goes on until the visitor sends more. In a call of gRPC both sides may be silent for as long as they like."""
        return not (self._answered or self._whole or self._over or not self._open) and not any(
            name == b"content-type" and value.startswith(b"application/grpc")
            for name, value in self._asked.headers
        )

    def cancel(self) -> None:
        """The visitor is gone."""
        self._cancel_stream()
        self._end()

    def spoil(self, page: Page) -> None:
        """The rest of it does not come, or is none: a page says so where the answer has not begun."""
        self._cancel_stream()
        if self._answered:
            self._end()
            self._answering.broken()
        else:
            self.refuse(page)

    def refuse(self, page: Page, reason: str = "") -> None:
        """Answer with a page; where it is for want of a connector or an origin the log says so, with the `reason` or the page's words."""
        if page.status >= 502:
            self._tell(page, reason)
        headers, html = page.written(self._id)
        self._answering.last()
        self._answer(page.status, headers)
        self.received(html)
        self._finish(())

    def _tell(self, page: Page, reason: str) -> None:
        why = "".join(each if each.isprintable() else " " for each in reason[:_REASON]) or page.words
        SELDOM.tell(
            logging.INFO, f"{self._route.tunnel} {page.status}",
            f"{page.status} for {self._asked.host.decode('latin-1')} (id {self._id}): {why}",
        )  # fmt: skip

    # --- who carries it

    def _ask(self, otherwise: Page, reason: str) -> None:
        """Ask the next connection of the tunnel that was not asked before; where there is none answer `otherwise`, for that reason."""
        assert self._request is not None
        carriers = self._front.carriers(self._route)
        if isinstance(carriers, Page):
            return self.refuse(otherwise, reason) if self._tried else self.refuse(carriers)
        for carrier in carriers:
            if carrier not in self._tried and (stream := carrier.open(self._request, self)) is not None:
                self._tried.append(carrier)
                self._stream = stream
                return self._send_kept(stream)
        self.refuse(otherwise, reason)

    def _send_kept(self, stream: Stream) -> None:
        if not self._open or self._kept is None:
            return
        if (not self._kept and not self._whole) or stream.send(bytes(self._kept), self._whole):
            self._answering.drained()
        if len(self._kept) > AT_HAND:
            self._kept = None

    def _cancel_stream(self) -> None:
        if self._stream is not None:
            self._stream.cancel()

    def _may_repeat(self) -> bool:
        return self._kept is not None and self._asked.method in _REPEATED

    # --- the answer

    def reply(self, reply: Answered | Refused | End | Broken) -> None:
        """As `exchange.Exchange`."""
        if self._over:
            return
        match reply:
            case Answered() if self._is_none(reply):
                self._cancel_stream()
                self.refuse(REFUSED, "its answer is none")
            case Answered(status=status, headers=headers):
                self._answer(status, headers)
            case Refused(reason=reason):
                self.refuse(REFUSED, reason)
            case End(trailers=trailers):
                self._finish(trailers)
            case Broken() if self._answered:
                self._end()
                self._answering.broken()
            case Broken(lost=lost, reason=reason):
                self._stream = None
                if lost and self._may_repeat():
                    self._ask(LOST, reason)
                else:
                    self.refuse(LOST, reason)

    def received(self, data: bytes) -> bool:
        """As `exchange.Exchange`."""
        if self._left is not None:
            if len(data) > self._left:  # more would be taken for the next answer
                data = data[: self._left]
            self._left -= len(data)
        if self._over or not data:
            return True
        self._sent += len(data)
        return self._answering.body(data)

    def drained(self) -> None:
        """As `exchange.Exchange`."""
        self._answering.drained()

    def _is_none(self, answer: Answered) -> bool:
        """Whether an answer cannot be one: it switches what was not asked to be, or does not say how long it is."""
        if answer.status < 200:
            return answer.status != 101 or not self._asked.websocket
        lengths = {value for name, value in answer.headers if name.lower() == b"content-length"}
        return len(lengths) > 1 or not all(value.isdigit() and len(value) < 20 for value in lengths)

    def _answer(self, status: int, headers: Sequence[Header]) -> None:
        """Its status is known."""
        self._answered = True
        self._status = status
        self._kept = None
        if status == 101:
            self._open = True
        elif self._asked.method == b"HEAD" or status in _BODILESS:
            self._left = 0
        else:
            self._left = _length(headers)
        told = [each for each in headers if len(each[0]) != len(_RAY) or each[0].lower() != _RAY]
        told.append((_RAY, self._id.encode()))
        self._answering.head(status, told, self._left is not None)

    def _finish(self, trailers: Sequence[Header]) -> None:
        short = bool(self._left)
        self._end()
        if short:
            self._answering.broken()
        else:
            self._answering.end(trailers)

    def _end(self) -> None:
        """It is over, whole or not."""
        if not self._over:
            seconds = monotonic() - self._began
            self._front.metrics.request(self._route, self._status, self._received, self._sent, seconds)
        self._over = True
        self._stream = None
        self._kept = None


def _length(headers: Sequence[Header]) -> int | None:
    for name, value in headers:
        if len(name) == 14 and name.lower() == b"content-length":
            return int(value)
    return None

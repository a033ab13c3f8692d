"""One request over HTTP/2: what has come of it and what of its answer waits for the visitor."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from h2.errors import ErrorCodes

from halfopen.edge.front import STALLED, Page
from halfopen.edge.visitors.connection import TAKING, UPLOAD
from halfopen.edge.visitors.visit import Asked, Visit
from halfopen.tunnelwire.headers import Header
from halfopen.tunnelwire.http2.link import Link

if TYPE_CHECKING:
    from halfopen.edge.visitors.http2 import Http2

_NOBODY: Final = Asked(b"GET", b"", b"/", [], False)
_BUFFER: Final = 64 << 10  # bytes of one answer that wait before no more are welcome


class Stream:
    """One request and how its answer is written: a `visit.Answering`."""

    __slots__ = (
        "_connection", "_ends", "_head", "_heard", "_left", "_moved", "_owed", "_pieces", "_size", "_trailers", "begun", "number", "visit",
    )  # fmt: skip

    def __init__(self, connection: Http2, number: int) -> None:
        self._connection, self.number = connection, number
        self._left: int | None = None  # bytes of the request, where their number was told
        self.visit: Visit
        self.begun = False  # the answer
        self._head: list[Header] | None = None  # until it is sent
        self._pieces: deque[bytes] = deque()  # of the answer, what the visitor has no room for yet
        self._size = 0
        self._trailers: list[Header] = []
        self._ends = False
        self._owed = 0  # of the request, what the connector has not taken yet
        self._heard = self._moved = connection.now  # when something came, or went

    # --- the request

    def begin(self, asked: Asked, length: int | None) -> None:
        """Its headers are there, and how long its body is said to be."""
        self._left = length
        self.visit = Visit(self._connection.front, self._connection.peer, asked, self)
        if not asked.body:
            self.visit.send(b"", True)
        self.visit.begin()

    def refuse(self, page: Page) -> None:
        """Its headers are not those of a request."""
        self.visit = Visit(self._connection.front, self._connection.peer, _NOBODY, self)
        self.visit.refuse(page)

    def on_data(self, data: bytes, ends: bool) -> None:
        """A piece of its body."""
        link = self._connection.link
        if ends:
            link.other_ended(self.number)
        self._heard = self._connection.now
        if self._left is not None:
            self._left -= len(data)
            if self._left < 0 or (ends and self._left):
                self._reset(ErrorCodes.PROTOCOL_ERROR)
                self.visit.cancel()
                return
        if self.visit.send(data, ends):
            link.acknowledge(self.number, len(data))
        else:
            self._owed += len(data)

    def drained(self) -> None:
        """As `visit.Answering`."""
        if self._owed:
            owed, self._owed = self._owed, 0
            self._heard = self._connection.now
            self._connection.link.acknowledge(self.number, owed)
            self._connection.ready(self)

    def look(self, now: float) -> None:
        """See whether the visitor is waited for in vain."""
        if self._size and now - self._moved > TAKING:
            self.broken()
            self.visit.cancel()
        elif self.visit.waits and not self._owed and now - self._heard > UPLOAD:
            self.visit.spoil(STALLED)

    # --- the answer

    def head(self, status: int, headers: Sequence[Header], sized: bool) -> None:
        """As `visit.Answering`."""
        self.begun = True
        self._head = [(b":status", b"%d" % status), *((name.lower(), value) for name, value in headers)]
        self._connection.ready(self)

    def body(self, data: bytes) -> bool:
        """As `visit.Answering`."""
        if not self._size:
            self._moved = self._connection.now
        self._pieces.append(data)
        self._size += len(data)
        self._connection.ready(self)
        return self._size <= _BUFFER

    def end(self, trailers: Sequence[Header]) -> None:
        """As `visit.Answering`."""
        self._trailers = [(name.lower(), value) for name, value in trailers]
        self._ends = True
        self._connection.ready(self)

    def broken(self) -> None:
        """As `visit.Answering`."""
        self._reset(ErrorCodes.INTERNAL_ERROR)

    def last(self) -> None:
        """As `visit.Answering`: the connection is others' too."""

    def go_on(self) -> None:
        """As `visit.Answering`."""
        self._connection.link.h2.send_headers(self.number, [(b":status", b"100")])
        self._connection.ready(self)

    def _reset(self, error: ErrorCodes) -> None:
        self._connection.link.close(self.number, error)
        self._connection.over(self)
        self._connection.flush()

    def pump(self, most: int) -> int:
        """Send what there is room for, about so many bytes; gives how many were sent."""
        link = self._connection.link
        if not link.is_sending(self.number):
            return 0
        bare = self._ends and not self._trailers
        if self._head is not None:
            head, self._head = self._head, None
            link.h2.send_headers(self.number, head, end_stream=bare and not self._size)
            if bare and not self._size:
                return self._over()
        sent = self._send(link, most, bare)
        if self._ends and not self._size:
            if self._trailers:
                link.h2.send_headers(self.number, self._trailers, end_stream=True)
                link.ended(self.number)
            elif link.is_sending(self.number):
                link.send(self.number, b"", end=True)
            self._over()
        return sent

    def _send(self, link: Link, most: int, bare: bool) -> int:
        size = min(link.room(self.number), most, self._size)
        if not size:
            return 0
        full = self._size > _BUFFER
        self._size -= size
        self._moved = self._connection.now
        link.send(self.number, self._take(size), end=bare and not self._size)
        if full and self._size <= _BUFFER:
            self.visit.resume()
        return size

    def _take(self, size: int) -> bytes:
        taken: list[bytes] = []
        while size:
            piece = self._pieces.popleft()
            if len(piece) > size:
                self._pieces.appendleft(piece[size:])
                piece = piece[:size]
            taken.append(piece)
            size -= len(piece)
        return taken[0] if len(taken) == 1 else b"".join(taken)

    def _over(self) -> int:
        """All is sent. What still comes of the request is of no use."""
        link = self._connection.link
        link.ended(self.number)
        link.close(self.number, ErrorCodes.NO_ERROR)
        self._connection.over(self)
        return 0

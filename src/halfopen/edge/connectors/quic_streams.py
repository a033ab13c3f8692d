"""What runs on the streams that the edge opens on a connection over QUIC: requests, and configurations."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from halfopen.edge.connectors.quic_connection import FIRST_WINDOW, STREAM_WINDOW
from halfopen.edge.exchange import BACKLOG, Exchange
from halfopen.tunnelwire.configuration import Applied, NotApplied
from halfopen.tunnelwire.exchange import Request
from halfopen.tunnelwire.quic.edge_streams import ConfigurationStream, EdgeDataStream

if TYPE_CHECKING:
    from halfopen.edge.connectors.quic import QuicLink

CONTROL: Final = 0
"""Number of the control stream."""

NOTHING: Final = 0
"""The error that is none."""


class Configuring:
    """A configuration on its way, of which `told` becomes the outcome."""

    def __init__(self, version: int, config: bytes) -> None:
        self.wire = ConfigurationStream(version, config)
        self.told: asyncio.Future[Applied | NotApplied] = asyncio.get_running_loop().create_future()

    def receive(self, data: bytes, end: bool) -> Applied | NotApplied | None:
        """The connector's answer; gives the outcome once it is known."""
        outcome = self.wire.receive(data)
        return NotApplied("ended without an answer") if end and outcome is None else outcome

    def tell(self, outcome: Applied | NotApplied) -> None:
        """This is what became of it."""
        if not self.told.done():
            self.told.set_result(outcome)


class QuicStream:
    """A request: an `exchange.Stream`."""

    __slots__ = (
        "_ended",
        "_link",
        "_number",
        "_owed",
        "_quic",
        "_willing",
        "_window",
        "_written",
        "exchange",
        "wire",
    )

    def __init__(self, link: QuicLink, number: int, request: Request, exchange: Exchange) -> None:
        self._link, self._number = link, number
        self.exchange = exchange
        self.wire = EdgeDataStream(request)
        self._owed = 0  # bytes of the answer that were not taken yet
        self._window = FIRST_WINDOW
        self._willing = True  # the visitor takes more
        self._written = 0
        self._ended = False  # the request, one way or the other
        self._quic = link.quic.stream(number)
        self._write(self.wire.opening, ends=not request.body)

    @property
    def unsent(self) -> int:
        """Bytes that wait for the connector."""
        return 0 if self._ended else self._written - int(self._quic.sender.highest_offset)

    def send(self, data: bytes, ends: bool = False) -> bool:
        """As `exchange.Stream`."""
        if self._ended:
            return True
        self._write(data, ends)
        self._link.flush()
        if self.unsent > BACKLOG:
            self._link.fill(self)
            return False
        return True

    def _write(self, data: bytes, ends: bool) -> None:
        self._written += len(data)
        self._ended = ends
        self._link.quic.send_stream_data(self._number, data, ends)

    def unwanted(self) -> None:
        """The connector takes no more of the request."""
        if not self._ended:
            self._ended = True
            self.exchange.drained()

    def came(self, size: int) -> None:
        """So much of the answer has come."""
        self._owed += size

    def received(self, data: bytes) -> None:
        """A piece of the answer."""
        self._willing = self.exchange.received(data)

    def taken(self) -> None:
        """Let more come, where the visitor has taken what came."""
        if self._willing and self._owed >= self._window // 4:
            more = min(self._owed, STREAM_WINDOW - self._window)
            self._window += more
            self._link.quic.take(self._quic, self._owed + more)
            self._owed = 0

    def resume(self) -> None:
        """As `exchange.Stream`."""
        self._willing = True
        self.taken()
        self._link.flush()

    def cancel(self) -> None:
        """As `exchange.Stream`."""
        self._link.done(self._number)
        self.close(broken=True)
        self._link.flush()

    def close(self, broken: bool) -> None:
        """Be done with it: what either side would still send is of no use."""
        if not self._ended:
            self._ended = True
            self._link.quic.reset_stream(self._number, NOTHING)
        if broken and not self._quic.receiver.is_finished:
            self._quic.receiver.stop(NOTHING)

"""The edge's end of an HTTP/2 connection. It opens the control stream at once, and a stream for each request and each configuration.

A request is Answered or Refused by headers, which come first (h2 sees to it); then come Body by data, and End, with the trailers if there are
any. A reset of its stream, or the loss of the connection, is Broken. After Refused, End or Broken nothing more comes of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import h2.events as h2

from halfopen.errors import WireError
from halfopen.tunnelwire.configuration import Applied, NotApplied
from halfopen.tunnelwire.exchange import Body, Broken, End, Kind, Refused, Reply, Request
from halfopen.tunnelwire.headers import META, Header
from halfopen.tunnelwire.http2.blocks import plain
from halfopen.tunnelwire.http2.events import ControlBytes, ControlEnded, Lost, Room
from halfopen.tunnelwire.http2.link import STREAMS, Link
from halfopen.tunnelwire.http2.marks import (
    CONFIGURATION_REQUEST,
    CONTROL_REQUEST,
    read_answer,
    read_applied,
    read_trailers,
    write_configuration,
    write_request,
)

_LAST_STREAM: Final = (1 << 31) - 1
_APPLIED: Final = 1 << 14  # bytes of an answer to a configuration


@dataclass(frozen=True)
class Replied:
    """What a request of this number is answered."""

    stream: int
    reply: Reply


@dataclass(frozen=True)
class Configured:
    """What became of a configuration that was sent on the stream of this number."""

    stream: int
    outcome: Applied | NotApplied


EdgeEvent = ControlBytes | ControlEnded | Replied | Room | Configured | Lost


class _Control:
    """The control stream. It is never broken off: the connector would serve nobody any more, and not come again."""

    ended = False


class _Configuration:
    """A stream that brings a configuration, and what of its answer has come."""

    def __init__(self) -> None:
        self.refused = False
        self.body = bytearray()


class _Exchange:
    """A request that is under way."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.trailers: tuple[Header, ...] = ()


class EdgeConnection:
    """The edge's end, on a connection that a connector has opened. Times are those of any clock that does not go back, in seconds."""

    def __init__(self, now: float) -> None:
        self._link = Link(client=True, now=now)
        self._streams: dict[int, _Control | _Configuration | _Exchange] = {}
        self._control = self._open(CONTROL_REQUEST, _Control(), body=True)

    # --- commands

    def take_outgoing(self) -> bytes:
        """What is to be sent to the connector."""
        return self._link.take_outgoing()

    def control(self, data: bytes) -> None:
        """Send bytes of an EdgeControl."""
        self._link.send_later(self._control, data)

    def capacity(self) -> int:
        """How many more requests may be sent now; 0 for ever where the numbers of streams are used up."""
        h2_link = self._link.h2
        if self._link.lost is not None or h2_link.highest_outbound_stream_id >= _LAST_STREAM - 2:
            return 0
        most = min(STREAMS, h2_link.remote_settings.max_concurrent_streams)
        return max(most - len(self._streams), 0)

    def ask(self, request: Request) -> int:
        """Send a request; gives the number of its stream. Raises WireError where there is no capacity."""
        return self._open(write_request(request), _Exchange(request.kind), request.body)

    def configure(self, version: int, config: bytes) -> int:
        """Send a configuration (JSON); gives the number of its stream. Raises WireError where there is no capacity."""
        stream = self._open(CONFIGURATION_REQUEST, _Configuration(), body=True)
        self._link.send_later(stream, write_configuration(version, config), end=True)
        return stream

    def room(self, stream: int) -> int:
        """How many bytes of a request's body may be sent now."""
        return self._link.room(stream)

    def send(self, stream: int, data: bytes, end: bool = False) -> None:
        """Send a piece of a request's body, no more than there is `room` for. Where the exchange is over it is dropped."""
        self._link.send(stream, data, end)

    def acknowledge(self, stream: int, size: int) -> None:
        """The visitor took so many bytes of the answer's body."""
        self._link.acknowledge(stream, size)

    def give_up(self, stream: int) -> None:
        """Nobody wants the answer any more."""
        self._streams.pop(stream, None)
        self._link.close(stream)

    def _open(
        self,
        headers: list[Header] | tuple[Header, ...],
        what: _Control | _Configuration | _Exchange,
        body: bool,
    ) -> int:
        if not self.capacity():
            raise WireError("a connection with as many requests as it can take")
        stream = self._link.h2.get_next_available_stream_id()
        self._link.h2.send_headers(stream, headers, end_stream=not body)
        self._link.begin(stream, sending=body)
        self._streams[stream] = what
        return stream

    # --- what comes

    def next_tick(self) -> float:
        """When `tick` is to be called."""
        return self._link.next_tick()

    def tick(self, now: float) -> list[EdgeEvent]:
        """See to it that the connector is alive."""
        return self.lose("the connector is silent") if self._link.is_silent(now) else []

    def lose(self, reason: str) -> list[EdgeEvent]:
        """The connection is gone, or is to be: everything on it is broken."""
        if self._link.lost is not None:
            return []
        self._link.lost = reason
        events: list[EdgeEvent] = []
        for stream, what in self._streams.items():
            if isinstance(what, _Exchange):
                events.append(Replied(stream, Broken(reason, lost=True)))
            elif isinstance(what, _Configuration):
                events.append(Configured(stream, NotApplied(reason)))
        self._streams.clear()
        return [*events, Lost(reason)]

    def receive(self, received: bytes, now: float) -> list[EdgeEvent]:
        """Take in what the connector sent."""
        return self._link.receive(received, now, self._on, self.lose)

    def _on(self, event: h2.Event) -> list[EdgeEvent]:
        match event:
            case h2.DataReceived(stream_id=stream, data=data):
                return self._on_data(stream, data) if data else []
            case h2.ResponseReceived(stream_id=stream, stream_ended=ended):
                if ended:
                    self._link.other_ended(stream)
                return self._on_headers(stream, plain(event.headers))
            case h2.TrailersReceived(stream_id=stream):
                return self._on_trailers(stream, plain(event.headers))
            case h2.StreamEnded(stream_id=stream):
                self._link.other_ended(stream)
                return self._on_end(stream)
            case h2.StreamReset(stream_id=stream, error_code=code):
                self._link.forget(stream)
                return self._on_broken(stream, f"broken off by the connector ({_name(code)})")
            case h2.WindowUpdated(stream_id=stream):
                return [Room(stream)]
            case h2.RemoteSettingsChanged():
                return [Room(0)]
            case h2.ConnectionTerminated(error_code=code):
                return self.lose(f"ended by the connector ({_name(code)})")
        return []

    def _on_headers(self, stream: int, headers: list[Header]) -> list[EdgeEvent]:
        match self._streams.get(stream):
            case _Exchange() as exchange:
                try:
                    answer = read_answer(headers, exchange.kind)
                except WireError as error:
                    return self._on_broken(stream, str(error))
                if isinstance(answer, Refused):
                    self.give_up(stream)
                return [Replied(stream, answer)]
            case _Configuration() as configuration:
                configuration.refused = any(name == META for name, _ in headers)
        return []

    def _on_data(self, stream: int, data: bytes) -> list[EdgeEvent]:
        match self._streams.get(stream):
            case _Exchange():
                return [Replied(stream, Body(data))]
            case _Control():
                self._link.acknowledge(stream, len(data))
                return [ControlBytes(data)]
            case _Configuration() as configuration:
                configuration.body += data
                if len(configuration.body) > _APPLIED:
                    return self._on_broken(stream, "the answer is too long")
        return []

    def _on_trailers(self, stream: int, headers: list[Header]) -> list[EdgeEvent]:
        if isinstance(exchange := self._streams.get(stream), _Exchange):
            try:
                exchange.trailers = read_trailers(headers)
            except WireError as error:
                return self._on_broken(stream, str(error))
        return []

    def _on_end(self, stream: int) -> list[EdgeEvent]:
        match self._streams.get(stream):
            case _Exchange(trailers=trailers):
                self.give_up(stream)  # what it still wants to send is of no use
                return [Replied(stream, End(trailers))]
            case _Configuration() as configuration:
                self.give_up(stream)
                return [Configured(stream, _outcome(configuration))]
            case _Control() as control if not control.ended:
                control.ended = True
                return [ControlEnded()]
        return []

    def _on_broken(self, stream: int, reason: str) -> list[EdgeEvent]:
        what = self._streams.get(stream)
        if isinstance(what, _Control):
            return self._on_end(stream)
        self.give_up(stream)
        match what:
            case _Exchange():
                return [Replied(stream, Broken(reason))]
            case _Configuration():
                return [Configured(stream, NotApplied(reason))]
        return []


def _name(code: object) -> str:
    return str(getattr(code, "name", code))


def _outcome(answer: _Configuration) -> Applied | NotApplied:
    if answer.refused:
        return NotApplied("the connector did not understand it")
    try:
        version, failed = read_applied(bytes(answer.body))
    except WireError as error:
        return NotApplied(str(error))
    return Applied(version, "the connector does not say why" if failed else "")

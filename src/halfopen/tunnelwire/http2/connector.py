"""The connector's end of an HTTP/2 connection, as cloudflared behaves: it is asked, as the server, on a connection that it has opened."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import h2.events as h2
from h2.errors import ErrorCodes

from halfopen.errors import WireError
from halfopen.tunnelwire.configuration import ConfigurationSent
from halfopen.tunnelwire.exchange import Answered, Body, Broken, End, Refused, Request
from halfopen.tunnelwire.headers import Header, check
from halfopen.tunnelwire.http2.blocks import plain
from halfopen.tunnelwire.http2.events import ControlBytes, ControlEnded, Lost, Room
from halfopen.tunnelwire.http2.link import Link
from halfopen.tunnelwire.http2.marks import (
    is_configuration,
    is_control,
    read_configuration,
    read_request,
    write_answer,
    write_applied,
)

_CONFIGURATION: Final = 1 << 21  # bytes
_BYTES: Final[Header] = (b"content-type", b"application/octet-stream")


@dataclass(frozen=True)
class ControlOpened:
    """The control stream is there."""


@dataclass(frozen=True)
class Asked:
    """A request, its body and its end, on the stream of this number."""

    stream: int
    what: Request | Body | End | Broken


@dataclass(frozen=True)
class ConfigurationCame:
    """A configuration, to be answered by `applied` on the stream of this number."""

    stream: int
    configuration: ConfigurationSent


ConnectorEvent = ControlOpened | ControlBytes | ControlEnded | Asked | ConfigurationCame | Room | Lost


class ConnectorConnection:
    """The connector's end. Times are those of any clock that does not go back, in seconds."""

    def __init__(self, now: float) -> None:
        self._link = Link(client=False, now=now)
        self._control: int | None = None
        self._configurations: dict[int, bytearray] = {}
        self._asked: set[int] = set()

    # --- commands

    def take_outgoing(self) -> bytes:
        """What is to be sent to the edge."""
        return self._link.take_outgoing()

    def control(self, data: bytes, end: bool = False) -> None:
        """Send bytes of a ConnectorControl, and end the control stream."""
        if self._control is not None:
            self._link.send_later(self._control, data, end)
            if end and not self._link.is_sending(self._control):
                self._done(self._control)

    def answer(self, stream: int, answer: Answered | Refused) -> None:
        """Answer a request: with what the origin answers, whose body follows, or with a refusal, which is all."""
        if stream in self._asked and self._link.lost is None:
            self._link.h2.send_headers(stream, write_answer(answer))
            if isinstance(answer, Refused):
                self.send(stream, b"", end=True)

    def room(self, stream: int) -> int:
        """How many bytes of an answer's body may be sent now."""
        return self._link.room(stream)

    def send(self, stream: int, data: bytes, end: bool = False) -> None:
        """Send a piece of an answer's body, no more than there is `room` for. Where the exchange is over it is dropped."""
        self._link.send(stream, data, end)
        if end:
            self._done(stream)

    def end(self, stream: int, trailers: tuple[Header, ...]) -> None:
        """End an answer, with trailers if there are any."""
        check(trailers)
        if not trailers:
            self.send(stream, b"", end=True)
        elif self._link.is_sending(stream):
            self._link.h2.send_headers(
                stream, [(name.lower(), value) for name, value in trailers], end_stream=True
            )
            self._link.ended(stream)
            self._done(stream)

    def acknowledge(self, stream: int, size: int) -> None:
        """The origin took so many bytes of a request's body."""
        self._link.acknowledge(stream, size)

    def give_up(self, stream: int) -> None:
        """The origin broke off."""
        self._asked.discard(stream)
        self._link.close(stream, ErrorCodes.INTERNAL_ERROR)

    def _done(self, stream: int) -> None:
        """All that is to be said on a stream is said; what still comes is of no use."""
        self._asked.discard(stream)
        self._link.close(stream, ErrorCodes.NO_ERROR)

    def applied(self, stream: int, version: int, failed: bool = False) -> None:
        """Answer which version of the configuration is applied now, and whether the one that came failed."""
        self._link.h2.send_headers(stream, [(b":status", b"200")])
        self._link.send_later(stream, write_applied(version, failed), end=True)

    # --- what comes

    def next_tick(self) -> float:
        """When `tick` is to be called."""
        return self._link.next_tick()

    def tick(self, now: float) -> list[ConnectorEvent]:
        """See to it that the edge is alive."""
        return self.lose("the edge is silent") if self._link.is_silent(now) else []

    def lose(self, reason: str) -> list[ConnectorEvent]:
        """The connection is gone, or is to be."""
        if self._link.lost is not None:
            return []
        self._link.lost = reason
        broken = [Asked(stream, Broken(reason)) for stream in sorted(self._asked)]
        self._asked.clear()
        return [*broken, Lost(reason)]

    def receive(self, received: bytes, now: float) -> list[ConnectorEvent]:
        """Take in what the edge sent."""
        told = self._link.receive(received, now, self._on, self.lose)
        while self._link.behind:
            told += self._link.receive(b"", now, self._on, self.lose)
        return told

    def _on(self, event: h2.Event) -> list[ConnectorEvent]:
        match event:
            case h2.RequestReceived(stream_id=stream, stream_ended=ended):
                self._link.begin(stream)
                return self._on_headers(stream, plain(event.headers), ended is not None)
            case h2.DataReceived(stream_id=stream, data=data):
                return self._on_data(stream, data) if data else []
            case h2.StreamEnded(stream_id=stream):
                self._link.other_ended(stream)
                return self._on_end(stream)
            case h2.StreamReset(stream_id=stream):
                self._link.forget(stream)
                if stream in self._asked:
                    self._asked.discard(stream)
                    return [Asked(stream, Broken("broken off by the edge"))]
            case h2.WindowUpdated(stream_id=stream):
                return [Room(stream)]
            case h2.RemoteSettingsChanged():
                return [Room(0)]
            case h2.ConnectionTerminated():
                return self.lose("ended by the edge")
        return []

    def _on_headers(self, stream: int, headers: list[Header], ended: bool) -> list[ConnectorEvent]:
        if is_configuration(headers):
            self._configurations[stream] = bytearray()
            return []
        if is_control(headers):
            self._control = stream
            self._link.h2.send_headers(stream, [(b":status", b"200"), _BYTES])
            return [ControlOpened()]
        try:
            request = read_request(headers, ended)
        except WireError:
            self.give_up(stream)
            return []
        self._asked.add(stream)
        return [Asked(stream, request)]

    def _on_data(self, stream: int, data: bytes) -> list[ConnectorEvent]:
        if stream in self._asked:
            self._link.lengths.make_up(1)
            return [Asked(stream, Body(data))]
        self._link.acknowledge(stream, len(data))
        if stream == self._control:
            return [ControlBytes(data)]
        if (configuration := self._configurations.get(stream)) is not None:
            configuration += data
            if len(configuration) > _CONFIGURATION:
                del self._configurations[stream]
                self.give_up(stream)
        return []

    def _on_end(self, stream: int) -> list[ConnectorEvent]:
        if stream in self._asked:
            return [Asked(stream, End())]
        if stream == self._control:
            return [ControlEnded()]
        if (body := self._configurations.pop(stream, None)) is None:
            return []
        try:
            return [ConfigurationCame(stream, ConfigurationSent(*read_configuration(bytes(body))))]
        except WireError:
            self._link.h2.send_headers(stream, write_answer(Refused("")), end_stream=True)
            self._link.forget(stream)
            return []

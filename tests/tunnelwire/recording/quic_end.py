"""The edge's end over QUIC: of its streams, not of its packets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from halfopen.tunnelwire.capnp import Struct
from halfopen.tunnelwire.exchange import Broken, End, Kind, Refused, Request
from halfopen.tunnelwire.http2.edge import Configured
from halfopen.tunnelwire.quic.edge_streams import ConfigurationStream, EdgeCallStream, EdgeDataStream
from halfopen.tunnelwire.quic.head import Signature
from halfopen.tunnelwire.rpc.methods import Method
from halfopen.tunnelwire.rpc.vat import Returned, Vat
from tests.tunnelwire.recording.ends import EdgeEnd, Note, Turn
from tests.tunnelwire.recording.turns import Came, Reset, Stopped

_ANY: Final = Request(Kind.HTTP, b"any")


@dataclass(frozen=True)
class Calling:
    """The connector calls the edge on a stream of its own (QUIC)."""


@dataclass(frozen=True)
class Unwanted:
    """The connector takes no more of a request (QUIC)."""


class QuicEnd(EdgeEnd):
    """As `EdgeEnd`."""

    _CONTROL: Final = 0

    def __init__(self, number: int, facts: dict[str, Any], turn: Turn, note: Note) -> None:
        super().__init__(number, facts, turn, note)
        self._next = 1
        self._streams: dict[int, EdgeDataStream | ConfigurationStream | EdgeCallStream | Vat] = {}
        self._open: set[int] = set()  # requests that have not ended
        self.outgoing: list[Came | Reset | Stopped] = []

    def open(self, data: bytes, end: bool = False) -> int:
        """Open a stream with any bytes; what it is answered is read as an answer to a request."""
        self._did(f"opens a stream with {data.hex()}" + ", which ends it" * end)
        stream = self._begin(EdgeDataStream(_ANY), data, end)
        self.flush()
        return stream

    def call(self, method: Method, params: Struct) -> int:
        """Call the connector on a stream of its own."""
        self._did(f"calls method {method.number} of {method.interface:x}")
        vat = Vat()
        vat.call(method, params)
        stream = self._begin(vat, Signature.RPC.value + vat.take_outgoing(), end=False)
        self.flush()
        return stream

    def _begin(
        self, what: EdgeDataStream | ConfigurationStream | EdgeCallStream | Vat, data: bytes, end: bool
    ) -> int:
        stream, self._next = self._next, self._next + 4
        self._streams[stream] = what
        self._open.add(stream)
        self._send(stream, data, end)
        return stream

    def _receive(self, piece: Came | Reset | Stopped) -> None:
        match piece:
            case Came(data=data, stream=self._CONTROL):
                self._hear(data)
            case Came(data=data, stream=int(stream), end=end):
                if stream % 4 == 0 and stream not in self._streams:
                    self._streams[stream] = EdgeCallStream()
                    self._open.add(stream)
                    self._tell(stream, Calling())
                self._on(stream, self._streams.get(stream), data, end)
            case Reset(stream=stream):
                if isinstance(known := self._streams.get(stream), EdgeDataStream):
                    self._on_replies(stream, known.reset())
            case Stopped(stream=stream):
                self._open.discard(stream)
                if stream in self._streams:
                    self._tell(stream, Unwanted())

    def _on(self, stream: int, known: Any, data: bytes, end: bool) -> None:
        match known:
            case EdgeDataStream():
                self._on_replies(stream, known.receive(data, end))
            case ConfigurationStream():
                if (outcome := known.receive(data)) is not None:
                    self._tell(None, Configured(stream, outcome))
                    self._send(stream, b"", end=True)
            case Vat():
                for event in known.receive(data):
                    if isinstance(event, Returned):
                        self._tell(stream, event.results)
                        self._send(stream, known.take_outgoing(), end=True)
            case EdgeCallStream():
                known.receive(data)
                self._send(stream, known.take_outgoing(), end)

    def _on_replies(self, stream: int, replies: list[Any]) -> None:
        for reply in replies:
            self._tell(stream, reply)
            if isinstance(reply, Refused | End | Broken):
                self._give_up(stream)

    def _say(self, data: bytes) -> None:
        self.outgoing.append(Came(self.number, data, self._CONTROL))

    def _ask(self, request: Request) -> int:
        wire = EdgeDataStream(request)
        return self._begin(wire, wire.opening, not request.body)

    def _send(self, stream: int, data: bytes, end: bool) -> None:
        if stream in self._open:
            self.outgoing.append(Came(self.number, data, stream, end))
            if end:
                self._open.discard(stream)

    def _give_up(self, stream: int) -> None:
        self._streams.pop(stream, None)
        if stream in self._open:
            self._open.discard(stream)
            self.outgoing.append(Reset(self.number, stream, 0))
        self.outgoing.append(Stopped(self.number, stream, 0))

    def _configure(self, version: int, config: bytes) -> None:
        wire = ConfigurationStream(version, config)
        self._begin(wire, wire.take_outgoing(), end=False)

    def _end_control(self) -> None:
        self.outgoing.append(Came(self.number, b"", self._CONTROL, end=True))

    def _reset_control(self) -> None:
        self.outgoing.append(Reset(self.number, self._CONTROL, 0))

"""The edge's end over HTTP/2."""

from __future__ import annotations

from typing import Any, Final

from h2.errors import ErrorCodes
from hyperframe.frame import GoAwayFrame

from halfopen.tunnelwire.exchange import Body, Kind, Request
from halfopen.tunnelwire.headers import Header
from halfopen.tunnelwire.http2.edge import EdgeConnection, EdgeEvent, Replied, _Exchange
from halfopen.tunnelwire.http2.events import ControlBytes, Lost, Room
from tests.tunnelwire.recording.ends import EdgeEnd, Note, Turn
from tests.tunnelwire.recording.turns import Came, Reset, Stopped


class Http2End(EdgeEnd):
    """As `EdgeEnd`."""

    _CONTROL: Final = 1

    def __init__(self, number: int, facts: dict[str, Any], turn: Turn, note: Note) -> None:
        super().__init__(number, facts, turn, note)
        self.wire = EdgeConnection(now=0)
        self._raw = b""

    def take_outgoing(self) -> bytes:
        """What is to be sent."""
        taken = self.wire.take_outgoing() + self._raw
        self._raw = b""
        return taken

    def ask_plainly(self, headers: list[Header], kind: Kind = Kind.HTTP, body: bool = False) -> int:
        """Send a request of any headers."""
        self._did(f"asks with {b' '.join(name + b'=' + value for name, value in headers).decode()}")
        stream = self.wire._open(headers, _Exchange(kind), body)
        self.flush()
        return stream

    def say_goodbye(self) -> None:
        """Send a GOAWAY, after which h2 itself would send nothing any more."""
        self._did("sends GOAWAY")
        self._raw = GoAwayFrame(stream_id=0, last_stream_id=0).serialize()
        self.flush()

    def _receive(self, piece: Came | Reset | Stopped) -> None:
        assert isinstance(piece, Came)
        for event in self.wire.receive(piece.data, now=0):
            self._on(event)

    def _on(self, event: EdgeEvent) -> None:
        match event:
            case Replied(stream=stream, reply=reply):
                if isinstance(reply, Body):
                    self.wire.acknowledge(stream, len(reply.data))
                self._tell(stream, reply)
            case ControlBytes(data=data):
                self._hear(data)
            case Lost():
                self.closed = True
                self._tell(None, event)
            case Room():
                pass
            case _:
                self._tell(None, event)

    def _say(self, data: bytes) -> None:
        self.wire.control(data)

    def _ask(self, request: Request) -> int:
        return self.wire.ask(request)

    def _send(self, stream: int, data: bytes, end: bool) -> None:
        self.wire.send(stream, data, end)

    def _give_up(self, stream: int) -> None:
        self.wire.give_up(stream)

    def _configure(self, version: int, config: bytes) -> None:
        self.wire.configure(version, config)

    def _end_control(self) -> None:
        self.wire._link.h2.end_stream(self._CONTROL)

    def _reset_control(self) -> None:
        self.wire._link.h2.reset_stream(self._CONTROL, ErrorCodes.CANCEL)

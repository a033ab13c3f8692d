"""One HTTP/2 connection to a connector, as the edge has it: the connector accepted TLS as a client, and is the HTTP/2 server.

Each stream has a window of its own for what the connector sends; that of the whole connection is given back at once, so that
a visitor who does not read holds up nobody else. What is to be sent waits here until the connector's windows let it go.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    RemoteSettingsChanged,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
    WindowUpdated,
)
from h2.exceptions import H2Error
from h2.settings import SettingCodes

Headers = Sequence[tuple[bytes, bytes]]

KIND: Final = b"cf-cloudflared-proxy-connection-upgrade"
"""The header by which a connector tells apart what a stream is for."""

WINDOW: Final = 1 << 20
"""Bytes of one stream that the connector may send before they are consumed."""

LONGEST_HEADERS: Final = 1 << 20
"""Bytes of the headers of a response: those of the origin come in base64."""

BACKLOG: Final = 1 << 18
"""Bytes of one stream that wait for the connector's window before `send` says that it is enough."""

PATIENCE: Final = 15.0
"""Seconds of silence after which a connector is pinged, and after as many more given up."""

_CONNECTION_WINDOW: Final = 1 << 24
_GIVEN_BACK: Final = 1 << 18  # bytes of the connection's window given back at a time
_FRAME: Final = 1 << 16
_CONTROL: Final = (
    (b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"edge"), (b":path", b"/"), (KIND, b"control-stream"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ControlReceived:
    """Bytes of the control stream."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Answered:
    """The headers of the answer on a stream, without pseudo-headers."""

    stream: int
    status: int
    headers: Headers


@dataclass(frozen=True, slots=True)
class Received:
    """A piece of the answer's body; `cost` is to be `consumed` once somebody has taken it."""

    stream: int
    data: bytes
    cost: int


@dataclass(frozen=True, slots=True)
class Finished:
    """The answer is whole."""

    stream: int
    trailers: Headers


@dataclass(frozen=True, slots=True)
class Broken:
    """The connector gave a stream up."""

    stream: int
    code: int


@dataclass(frozen=True, slots=True)
class Drained:
    """What waited on a stream has been sent: more may come."""

    stream: int


@dataclass(frozen=True, slots=True)
class Lost:
    """The connection is over: why."""

    reason: str


TunnelEvent = ControlReceived | Answered | Received | Finished | Broken | Drained | Lost


class _Outgoing:
    """What of one stream waits to be sent."""

    __slots__ = ("ends", "size", "waiting")

    def __init__(self) -> None:
        self.waiting: deque[memoryview] = deque()
        self.size = 0
        self.ends = False


class Http2Tunnel:
    """The connection. Bytes go in by `receive`, and are taken out by `take_outgoing`; nothing but `Lost` comes of bytes that are
    none of HTTP/2."""

    def __init__(self, now: float) -> None:
        # What is sent is made here, in the form the library would bring it into.
        configuration = H2Configuration(
            client_side=True,
            header_encoding=None,
            validate_outbound_headers=False,
            normalize_outbound_headers=False,
        )
        self._h2 = H2Connection(configuration)
        self._h2.local_settings.update(
            {
                SettingCodes.ENABLE_PUSH: 0,
                SettingCodes.INITIAL_WINDOW_SIZE: WINDOW,
                SettingCodes.MAX_HEADER_LIST_SIZE: LONGEST_HEADERS,
            }
        )
        self._h2.decoder.max_header_list_size = LONGEST_HEADERS
        self._h2.initiate_connection()
        self._h2.increment_flow_control_window(_CONNECTION_WINDOW - 65_535)
        self._taken = 0  # bytes of the connection's window not given back yet
        self._outgoing: dict[int, _Outgoing] = {}  # of each stream on which more may be sent
        self._trailers: dict[int, Headers] = {}
        self._lost = False
        self._pinged = self._heard = now
        self.control = self._open(_CONTROL)

    # --- in

    def receive(self, data: bytes, now: float) -> list[TunnelEvent]:
        """Take in what the connector sent, at the time `now` (s)."""
        if self._lost:
            return []
        self._heard = now
        found: list[TunnelEvent] = []
        try:
            for event in self._h2.receive_data(data):
                found += self._on(event)
            if self._taken >= _GIVEN_BACK:
                self._h2.increment_flow_control_window(self._taken)
                self._taken = 0
        except H2Error as error:
            found.append(self._give_up(str(error) or type(error).__name__))
        return found

    def _on(self, event: Event) -> Iterable[TunnelEvent]:
        match event:
            case DataReceived(stream_id=stream, data=data, flow_controlled_length=cost):
                self._taken += cost
                if stream == self.control:
                    self.consumed(stream, cost)
                    return [ControlReceived(data)]
                return [Received(stream, data, cost)]
            case ResponseReceived(stream_id=stream, headers=headers) if stream != self.control:
                status = next((value for name, value in headers if name == b":status"), b"502")
                return [Answered(stream, int(status), [each for each in headers if each[0][:1] != b":"])]
            case TrailersReceived(stream_id=stream, headers=headers):
                self._trailers[stream] = headers
            case StreamEnded(stream_id=stream) if stream != self.control:
                return [Finished(stream, self._trailers.pop(stream, ()))]
            case StreamReset(stream_id=stream, error_code=code):
                self._outgoing.pop(stream, None)
                if code == ErrorCodes.NO_ERROR:
                    return []  # the answer is whole, and the rest of the request not wanted
                return [Broken(stream, int(code))]
            case WindowUpdated() | RemoteSettingsChanged():
                return self._flush()
            case ConnectionTerminated(error_code=code):
                return [self._give_up(f"GOAWAY {code}")]
        return ()

    # --- out

    def take_outgoing(self) -> bytes:
        """What is to be sent to the connector."""
        return self._h2.data_to_send()

    def request(self, headers: Headers, ends: bool = False) -> int:
        """Open a stream, pseudo-headers first; gives its number."""
        return self._open(headers, ends)

    def _open(self, headers: Headers, ends: bool = False) -> int:
        stream = self._h2.get_next_available_stream_id()
        self._h2.send_headers(stream, headers, end_stream=ends)
        if not ends:
            self._outgoing[stream] = _Outgoing()
        return stream

    def send(self, stream: int, data: bytes = b"", ends: bool = False) -> bool:
        """Send a piece of a body, maybe the last; whether more is welcome now: else `Drained` says when.

        Nothing is sent on a stream that is over or whose end was sent: what happened to it was told, or will be.
        """
        outgoing = self._outgoing.get(stream)
        if outgoing is None:
            return True
        if data:
            outgoing.waiting.append(memoryview(data))
            outgoing.size += len(data)
        outgoing.ends |= ends
        self._send_waiting(stream, outgoing)
        return outgoing.size <= BACKLOG

    def consumed(self, stream: int, cost: int) -> None:
        """Let the connector send so many bytes more on a stream."""
        if not cost:  # a frame may be empty
            return
        try:
            self._h2.increment_flow_control_window(cost, stream)
        except (H2Error, KeyError):
            return  # it is over

    def cancel(self, stream: int) -> None:
        """Give a stream up."""
        self._outgoing.pop(stream, None)
        try:
            self._h2.reset_stream(stream, ErrorCodes.CANCEL)
        except (H2Error, KeyError):
            return  # it is over

    def tick(self, now: float) -> list[TunnelEvent]:
        """Look at the time (s), every some seconds: a connector that is silent is pinged, and given up if it stays so."""
        if self._lost:
            return []
        if now - self._heard > 2 * PATIENCE:
            return [self._give_up("it is silent")]
        if now - self._heard > PATIENCE and self._pinged <= self._heard:
            self._pinged = now
            self._h2.ping(b"halfopen")
        return []

    def close(self) -> None:
        """Say good-bye; what is under way ends with the connection, which is to be closed."""
        if not self._lost:
            self._lost = True
            self._h2.close_connection()

    def _send_waiting(self, stream: int, outgoing: _Outgoing) -> None:
        try:
            while outgoing.waiting:
                first = outgoing.waiting[0]
                window = min(
                    self._h2.local_flow_control_window(stream), self._h2.max_outbound_frame_size, _FRAME
                )
                if window <= 0:
                    return
                piece, rest = first[:window], first[window:]
                if len(rest):
                    outgoing.waiting[0] = rest
                else:
                    outgoing.waiting.popleft()
                outgoing.size -= len(piece)
                last = outgoing.ends and not outgoing.waiting
                self._h2.send_data(stream, piece.tobytes(), end_stream=last)
                if last:
                    del self._outgoing[stream]
                    return
            if outgoing.ends:
                self._h2.end_stream(stream)
                del self._outgoing[stream]
        except (H2Error, KeyError):
            self._outgoing.pop(stream, None)  # it is over
            outgoing.waiting.clear()
            outgoing.size = 0

    def _flush(self) -> list[TunnelEvent]:
        """Send what the windows let go, a stream after the other, the one that waits longest first."""
        drained: list[TunnelEvent] = []
        for stream, outgoing in list(self._outgoing.items()):
            if not outgoing.waiting:
                continue
            full = outgoing.size > BACKLOG
            self._send_waiting(stream, outgoing)
            if full and outgoing.size <= BACKLOG:
                drained.append(Drained(stream))
        return drained

    def _give_up(self, reason: str) -> Lost:
        self._lost = True
        self._outgoing.clear()
        return Lost(reason)

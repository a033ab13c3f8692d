"""What both ends of the HTTP/2 connection have in common: windows, waiting bytes, and whether the other end is alive.

The window of a stream is opened as its bytes are taken further, that of the connection as they arrive: who reads slowly holds up nobody else,
and no stream has more bytes here than its window.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, TypeVar

import h2.events
from h2.config import H2Configuration
from h2.connection import ConnectionState
from h2.errors import ErrorCodes
from h2.exceptions import H2Error
from h2.settings import SettingCodes, Settings

from halfopen.tunnelwire.headers import MOST
from halfopen.tunnelwire.http2.blocks import LengthlessDecoder, PlainEncoder
from halfopen.tunnelwire.http2.frames import PREFACE, FrameLengths
from halfopen.tunnelwire.http2.streams import BusyConnection

Told = TypeVar("Told")

FIRST_WINDOW: Final = 1 << 17
"""Bytes that may wait here for each stream."""

STREAM_WINDOW: Final = 1 << 19
"""The same of one that is taken from: its window doubles with each that is taken whole."""

STREAMS: Final = 1_000
"""Requests that are under way at once on one connection."""

FRAME: Final = 1 << 17
"""How long a frame may be, in bytes."""

HEADERS: Final = 2 * MOST
"""How long the headers of a stream may be, in bytes: those of the origin stand in one of them."""


@dataclass(frozen=True)
class Limits:
    """What the other end may do: `streams` at once, bytes of each that may wait here (`window`, and `grown` as it is taken from), of a `frame`
    and of a message's `headers`, and frames beyond those that what they bring and time make up for (`chatter`)."""

    streams: int
    window: int
    grown: int
    frame: int
    headers: int
    chatter: float = 10_000


OF_TUNNELS: Final = Limits(STREAMS, FIRST_WINDOW, STREAM_WINDOW, FRAME, HEADERS)
"""Between connector and edge."""

_CONNECTION_WINDOW: Final = 1 << 24
_FIRST_WINDOW: Final = 65_535  # of a connection, by the protocol

_ACKNOWLEDGED: Final = 4  # frames, and one for each KiB, by which the other end may acknowledge a frame
_MESSAGE: Final = 5  # frames that the headers of a message make up for, their own among them
_FORGIVEN: Final = 100  # frames that each second makes up for

QUIET: Final = 15.0
"""Seconds without a byte after which the other end is asked whether it is alive."""

PATIENCE: Final = 10.0
"""Seconds for which the answer is waited for."""


@dataclass(slots=True)
class _Coming:
    """What comes on a stream."""

    window: int
    taken: int = 0  # bytes by which the window is to be opened
    since: int = 0  # bytes that were taken since it grew


class Link:
    """One end. Times are those of any clock that does not go back, in seconds."""

    def __init__(self, client: bool, now: float, limits: Limits = OF_TUNNELS) -> None:
        # Headers are checked before they come here (exchange.Request, headers.check), and those that come by who reads them: h2 would
        # look at each byte of them, and end the connection for one bad request.
        self._limits = limits
        self.h2 = BusyConnection(
            H2Configuration(
                client_side=client,
                header_encoding=None,
                validate_inbound_headers=False,
                validate_outbound_headers=False,
                normalize_outbound_headers=False,
            )
        )
        settings = {
            SettingCodes.INITIAL_WINDOW_SIZE: limits.window,
            SettingCodes.MAX_FRAME_SIZE: limits.frame,
            SettingCodes.MAX_HEADER_LIST_SIZE: limits.headers,
            SettingCodes.MAX_CONCURRENT_STREAMS: limits.streams,
        }
        if client:  # an answer's length stands among the origin's headers
            settings[SettingCodes.ENABLE_PUSH] = 0
            self.h2.decoder = LengthlessDecoder()
        self.h2.local_settings = Settings(client=client, initial_values=settings)
        self.h2.max_inbound_frame_size = limits.frame
        self.h2.decoder.max_header_list_size = limits.headers
        self.h2.encoder = PlainEncoder()
        self.h2.initiate_connection()
        self.h2.increment_flow_control_window(_CONNECTION_WINDOW - _FIRST_WINDOW)
        self.lost: str | None = None
        self.lengths = FrameLengths(limits.frame, limits.headers, 0 if client else PREFACE, limits.chatter)
        self._arrived = 0  # bytes by which the window of the connection is to be opened
        self._coming: dict[int, _Coming] = {}  # on each stream that the other end has not ended
        self._waiting: dict[int, bytearray] = {}  # what is sent as the windows allow
        self._sending: set[int] = set()  # streams that this end has not ended
        self._ending: set[int] = set()  # streams that end behind what waits
        self._heard = now
        self._asked: float | None = None
        self._behind = b""

    def take_outgoing(self) -> bytes:
        """What is to be sent to the other end."""
        return self.h2.data_to_send()

    # --- life

    def next_tick(self) -> float:
        """When `tick` is to be called."""
        return self._heard + QUIET if self._asked is None else self._asked + PATIENCE

    def is_silent(self, now: float) -> bool:
        """Ask the other end whether it is alive where it is time to; True where it was asked in vain."""
        if now >= self.next_tick() and self.lost is None:
            if self._asked is not None:
                return True
            self.h2.ping(b"halfopen")
            self._asked = now
        return False

    def go_on(self) -> None:
        """Serve what is under way to its end though the other end has said that it goes: h2 takes that for the end of everything."""
        self.h2.state_machine.state = ConnectionState.SERVER_OPEN

    # --- bytes in

    def receive(
        self,
        received: bytes,
        now: float,
        on: Callable[[h2.events.Event], list[Told]],
        lose: Callable[[str], list[Told]],
    ) -> list[Told]:
        """What `on` tells of the events in one turn of bytes; where they are not HTTP/2 what `lose` tells, too, and nothing once the
        connection is lost."""
        told: list[Told] = []
        if self.lost is not None:
            return told
        try:
            for event in self.events(received, now):
                told += on(event)
        except H2Error as error:
            told += lose(f"not HTTP/2: {error}")
        return told

    @property
    def behind(self) -> bool:
        """Whether some of what came is left for another turn."""
        return bool(self._behind) and self.lost is None

    def events(self, received: bytes, now: float) -> Iterator[h2.events.Event]:
        """What one turn of bytes amounts to, those that are left before first. Raises H2Error where they are not HTTP/2, which ends the
        connection."""
        self.lengths.make_up(_FORGIVEN * (now - self._heard))
        self._heard, self._asked = now, None
        received = self._behind + received
        turn = self.lengths.watch(received)
        self._behind = received[turn:]
        for event in self.h2.receive_data(received[:turn]):
            if isinstance(event, (h2.events.RequestReceived, h2.events.ResponseReceived)):
                self.lengths.make_up(_MESSAGE)
            elif isinstance(event, h2.events.DataReceived):
                self.lengths.make_up(len(event.data) // 1024)
                self._arrived += event.flow_controlled_length
                if padding := event.flow_controlled_length - len(event.data):
                    self.acknowledge(event.stream_id, padding)
            elif isinstance(event, (h2.events.WindowUpdated, h2.events.RemoteSettingsChanged)):
                self._flush()
            yield event
        if self._arrived >= _CONNECTION_WINDOW // 4 and self.lost is None:
            self.h2.increment_flow_control_window(self._arrived)
            self._arrived = 0

    def acknowledge(self, stream: int, size: int) -> None:
        """So many bytes of a stream were taken further: as many may come."""
        coming = self._coming.get(stream)
        if coming is None or self.lost is not None:
            return
        coming.taken += size
        coming.since += size
        if coming.since >= coming.window and coming.window < self._limits.grown:
            coming.taken += coming.window
            coming.window *= 2
            coming.since = 0
        if coming.taken >= coming.window // 4:
            if self.is_open(stream):
                self.h2.increment_flow_control_window(coming.taken, stream)
            coming.taken = 0

    # --- bytes out

    def room(self, stream: int) -> int:
        """How many bytes may be sent on a stream now; none where it is over."""
        if stream in self._waiting or not self.is_sending(stream):
            return 0
        return max(self.h2.local_flow_control_window(stream), 0)

    def send(self, stream: int, data: bytes, end: bool = False) -> None:
        """Send bytes, of which there may be no more than `room`, and the end. On a stream that is over they are dropped."""
        if not self.is_sending(stream):
            return
        most = self.h2.max_outbound_frame_size
        for start in range(0, len(data), most):
            last = end and start + most >= len(data)
            self.lengths.make_up(_ACKNOWLEDGED + min(most, len(data) - start) // 1024)
            self.h2.send_data(stream, data[start : start + most], end_stream=last)
        if end:
            if not data:
                self.h2.end_stream(stream)
            self.ended(stream)

    def send_later(self, stream: int, data: bytes, end: bool = False) -> None:
        """Send bytes now or as soon as there is room. Only for what is short: nothing holds up who brings it."""
        if self.is_sending(stream):
            self._waiting.setdefault(stream, bytearray()).extend(data)
            if end:
                self._ending.add(stream)
            self._flush()

    def _flush(self) -> None:
        for stream, data in list(self._waiting.items()):
            if not self.is_open(stream):
                continue
            size = min(max(self.h2.local_flow_control_window(stream), 0), len(data))
            whole = size == len(data)
            self.send(stream, bytes(data[:size]), end=whole and stream in self._ending)
            if whole:
                del self._waiting[stream]
            else:
                del data[:size]

    # --- streams

    def begin(self, stream: int, sending: bool = True) -> None:
        """A stream is open; this end is `sending` on it."""
        self._coming[stream] = _Coming(self._limits.window)
        if sending:
            self._sending.add(stream)

    def is_sending(self, stream: int) -> bool:
        """Whether anything can be sent on a stream."""
        return stream in self._sending and self.lost is None and self.is_open(stream)

    def is_open(self, stream: int) -> bool:
        """Whether h2 has not read of its end already, of which we are told behind what came before."""
        known = self.h2.streams.get(stream)
        return known is not None and not known.closed

    def ended(self, stream: int) -> None:
        """This end has ended its part of a stream."""
        self._sending.discard(stream)

    def other_ended(self, stream: int) -> None:
        """The other end has."""
        self._coming.pop(stream, None)

    def close(self, stream: int, error: ErrorCodes = ErrorCodes.CANCEL) -> None:
        """Be done with a stream: with an error where either end has not ended its part."""
        if self.lost is None and (stream in self._coming or stream in self._sending):
            with suppress(H2Error):  # the other end was first
                self.h2.reset_stream(stream, error)
        self.forget(stream)

    def forget(self, stream: int) -> None:
        """A stream is over."""
        self._coming.pop(stream, None)
        self._waiting.pop(stream, None)
        self._sending.discard(stream)
        self._ending.discard(stream)

"""A connection of the QUIC library, with bounds of our own.

The library opens windows and lets streams come by doubling, for as long as anything arrives: whoever connects could fill the memory, and a
visitor who reads slowly would not hold up the connector.
"""

from __future__ import annotations

from typing import Any, Final

from qh3.quic.configuration import QuicConfiguration
from qh3.quic.connection import Limit, QuicConnection
from qh3.quic.stream import QuicStream

FIRST_WINDOW: Final = 1 << 17
"""Bytes that may wait here for each stream of a request, at first."""

STREAM_WINDOW: Final = 1 << 20
"""The same at most: the window grows by what is taken."""

_THEIR_WINDOW: Final = 1 << 16  # bytes that may wait here for each stream that the other end opens
_THEIR_STREAMS: Final = 16  # that the other end may open while the connection lasts
_WINDOW: Final = 1 << 24  # bytes of a connection to begin with
_IDLE: Final = 5.0  # s, as connectors have it
DATAGRAM: Final = 1_400
"""Bytes of a packet that is sent."""


def configuration(is_client: bool) -> QuicConfiguration:
    """What both ends have in common."""
    return QuicConfiguration(
        is_client=is_client,
        alpn_protocols=["argotunnel"],
        idle_timeout=_IDLE,
        max_data=_WINDOW,
        max_stream_data=FIRST_WINDOW,
        max_datagram_size=DATAGRAM,
        max_datagram_frame_size=65_536,
        probe_datagram_size=False,
    )


class BoundedStream(QuicStream):
    """A stream whose window opens as its bytes are taken."""

    __slots__ = ()

    @property
    def max_stream_data_local(self) -> int:
        """The offset up to which the other end may send."""
        allowed: int = _ALLOWED.__get__(self)
        return allowed

    @max_stream_data_local.setter
    def max_stream_data_local(self, _: int) -> None:
        """The library would double it."""

    def take(self, size: int) -> None:
        """So many bytes were taken."""
        _ALLOWED.__set__(self, _ALLOWED.__get__(self) + size)


_ALLOWED: Final = QuicStream.__dict__["max_stream_data_local"]


class _FixedLimit(Limit):
    """A limit that stays as it is."""

    @property
    def value(self) -> int:
        return self._value

    @value.setter
    def value(self, value: int) -> None:
        self._value = getattr(self, "_value", value)


class _Finished:
    """Numbers of streams that are over; kept as a set they would be all there ever were."""

    def __init__(self) -> None:
        self._below = [0, 1, 2, 3]  # by kind, all lower ones are over
        self._beyond: set[int] = set()

    def __contains__(self, number: int) -> bool:
        return number < self._below[number % 4] or number in self._beyond

    def add(self, number: int) -> None:
        kind = number % 4
        self._beyond.add(number)
        while self._below[kind] in self._beyond:
            self._beyond.remove(self._below[kind])
            self._below[kind] += 4


class BoundedConnection(QuicConnection):
    """One end of a connection."""

    def __init__(
        self,
        *,
        configuration: QuicConfiguration,
        original_destination_connection_id: bytes | None = None,
        retry_source_connection_id: bytes | None = None,
    ) -> None:
        super().__init__(
            configuration=configuration,
            original_destination_connection_id=original_destination_connection_id,
            retry_source_connection_id=retry_source_connection_id,
        )
        self._ending: set[BoundedStream] = set()  # streams of which the end is not sent yet
        self._streams_finished = _Finished()  # type: ignore[assignment]
        if not configuration.is_client:
            self._local_max_stream_data_bidi_remote = _THEIR_WINDOW
            for name in ("_local_max_streams_bidi", "_local_max_streams_uni"):
                limit = getattr(self, name)
                setattr(self, name, _FixedLimit(limit.frame_type, limit.name, _THEIR_STREAMS))

    def send_stream_data(self, stream_id: int, data: bytes, end_stream: bool = False) -> None:
        """Send data on a stream, and its end."""
        super().send_stream_data(stream_id, data, end_stream)
        if end_stream:
            self._ending.add(self.stream(stream_id))

    def datagrams_to_send(self, now: float) -> list[tuple[bytes, Any]]:
        """What is to be sent. The library takes a stream for over once all bytes of it have arrived, be its end not sent yet."""
        self._ending = {stream for stream in self._ending if not stream.sender.buffer_is_empty}
        held = [stream for stream in self._ending if stream.receiver.is_finished]
        for stream in held:
            stream.receiver.is_finished = False
        sent = super().datagrams_to_send(now)
        for stream in held:
            stream.receiver.is_finished = True
        return sent

    def is_open(self, number: int) -> bool:
        """Whether a stream is there, and not over at both ends."""
        return number in self._streams

    def is_sent(self, number: int) -> bool:
        """Whether all that was to be sent on a stream has been sent."""
        return (stream := self._streams.get(number)) is None or stream.sender.buffer_is_empty

    def stream(self, number: int) -> BoundedStream:
        """A stream that is open, or that this end opens."""
        return self._get_or_create_stream_for_send(number)

    def take(self, stream: BoundedStream, size: int) -> None:
        """So many bytes of a stream were taken: as many may come."""
        stream.take(size)
        self._streams_dirty_limits.add(stream)

    def _get_or_create_stream(self, frame_type: int, stream_id: int) -> BoundedStream:
        return _bounded(super()._get_or_create_stream(frame_type, stream_id))

    def _get_or_create_stream_for_send(self, stream_id: int) -> BoundedStream:
        return _bounded(super()._get_or_create_stream_for_send(stream_id))


def _bounded(stream: QuicStream) -> BoundedStream:
    stream.__class__ = BoundedStream
    assert isinstance(stream, BoundedStream)
    return stream

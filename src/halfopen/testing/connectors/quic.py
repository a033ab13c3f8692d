"""A connector's connection over QUIC."""

from __future__ import annotations

import asyncio
import socket
from typing import Any, Final

from qh3.asyncio._transport import create_optimized_datagram_transport
from qh3.asyncio.protocol import QuicConnectionProtocol
from qh3.quic.events import (
    ConnectionTerminated,
    HandshakeCompleted,
    QuicEvent,
    StopSendingReceived,
    StreamDataReceived,
    StreamReset,
)

from halfopen.edge.connectors import quic_connection
from halfopen.edge.connectors.quic_connection import BoundedConnection, BoundedStream
from halfopen.edge.connectors.quic_streams import CONTROL, NOTHING
from halfopen.edge.exchange import BACKLOG
from halfopen.edge.trust import NAMES
from halfopen.errors import WireError
from halfopen.testing.connectors.configuration import Configuration
from halfopen.testing.connectors.connection import Connection, Origin
from halfopen.tunnelwire.exchange import Answered, Broken, Refused
from halfopen.tunnelwire.headers import Header
from halfopen.tunnelwire.quic.connector_streams import ConnectorCallStream, ConnectorDataStream
from halfopen.tunnelwire.quic.head import Signature, take_signature
from halfopen.tunnelwire.rpc.registration import Registration

_ALIVE: Final = 1.0  # s between two signs of life


class _Stream:
    """A stream that the edge has opened."""

    def __init__(self, quic: BoundedStream) -> None:
        self.quic = quic
        self.beginning = bytearray()
        self.kind: ConnectorDataStream | ConnectorCallStream | None = None
        self.written = 0


class QuicConnection(QuicConnectionProtocol, Connection):
    """As `Connection`."""

    def __init__(
        self, quic: BoundedConnection, wish: Registration, origin: Origin, configuration: Configuration
    ) -> None:
        QuicConnectionProtocol.__init__(self, quic)
        Connection.__init__(self, wish, origin, configuration)
        self.quic = quic
        self._streams: dict[int, _Stream] = {}

    def transmit(self) -> None:
        """Send what is to be sent."""
        super().transmit()
        self.roomy()

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is closed."""
        self.gone()

    def quic_event_received(self, event: QuicEvent) -> None:
        """What the connection tells."""
        match event:
            case HandshakeCompleted():
                self._keep_alive()
                self.began()
            case StreamDataReceived(data=data, end_stream=end, stream_id=number):
                self._on_data(number, data, end)
            case StreamReset(stream_id=number) | StopSendingReceived(stream_id=number):
                if self._streams.pop(number, None) is not None:
                    self.asked(number, Broken("broken off by the edge"))
            case ConnectionTerminated():
                for number in list(self._streams):
                    self.asked(number, Broken("the connection is gone"))
                self._streams.clear()
                self.gone()
                if self._transport is not None:
                    self._transport.close()

    def _keep_alive(self) -> None:
        if not self.lost.is_set():
            self.quic.send_ping(0)
            self.flush()
            self._loop.call_later(_ALIVE, self._keep_alive)

    def _on_data(self, number: int, data: bytes, end: bool) -> None:
        if number == CONTROL:
            self.quic.take(self.quic.stream(number), len(data))
            self.heard(data)
            return
        stream = self._streams.setdefault(number, _Stream(self.quic.stream(number)))
        try:
            self._on_stream(number, stream, data, end)
        except WireError:
            self.give_up(number)

    def _on_stream(self, number: int, stream: _Stream, data: bytes, end: bool) -> None:
        if stream.kind is None:
            stream.beginning += data
            if (signature := take_signature(stream.beginning)) is None:
                return
            stream.kind = ConnectorDataStream() if signature is Signature.DATA else ConnectorCallStream()
            data = bytes(stream.beginning)
        if isinstance(stream.kind, ConnectorDataStream):
            for what in stream.kind.receive(data, end):
                if isinstance(what, Refused):
                    self.answer(number, what)
                else:
                    self.asked(number, what)
            return
        for sent in stream.kind.receive(data):
            error = self.configured(sent)
            stream.kind.applied(self.configuration.version, error)
        self.quic.send_stream_data(number, stream.kind.take_outgoing(), end)
        if end:
            del self._streams[number]

    def say(self, data: bytes, end: bool = False) -> None:
        """As `Connection`."""
        self.quic.send_stream_data(CONTROL, data, end)

    def flush(self) -> None:
        """As `Connection`."""
        self._transmit_soon()

    def close(self) -> None:
        """As `Connection`: as an end of the process would."""
        if self._transport is not None:
            self._quic.close(NOTHING)
            self.transmit()
            self._transport.close()

    def answer(self, stream: int, answer: Answered | Refused) -> None:
        """As `Connection`."""
        if (known := self._streams.get(stream)) is not None and isinstance(known.kind, ConnectorDataStream):
            self.send(stream, known.kind.answer(answer), isinstance(answer, Refused))

    def room(self, stream: int) -> int:
        """As `Connection`."""
        if (known := self._streams.get(stream)) is None:
            return 0
        return max(BACKLOG - (known.written - int(known.quic.sender.highest_offset)), 0)

    def send(self, stream: int, data: bytes, end: bool) -> None:
        """As `Connection`."""
        if (known := self._streams.get(stream)) is None:
            return
        known.written += len(data)
        self.quic.send_stream_data(stream, data, end)
        if end:
            self._done(stream)

    def end(self, stream: int, trailers: tuple[Header, ...]) -> None:
        """As `Connection`: there are no trailers."""
        self.send(stream, b"", end=True)

    def give_up(self, stream: int) -> None:
        """As `Connection`."""
        if stream in self._streams:
            self.quic.reset_stream(stream, NOTHING)
            self._done(stream)

    def acknowledge(self, stream: int, size: int) -> None:
        """As `Connection`."""
        if (known := self._streams.get(stream)) is not None:
            self.quic.take(known.quic, size)

    def _done(self, stream: int) -> None:
        known = self._streams.pop(stream)
        if not known.quic.receiver.is_finished:
            known.quic.receiver.stop(NOTHING)


async def connect(
    wish: Registration, origin: Origin, configuration: Configuration, host: str, port: int, authority: str
) -> Connection:
    """Open a connection."""
    loop = asyncio.get_running_loop()
    (family, kind, proto, _, address), *_ = await loop.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    wanted = quic_connection.configuration(is_client=True)
    wanted.server_name = NAMES[1]
    wanted.load_verify_locations(cadata=authority.encode())

    def make() -> Any:
        return QuicConnection(BoundedConnection(configuration=wanted), wish, origin, configuration)

    opened = socket.socket(family, kind, proto)
    opened.setblocking(False)
    _, protocol = await create_optimized_datagram_transport(loop, make, opened)
    assert isinstance(protocol, QuicConnection)
    protocol.connect(address)
    await protocol.wait_connected()
    return protocol

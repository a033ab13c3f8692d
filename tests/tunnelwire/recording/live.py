"""A scenario played with a connector that is there: it connects to sockets on loopback, and everything that happens is kept."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from qh3.asyncio.protocol import QuicConnectionProtocol
from qh3.quic.events import (
    ConnectionTerminated,
    HandshakeCompleted,
    QuicEvent,
    StopSendingReceived,
    StreamDataReceived,
    StreamReset,
)

from halfopen.edge.connectors.quic_connection import BoundedConnection, configuration
from halfopen.edge.connectors.quic_listener import QuicListener, listen
from halfopen.edge.trust import AUTHORITY, Trust
from tests.tunnelwire.recording.http2_end import Http2End
from tests.tunnelwire.recording.play import Play, Script
from tests.tunnelwire.recording.quic_end import QuicEnd
from tests.tunnelwire.recording.turns import Came, Closed, Noted, Opened, Reset, Stopped

PATIENCE: Final = 40.0  # s for what is waited for


class Connector(ABC):
    """Who connects, to an edge at `host`."""

    host = "127.0.0.1"

    @abstractmethod
    async def start(self, play: LivePlay, port: int, authority: Path) -> None:
        """Connect to a port of the host."""

    @abstractmethod
    async def leave(self) -> None:
        """Leave."""

    @abstractmethod
    async def note(self, name: str) -> Any:
        """As `Play.note`."""

    @abstractmethod
    async def stop(self) -> None:
        """Be gone."""


class LivePlay(Play):
    """As `Play`."""

    def __init__(self, transport: str, connector: Connector, preface: bool = True) -> None:
        super().__init__(transport)
        self._connector, self.preface = connector, preface
        self._news = asyncio.Event()
        self.sockets: set[asyncio.Transport] = set()  # of HTTP/2
        self.silent = self.over = False

    def happened(self, turn: Any) -> None:
        """As `Play`, and wake who waits."""
        if not self.over:
            super().happened(turn)
        self._news.set()

    async def turn(self) -> None:
        """As `Play`."""
        self._news.clear()
        async with asyncio.timeout(PATIENCE):
            await self._news.wait()

    async def _leave(self) -> None:
        await self._connector.leave()

    async def _fall_silent(self, seconds: float) -> None:
        self.silent = True
        await asyncio.sleep(seconds)
        self.silent = False

    async def _note(self, name: str) -> Any:
        value = await self._connector.note(name)
        self.keep(Noted(name, value))
        return value


class _Http2(asyncio.Protocol):
    """A connection over HTTP/2."""

    def __init__(self, play: LivePlay) -> None:
        self._play = play

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._play.sockets.add(transport)
        tls = transport.get_extra_info("ssl_object")
        facts = {"alpn": tls.selected_alpn_protocol(), "tls": tls.version()}
        self._number = len(self._play.ends)
        self._play.happened(Opened(self._number, facts))
        end = self._play.ends[self._number]
        assert isinstance(end, Http2End)
        self._end = end
        if self._play.preface:
            end.flush = lambda: self._transport.write(end.take_outgoing())
        end.hang_up = lambda _: self._transport.close()
        end.flush()

    def data_received(self, data: bytes) -> None:
        self._play.happened(Came(self._number, data))

    def connection_lost(self, exc: Exception | None) -> None:
        self._play.sockets.discard(self._transport)
        if not self._end.closed:
            self._play.happened(Closed(self._number))


class _Mouth(asyncio.DatagramTransport):
    """A socket that sends nothing while the edge is silent."""

    def __init__(self, transport: asyncio.DatagramTransport, play: LivePlay) -> None:
        self._transport, self._play = transport, play

    def sendto(self, data: Any, addr: Any = None) -> None:
        if not self._play.silent:
            self._transport.sendto(data, addr)


class _Quic(QuicConnectionProtocol):
    """A connection over QUIC."""

    def __init__(self, quic: BoundedConnection, play: LivePlay) -> None:
        super().__init__(quic)
        self.quic, self._play = quic, play
        self._first = 0
        self._end: QuicEnd | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.DatagramTransport)
        super().connection_made(_Mouth(transport, self._play))

    def datagram_received(self, data: Any, addr: Any) -> None:
        self._first = self._first or len(data)
        if not self._play.silent:
            super().datagram_received(data, addr)

    def quic_event_received(self, event: QuicEvent) -> None:
        match event:
            case HandshakeCompleted():
                self._open()
            case ConnectionTerminated() if self._end is not None and not self._end.closed:
                self._play.happened(Closed(self._end.number))
            case _ if self._end is not None:
                self._on(event, self._end)

    def _open(self) -> None:
        number = len(self._play.ends)
        self._play.happened(Opened(number, {"first datagram": self._first, **_parameters(self.quic)}))
        end = self._play.ends[number]
        assert isinstance(end, QuicEnd)
        self._end = end
        end.flush = self._send
        end.hang_up = self._close

    def _on(self, event: QuicEvent, end: QuicEnd) -> None:
        match event:
            case StreamDataReceived(data=data, end_stream=ends, stream_id=stream):
                if self.quic.is_open(stream):
                    self.quic.take(self.quic.stream(stream), len(data))
                self._play.happened(Came(end.number, data, stream, ends))
            case StreamReset(stream_id=stream, error_code=code):
                self._play.happened(Reset(end.number, stream, code))
            case StopSendingReceived(stream_id=stream, error_code=code):
                self._play.happened(Stopped(end.number, stream, code))

    def _send(self) -> None:
        assert self._end is not None
        for piece in self._end.outgoing:
            match piece:
                case Came(data=data, stream=int(stream), end=ends):
                    self.quic.send_stream_data(stream, data, ends)
                case Reset(stream=stream):
                    self.quic.reset_stream(stream, 0)
                case Stopped(stream=stream):
                    if self.quic.is_open(stream) and not self.quic.stream(stream).receiver.is_finished:
                        self.quic.stop_stream(stream, 0)
        self._end.outgoing.clear()
        self._transmit_soon()

    def _close(self, code: int) -> None:
        self.quic.close(code)
        self.transmit()


def _parameters(quic: BoundedConnection) -> dict[str, Any]:
    """What the connector says of itself in the handshake."""
    return {
        "connection id": len(quic._peer_cid.cid),
        "max_idle_timeout": quic._remote_max_idle_timeout,
        "initial_max_data": quic._remote_max_data,
        "initial_max_stream_data": [
            quic._remote_max_stream_data_bidi_local,
            quic._remote_max_stream_data_bidi_remote,
            quic._remote_max_stream_data_uni,
        ],
        "initial_max_streams": [quic._remote_max_streams_bidi, quic._remote_max_streams_uni],
        "max_datagram_frame_size": quic._remote_max_datagram_frame_size,
    }


@asynccontextmanager
async def listening(play: LivePlay, trust: Trust, host: str, datagrams: bool) -> AsyncIterator[int]:
    """A socket for connectors, and its port."""
    if play.transport == "http2":
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: _Http2(play), host, 0, ssl=trust.context())
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            for each in play.sockets:
                each.abort()
            while play.sockets:
                await asyncio.sleep(0)
        return
    wanted = configuration(is_client=False)
    if not datagrams:
        wanted = replace(wanted, max_datagram_frame_size=None)
    trust.renew(datetime.now(UTC))
    trust.load(wanted)
    quic = QuicListener(wanted, lambda made, _: _Quic(made, play))
    _, port = await listen(quic, host, 0)
    quic.open()
    try:
        yield port
    finally:
        quic.close()
        await asyncio.sleep(0)  # which it takes


async def play(
    script: Script,
    transport: str,
    connector: Connector,
    folder: Path,
    preface: bool = True,
    datagrams: bool = True,
) -> LivePlay:
    """Play a scenario, with certificates in a folder."""
    made = LivePlay(transport, connector, preface)
    trust = Trust(folder)
    async with AsyncExitStack() as open_:
        port = await open_.enter_async_context(listening(made, trust, connector.host, datagrams))
        await connector.start(made, port, folder / AUTHORITY)
        open_.push_async_callback(connector.stop)
        await script(made)
        made.over = True
    return made

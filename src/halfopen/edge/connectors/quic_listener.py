"""Where connectors arrive over QUIC: datagrams of one socket, each handed to its connection; new ones first prove their address."""

from __future__ import annotations

import asyncio
import hmac
import logging
import secrets
import socket
import time
from collections.abc import Callable
from functools import partial
from ipaddress import ip_address
from struct import Struct
from typing import Any, Final, cast

from qh3._hazmat import Buffer
from qh3.asyncio._transport import UDP_GRO, OptimizedDatagramTransport, enable_gro, has_gso
from qh3.asyncio.protocol import QuicConnectionProtocol
from qh3.quic.configuration import QuicConfiguration
from qh3.quic.packet import (
    QuicHeader,
    QuicPacketType,
    encode_quic_retry,
    encode_quic_version_negotiation,
    pull_quic_header,
)

from halfopen.edge.connectors.quic_connection import DATAGRAM, BoundedConnection
from halfopen.edge.seldom import SELDOM

_SHORTEST: Final = 1200  # bytes of a datagram that may begin a connection (RFC 9000, section 14.1)
_CID: Final = 8  # bytes of a connection id of ours
_TOKEN: Final = 30.0  # s for which a token is good
_GRO: Final = (socket.SOL_UDP, UDP_GRO)  # names the size of datagrams that the system has put together
_SIZE: Final = Struct("@i")
_TOLD: Final = 256  # bytes of what the system tells beside
_LONGEST: Final = 65_535  # bytes that are read at once
_BURST: Final = 32  # times that is done before others have their turn
_KEPT: Final = 1 << 22  # bytes of datagrams that wait in the socket, where the system allows as many

Address = tuple[Any, ...]


class _Tokens:
    """Tokens that show that who sends them gets what is sent to its address (RFC 9000, section 8.1.2)."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)

    def make(self, address: Address, original: bytes) -> tuple[bytes, bytes]:
        """A token, and the connection id that goes with it."""
        told = int(time.monotonic()).to_bytes(8) + original
        mark = self._mark(told, address)
        return told + mark, self._cid(mark)

    def read(self, address: Address, token: bytes) -> tuple[bytes, bytes] | None:
        """The connection id that was asked for first, and the one that goes with the token; None where it is not ours or too old."""
        told, mark = token[:-32], token[-32:]
        if len(told) < 8 or not hmac.compare_digest(mark, self._mark(told, address)):
            return None
        if time.monotonic() - int.from_bytes(told[:8]) > _TOKEN:
            return None
        return told[8:], self._cid(mark)

    def _mark(self, told: bytes, address: Address) -> bytes:
        place = ip_address(address[0]).packed + int(address[1]).to_bytes(2)
        return hmac.digest(self._key, told + place, "sha256")

    def _cid(self, mark: bytes) -> bytes:
        return hmac.digest(self._key, mark, "sha256")[:_CID]


class QuicListener(asyncio.DatagramProtocol):
    """All connections of one socket. `make` gives the protocol of a new one from a host, or None where none may come."""

    def __init__(
        self,
        configuration: QuicConfiguration,
        make: Callable[[BoundedConnection, str], QuicConnectionProtocol | None],
    ) -> None:
        self._configuration, self._make = configuration, make
        self._tokens = _Tokens()
        self._protocols: dict[bytes, QuicConnectionProtocol] = {}
        self._cids: dict[QuicConnectionProtocol, set[bytes]] = {}
        self._open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is open."""
        transport = cast(asyncio.DatagramTransport, transport)  # uvloop's are none by name
        self._transport = transport

    def error_received(self, exc: Exception) -> None:
        """Somebody is not there any more: its connection ends by itself."""

    def datagram_received(self, data: bytes, addr: Address) -> None:
        """A datagram of anybody."""
        try:
            header = pull_quic_header(Buffer(data=data), _CID)
        except ValueError:
            return
        protocol = self._protocols.get(header.destination_cid)
        if protocol is None:
            protocol = self._arrive(header, len(data), addr)
        if protocol is not None:
            try:
                protocol.datagram_received(data, addr)
            except Exception as error:
                # Whatever it was that the library did not expect: the other connections go on.
                SELDOM.tell(
                    logging.WARNING, addr[0], f"a connection over QUIC from {addr[0]} ends: {error!r}"
                )
                protocol.close()

    def open(self) -> None:
        """Take new connections from now on."""
        self._open = True

    def stop_listening(self) -> None:
        """Take no new connections."""
        self._open = False

    def close(self) -> None:
        """Close the socket."""
        self._transport.close()

    def _arrive(self, header: QuicHeader, size: int, address: Address) -> QuicConnectionProtocol | None:
        version = header.version
        if version is None or size < _SHORTEST or not self._open:
            return None
        if version not in self._configuration.supported_versions:
            answer = encode_quic_version_negotiation(
                source_cid=header.destination_cid,
                destination_cid=header.source_cid,
                supported_versions=self._configuration.supported_versions,
            )
            self._transport.sendto(answer, address)
        elif header.packet_type == QuicPacketType.INITIAL:
            if not header.token:
                self._ask(version, header, address)
            elif (known := self._tokens.read(address, header.token)) and known[1] == header.destination_cid:
                return self._begin(*known, address)
        return None

    def _ask(self, version: int, header: QuicHeader, address: Address) -> None:
        token, cid = self._tokens.make(address, header.destination_cid)
        answer = encode_quic_retry(
            version=version,
            source_cid=cid,
            destination_cid=header.source_cid,
            original_destination_cid=header.destination_cid,
            retry_token=token,
        )
        self._transport.sendto(answer, address)

    def _begin(self, original: bytes, retried: bytes, address: Address) -> QuicConnectionProtocol | None:
        connection = BoundedConnection(
            configuration=self._configuration,
            original_destination_connection_id=original,
            retry_source_connection_id=retried,
        )
        protocol = self._make(connection, address[0])
        if protocol is None:
            return None
        self._cids[protocol] = set()
        protocol._connection_id_issued_handler = partial(self._issued, protocol)
        protocol._connection_id_retired_handler = partial(self._retired, protocol)
        protocol._connection_terminated_handler = partial(self._terminated, protocol)
        for cid in (retried, connection.host_cid):
            self._issued(protocol, cid)
        protocol.connection_made(self._transport)
        return protocol

    def _issued(self, protocol: QuicConnectionProtocol, cid: bytes) -> None:
        self._protocols[cid] = protocol
        self._cids[protocol].add(cid)

    def _retired(self, protocol: QuicConnectionProtocol, cid: bytes) -> None:
        self._protocols.pop(cid, None)
        self._cids[protocol].discard(cid)

    def _terminated(self, protocol: QuicConnectionProtocol) -> None:
        for cid in self._cids.pop(protocol, ()):
            self._protocols.pop(cid, None)


class _ManyPeers(OptimizedDatagramTransport):
    """The library's transport, which takes what several peers have sent at once for one's."""

    def _recv_rust(self, state: Any) -> None:
        for _ in range(_BURST):
            try:
                data, told, _, address = self._sock.recvmsg(_LONGEST, _TOLD)
            except BlockingIOError:
                return
            except OSError:  # somebody is not there any more
                continue
            sizes = [_SIZE.unpack_from(size)[0] for level, kind, size in told if (level, kind) == _GRO]
            size = sizes[0] if sizes else len(data) or 1
            for start in range(0, len(data), size):
                self._protocol.datagram_received(data[start : start + size], address)


async def listen(listener: QuicListener, host: str, port: int) -> tuple[str, int]:
    """Open the socket; gives where. OSError where it cannot be."""
    loop = asyncio.get_running_loop()
    (family, kind, proto, _, address), *_ = await loop.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    opened = socket.socket(family, kind, proto)
    try:
        opened.setblocking(False)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _KEPT)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _KEPT)
        opened.bind(address)
    except OSError:
        opened.close()
        raise
    began = loop.create_future()
    transport = _ManyPeers(loop, opened, listener, None, enable_gro(opened), has_gso(opened), DATAGRAM)
    transport._start(began)
    await began
    bound: tuple[str, int] = opened.getsockname()[:2]
    return bound

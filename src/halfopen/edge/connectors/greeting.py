"""A connector's TCP connection before it is one of TLS: as long as that takes it counts among those that have not registered."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import Final, cast

from halfopen.edge.connectors.arrivals import Arrivals

_HANDSHAKE: Final = 10.0  # s


class Greeting(asyncio.Protocol):
    """Agrees on TLS, and hands the connection to the protocol that `make` gives."""

    def __init__(
        self, context: ssl.SSLContext, arrivals: Arrivals, make: Callable[[], asyncio.Protocol]
    ) -> None:
        self._context, self._arrivals, self._make = context, arrivals, make
        self._transport: asyncio.Transport | None = None
        self._agreeing: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Somebody has connected."""
        transport = cast(asyncio.Transport, transport)  # uvloop's are none by name
        transport.pause_reading()  # what comes is read by TLS
        self._transport = transport
        self._arrivals.come(self)
        self._agreeing = asyncio.create_task(self._agree(transport))

    def end(self, reason: str) -> None:
        """As `arrivals.Arrival`."""
        if self._transport is not None:
            self._transport.abort()

    async def _agree(self, transport: asyncio.Transport) -> None:
        protocol = self._make()
        try:
            secure = await asyncio.get_running_loop().start_tls(
                transport, protocol, self._context, server_side=True, ssl_handshake_timeout=_HANDSHAKE
            )
        except OSError:  # of TLS, too
            transport.abort()
        else:
            if secure is not None:  # which it is where the connection was lost
                protocol.connection_made(secure)
        finally:
            self._arrivals.gone(self)

"""A connector's TCP connection before it is one of TLS: as long as that takes it counts among those that have not registered."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from halfopen.edge.connectors.arrivals import Arrivals

_HANDSHAKE: Final = 10.0  # s


class Greeting:
    """Agrees on TLS over a connection, and hands it to the protocol that `make` gives."""

    def __init__(
        self,
        context: ssl.SSLContext,
        arrivals: Arrivals,
        make: Callable[[], asyncio.Protocol],
        taken: socket.socket,
        peer: str,
    ) -> None:
        self._arrivals, self._socket, self.peer = arrivals, taken, peer
        arrivals.come(self)
        self._agreeing = asyncio.create_task(self._agree(context, make))

    def end(self, reason: str) -> None:
        """As `arrivals.Arrival`."""
        self._agreeing.cancel()

    async def _agree(self, context: ssl.SSLContext, make: Callable[[], asyncio.Protocol]) -> None:
        try:
            with suppress(OSError):  # of TLS, too
                await asyncio.get_running_loop().connect_accepted_socket(
                    make, self._socket, ssl=context, ssl_handshake_timeout=_HANDSHAKE
                )
        finally:
            self._arrivals.gone(self)

"""A connector of a tunnel: as many connections as are asked for, all to one edge."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final
from uuid import uuid4

from halfopen.testing.connectors import http2, quic
from halfopen.testing.connectors.configuration import Configuration
from halfopen.testing.connectors.connection import Connection, Origin
from halfopen.tunnels.vault import RunToken
from halfopen.tunnelwire.rpc.connector_control import Rejected
from halfopen.tunnelwire.rpc.registration import Registration

VERSION: Final = "2026.8.2"
FEATURES: Final = ("allow_remote_config", "serialized_headers", "support_datagram_v2", "support_quic_eof")


class Connector:
    """A connector; the edge is trusted by its authority (PEM)."""

    def __init__(
        self,
        token: RunToken,
        origin: Origin,
        host: str,
        port: int,
        authority: str,
        transport: str = "http2",
        serving: bool = False,
    ) -> None:
        """`transport` is ``http2`` or ``quic``; it is `serving` without a configuration where it was given an origin as by ``--url``."""
        self.id = str(uuid4())
        self._origin, self._host, self._port = origin, host, port
        self._authority, self._transport = authority, transport
        self._configuration = Configuration(serving)
        self._context = ssl.create_default_context(cadata=authority)
        self._wish = Registration(
            token.account, token.secret, token.tunnel, 0, self.id, VERSION, "linux_amd64", FEATURES, "127.0.0.1"
        )  # fmt: skip

    async def connect(self, index: int = 0) -> Connection:
        """Open a connection; its `outcome` says whether the edge takes it."""
        wish = replace(self._wish, conn_index=index)
        if self._transport == "quic":
            return await quic.connect(
                wish, self._origin, self._configuration, self._host, self._port, self._authority
            )
        return await http2.connect(
            wish, self._origin, self._configuration, self._host, self._port, self._context
        )

    @asynccontextmanager
    async def connected(self, count: int = 4) -> AsyncIterator[list[Connection]]:
        """That many connections, registered; broken off afterwards."""
        made = [await self.connect(index) for index in range(count)]
        try:
            for each in made:
                told = await each.outcome
                if isinstance(told, Rejected):
                    raise ConnectionRefusedError(told.cause)
            yield made
        finally:
            for each in made:
                each.close()

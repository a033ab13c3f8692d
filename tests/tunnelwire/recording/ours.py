"""Our connector as the one of a scenario."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from halfopen.testing.connectors.connection import Connection, Exchange
from halfopen.testing.connectors.connector import Connector as OurConnector
from halfopen.tunnelwire.rpc.connector_control import Accepted
from tests.tunnelwire.recording import origin
from tests.tunnelwire.recording.cloudflared import TOKEN
from tests.tunnelwire.recording.live import Connector, LivePlay


class Ours(Connector):
    """One connection of it."""

    async def start(self, play: LivePlay, port: int, authority: Path) -> None:
        """As `Connector`."""
        self._tasks: set[asyncio.Task[None]] = set()

        async def serve(exchange: Exchange) -> None:
            await origin.ours(exchange, play.happened)

        made = OurConnector(TOKEN, serve, self.host, port, authority.read_text(), play.transport)
        self._connection = await made.connect()
        self._tasks.add(asyncio.create_task(_tell(self._connection)))

    async def leave(self) -> None:
        """As `Connector`."""
        self._tasks.add(asyncio.create_task(self._connection.leave()))

    async def note(self, name: str) -> Any:
        """As `Connector`: it has no process of its own."""

    async def stop(self) -> None:
        """As `Connector`."""
        self._connection.close()
        for task in self._tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def _tell(connection: Connection) -> None:
    """Where nobody else does, say how it is configured, as cloudflared does."""
    told = await connection.outcome
    if isinstance(told, Accepted) and not told.remotely_managed:
        config = {
            "__configuration_flags": {},
            "ingress": [{"service": "http_status:404"}],
            "warp-routing": {},
        }
        connection.tell_configuration(json.dumps(config).encode())

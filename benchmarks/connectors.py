"""Connectors of the project's own in one process, four connections each: EDGE CA PROTOCOL FILE, where the file has a token a line.

Says "registered" once all of them are, and answers what it is asked out of memory until it is ended.
"""

from __future__ import annotations

import asyncio
import resource
import sys
from pathlib import Path
from typing import Final

import uvloop

from halfopen.testing.connectors.connection import Exchange
from halfopen.testing.connectors.connector import Connector
from halfopen.tunnels.vault import RunToken
from halfopen.tunnelwire.exchange import Answered
from halfopen.tunnelwire.rpc.connector_control import Rejected

AT_ONCE: Final = 32
"""Connectors that come at once."""

EACH: Final = 4
"""Connections of a connector."""

PIECE: Final = bytes(1 << 16)


async def origin(exchange: Exchange) -> None:
    """Takes what comes, or sends as many bytes as the path says."""
    if exchange.request.body:
        async for _ in exchange.body():
            pass
        exchange.answer(Answered(201, ((b"Content-Length", b"0"),)))
        exchange.end()
        return
    size = int(exchange.request.path[1:])
    exchange.answer(Answered(200, ((b"Content-Length", b"%d" % size),)))
    for start in range(0, size, len(PIECE)):
        await exchange.send(PIECE[: size - start], end=start + len(PIECE) >= size)


async def main(edge: str, authority: str, protocol: str, tokens: list[RunToken]) -> None:
    """Connect all of them, and stay."""
    host, _, port = edge.rpartition(":")
    few = asyncio.Semaphore(AT_ONCE)
    kept = []

    async def one(token: RunToken) -> None:
        connector = Connector(token, origin, host, int(port), authority, protocol)
        async with few:
            for index in range(EACH):
                connection = await connector.connect(index)
                if isinstance(told := await connection.outcome, Rejected):
                    raise ConnectionRefusedError(told.cause)
                kept.append(connection)

    await asyncio.gather(*map(one, tokens))
    print("registered", flush=True)
    await asyncio.gather(*(each.lost.wait() for each in kept))


if __name__ == "__main__":
    _, edge, ca, protocol, file = sys.argv
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    given = [RunToken.parse(line) for line in Path(file).read_text().split()]
    uvloop.run(main(edge, Path(ca).read_text(), protocol, [each for each in given if each is not None]))

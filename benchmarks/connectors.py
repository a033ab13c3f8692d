"""Connectors of the project's own in one process, four connections each: EDGE CA PROTOCOL FILE, where the file has a token a line.

Says "registered" once all of them are, and answers what it is asked out of memory until it is ended.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Final

import uvloop

from halfopen.testing.connector import Connector, Exchange
from halfopen.tunnels.vault import RunToken
from halfopen.tunnelwire.exchange import Answered
from halfopen.tunnelwire.rpc.connector_control import Rejected

AT_ONCE: Final = 32
"""Connectors that come at once."""

EACH: Final = 4
"""Connections of a connector."""

SIZES: Final = {b"/1k": 1 << 10, b"/1m": 1 << 20}
PIECE: Final = bytes(1 << 16)


async def origin(exchange: Exchange) -> None:
    """Sends as many bytes as the path says, or takes all that comes."""
    path = exchange.request.path
    if exchange.request.body:
        async for _ in exchange.body():
            pass
    size = SIZES[path] if path in SIZES else int(path.rpartition(b"/")[2] or 0)
    exchange.answer(Answered(200, ((b"Content-Length", b"%d" % size),)))
    for start in range(0, size, len(PIECE)):
        await exchange.send(PIECE[: size - start], end=start + len(PIECE) >= size)
    if not size:
        exchange.end()


async def main(edge: str, authority: str, tokens: list[RunToken]) -> None:
    """Connect all of them, and stay."""
    host, _, port = edge.rpartition(":")
    few = asyncio.Semaphore(AT_ONCE)
    kept = []

    async def one(token: RunToken) -> None:
        connector = Connector(token, origin, host, int(port), authority)
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
    _, edge, ca, _, file = sys.argv
    given = [RunToken.parse(line) for line in Path(file).read_text().split()]
    uvloop.run(main(edge, Path(ca).read_text(), [each for each in given if each is not None]))

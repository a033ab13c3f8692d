"""Connections of a known mix: real clients and servers, a middlebox between them, and what is true of each."""

from __future__ import annotations

import asyncio
import random
import socket
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from ipaddress import ip_network
from typing import Final, cast

from halfopen.model import STAGES
from halfopen.testing.middlebox import FATES, Depth, Fate, Middlebox, address_of
from halfopen.testing.namespaces import Namespace
from halfopen.testing.payloads import client_hello
from halfopen.testing.play import reset, socket_of
from halfopen.testing.testbed import CLIENT_NETS, TestBed

PORT: Final = 443
TOGETHER: Final = 100
"""Connections open at once."""

_PATIENCE: Final = 0.5
"""Seconds that a client waits for an answer that never comes before it gives up."""

_LONG: Final = 10.0
"""Seconds that it waits for one that is to come: a machine may be busy."""

_ANSWER: Final = b"answered"


class Mix:
    """Servers of all fates in a test bed, and clients that connect to them; `truth` counts what became of them."""

    def __init__(self, bed: TestBed, seed: int = 1) -> None:
        self.truth: Counter[Fate] = Counter()
        self._bed = bed
        self._random = random.Random(seed)
        self._listener = _socket(bed.server, "::", PORT)
        self._listener.listen(1024)

    def close(self) -> None:
        """Listen no more."""
        self._listener.close()

    @property
    def stages(self) -> dict[str, int]:
        """Connections by stage."""
        found = dict.fromkeys((stage.name for stage in STAGES), 0)
        for fate, count in self.truth.items():
            found[fate.stage.name] += count
        return found

    def play(self, count: int, fates: Sequence[Fate] = FATES, *, sizes: Iterable[int] | None = None) -> None:
        """So many connections more, their fates by chance, each as likely as its size says (default: all equally)."""
        chosen = self._random.choices(fates, None if sizes is None else list(sizes), k=count)
        asyncio.run(self._play(chosen))

    async def _play(self, chosen: list[Fate]) -> None:
        taken: list[_Server] = []

        def made() -> _Server:
            taken.append(_Server())
            return taken[-1]

        listener = self._listener.dup()
        server = await asyncio.get_running_loop().create_server(made, sock=listener, backlog=1024)
        waiting = iter(chosen)
        async with server:
            await asyncio.gather(*(self._clients(waiting) for _ in range(TOGETHER)))
        for each in taken:
            each.leave()
        await asyncio.sleep(0)  # closed is what was closed a turn of the loop before

    async def _clients(self, waiting: Iterator[Fate]) -> None:
        for fate in waiting:
            ipv6 = self._random.random() < 0.25
            net = ip_network(self._random.choice([net for net in CLIENT_NETS if (":" in net) == ipv6]))
            host = str(net[self._random.randrange(1, min(net.num_addresses - 1, 1 << 32))])
            self.truth[fate] += 1
            await _visit(_socket(self._bed.client, host), address_of(fate, ipv6=ipv6), fate.depth)


@contextmanager
def mix(bed: TestBed) -> Iterator[Mix]:
    """A mix behind a middlebox."""
    with Middlebox(bed):
        made = Mix(bed)
        try:
            yield made
        finally:
            made.close()


async def _visit(client: socket.socket, server: str, cut: Depth | None) -> None:
    """Connect, ask twice, and leave; or, where it is `cut`, give up with a RST."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(5):
            await loop.sock_connect(client, (server, PORT))
        for depth, words in ((Depth.DATA, client_hello("cut.example")), (Depth.MORE_DATA, b"and again")):
            async with asyncio.timeout(_LONG if cut is None or depth < cut else _PATIENCE):
                await loop.sock_sendall(client, words)
                await loop.sock_recv(client, len(_ANSWER))
        client.close()
    except (TimeoutError, OSError):
        reset(client)


class _Server(asyncio.Protocol):
    """Answers whatever it is told, and leaves when the client does."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._transport.write(_ANSWER)

    def leave(self) -> None:
        """Close what the client has left open."""
        self._transport.abort()


def _socket(namespace: Namespace, host: str, port: int = 0) -> socket.socket:
    made = socket_of(namespace, host)
    made.setblocking(False)
    if host == "::":
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    made.bind((host, port))
    return made

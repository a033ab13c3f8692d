"""Where somebody comes in over TCP: connections are handed on as they come, before anything of them is read.

A server of the loop reads at once, so that who looks at who comes before TLS is agreed on could lose its first bytes.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import Final

from halfopen.edge.seldom import SELDOM

Address = tuple[str, int]


def spoken(address: Address) -> str:
    """An address as one writes it."""
    host, port = address
    return f"{f'[{host}]' if ':' in host else host}:{port}"


Taking = Callable[[socket.socket, str], None]
"""Takes a connection, and the address it comes from."""

_BACKLOG: Final = 1024
_AT_ONCE: Final = 64  # connections that are taken before others have their turn
_PAUSE: Final = 0.2  # s without taking any where the system has nothing left for one more


class Door:
    """Has an address, which `bind` gives, and listens there once it is open."""

    def __init__(self, take: Taking, options: tuple[tuple[int, int, int], ...] = ()) -> None:
        """`options` are those of the sockets that are taken: level, option, value."""
        self._take, self._options = take, options
        self._loop = asyncio.get_running_loop()
        self._sockets: list[socket.socket] = []

    async def bind(self, host: str, port: int) -> Address:
        """Take an address; gives which. OSError where one cannot listen there."""
        found = await self._loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        try:
            for family, kind, protocol, _, address in dict.fromkeys(found):
                listener = socket.socket(family, kind, protocol)
                self._sockets.append(listener)
                listener.setblocking(False)
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                for option in ((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1), *self._options):
                    listener.setsockopt(*option)  # who is taken inherits it
                listener.bind(address)
        except OSError:
            self.close()
            raise
        bound: Address = self._sockets[0].getsockname()[:2]
        return bound

    def open(self) -> None:
        """Let in who comes from now on. OSError where somebody else has begun to listen there."""
        for listener in self._sockets:
            listener.listen(_BACKLOG)
            self._loop.add_reader(listener, self._accept, listener)

    def close(self) -> None:
        """Let nobody in any more."""
        for listener in self._sockets:
            self._loop.remove_reader(listener)
            listener.close()
        self._sockets.clear()

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(_AT_ONCE):
            try:
                taken, peer = listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                SELDOM.tell(logging.WARNING, "door", f"nobody can be let in just now: {error.strerror}")
                self._loop.remove_reader(listener)
                self._loop.call_later(_PAUSE, self._resume, listener)
                return
            taken.setblocking(False)
            self._take(taken, peer[0])

    def _resume(self, listener: socket.socket) -> None:
        if listener in self._sockets:
            self._loop.add_reader(listener, self._accept, listener)

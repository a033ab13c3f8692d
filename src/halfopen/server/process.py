"""The server as a process: application and HTTP in one, until it is told to stop."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server.embed import Server

from halfopen import descriptors
from halfopen.server.app import create

MOST: Final = 8192
"""Connections that are served at once; further ones wait until one of them ends."""

_OTHER_FILES: Final = 1024  # of store, databases and log

_ARENA_MAX: Final = -8
"""M_ARENA_MAX of mallopt(3)."""

PATIENCE: Final = 5.0
"""Seconds for which a stop waits for answers and commits under way."""

_LOOK: Final = 0.02
"""Seconds between two looks at whether the server listens."""


def serve(address: str, port: int, headers_within: float, listening: Callable[[], None]) -> None:
    """Serve the application of the environment's settings; a request's headers must come within so many seconds.

    `listening` is called once connections are taken.
    """
    _share_arenas()
    connections = descriptors.allow(MOST, _OTHER_FILES)
    server = Server(
        create(),
        address=address,
        port=port,
        interface=Interfaces.ASGI,
        websockets=False,
        backlog=connections,
        backpressure=connections,
        http=HTTPModes.http1,  # who may choose the version has no limit of time before it did
        http1_settings=HTTP1Settings(header_read_timeout=round(headers_within * 1000)),
        log_level=LogLevels.error,  # it warns of itself: experimental
    )
    asyncio.run(_served(server, address, port, listening))


def _share_arenas() -> None:
    # Else glibc keeps freed memory for each of some forty threads apart: twice the memory after many questions.
    if hasattr(libc := ctypes.CDLL(None), "mallopt"):
        libc.mallopt(_ARENA_MAX, 2)


async def _served(server: Server, address: str, port: int, listening: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, _stop, server)
    told = asyncio.create_task(_tell(address, port, listening))
    await server.serve()
    told.cancel()


async def _tell(address: str, port: int, listening: Callable[[], None]) -> None:
    # The server has no hook for it: its own is called before it listens.
    while True:
        with suppress(OSError):
            _, opened = await asyncio.open_connection(address, port)
            opened.close()
            return listening()
        await asyncio.sleep(_LOOK)


def _stop(server: Server) -> None:
    # Not of the loop: threads may be waited for after its end.
    last = threading.Timer(PATIENCE, os._exit, (0,))
    last.daemon = True
    last.start()
    server.stop()  # type: ignore[no-untyped-call]

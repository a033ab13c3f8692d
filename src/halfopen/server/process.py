"""The server as a process: application and HTTP in one, until it is told to stop."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import threading
from typing import Final

from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server.embed import Server

from halfopen.server.app import create

_ARENA_MAX: Final = -8
"""M_ARENA_MAX of mallopt(3)."""

PATIENCE: Final = 5.0
"""Seconds for which a stop waits for answers and commits under way."""


def serve(host: str, port: int, headers_within: float) -> None:
    """Serve the application of the environment's settings; a request's headers must come within so many seconds."""
    _share_arenas()
    server = Server(
        create(),
        address=host,
        port=port,
        interface=Interfaces.ASGI,
        websockets=False,
        http=HTTPModes.http1,  # who may choose the version has no limit of time before it did
        http1_settings=HTTP1Settings(header_read_timeout=round(headers_within * 1000)),
        log_level=LogLevels.error,  # it warns of itself: experimental
    )
    asyncio.run(_served(server))


def _share_arenas() -> None:
    # Else glibc keeps freed memory for each of some forty threads apart: twice the memory after many questions.
    if hasattr(libc := ctypes.CDLL(None), "mallopt"):
        libc.mallopt(_ARENA_MAX, 2)


async def _served(server: Server) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, _stop, server)
    await server.serve()


def _stop(server: Server) -> None:
    # Not of the loop: threads may be waited for after its end.
    last = threading.Timer(PATIENCE, os._exit, (0,))
    last.daemon = True
    last.start()
    server.stop()  # type: ignore[no-untyped-call]

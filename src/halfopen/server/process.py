"""The server as a process: application and HTTP in one, until it is told to stop."""

from __future__ import annotations

import asyncio
import ctypes
import os
import threading
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, Final

import uvloop
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server.embed import Server

from halfopen.api.access import FAULTS
from halfopen.dashboard.events import Events
from halfopen.descriptors import allow
from halfopen.edge.metrics import EdgeMetrics
from halfopen.edge.registry import OverError
from halfopen.edge.running import RunningEdge, told_to_stop
from halfopen.server.app import create
from halfopen.server.upkeep import EVERY
from halfopen.server.vitals import Vitals
from halfopen.tunnels.installation import Installation

MOST: Final = 8192
"""Connections that are served at once; further ones wait until one of them ends."""

_OTHER_FILES: Final = 1024  # of store, databases and log

_ARENA_MAX: Final = -8
"""M_ARENA_MAX of mallopt(3)."""

PATIENCE: Final = 5.0
"""Seconds for which a stop waits for answers and commits under way, once the edge has ended."""

_LOOK: Final = 0.02
"""Seconds between two looks at whether the server listens."""


Begin = Callable[[Installation, EdgeMetrics], Awaitable[RunningEdge]]
"""Begins an edge that is to run in the server's process."""


def serve(
    address: str, port: int, headers_within: float, listening: Callable[[], None], begin: Begin | None = None
) -> None:
    """Serve the application of the environment's settings; a request's headers must come within so many seconds.

    `listening` is called once connections are taken. With `begin` an edge runs beside it: what that raises, this raises.
    """
    _share_arenas()
    connections = allow(MOST, _OTHER_FILES)
    metrics = EdgeMetrics()
    made = create(EVERY, *([metrics.registry] if begin is not None else []))
    server = Server(
        made,
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

    async def whole() -> None:
        edge = await begin(made.state.installation, metrics) if begin is not None else None
        made.state.way = edge and edge.way
        await _served(server, edge, _tell(address, port, listening), made.state.vitals, made.state.events)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(whole())


def _share_arenas() -> None:
    # Else glibc keeps freed memory for each of some forty threads apart: twice the memory after many questions.
    if hasattr(libc := ctypes.CDLL(None), "mallopt"):
        libc.mallopt(_ARENA_MAX, 2)


async def _served(
    server: Server,
    edge: RunningEdge | None,
    tell: Coroutine[Any, Any, None],
    vitals: Vitals,
    events: Events,
) -> None:
    told = asyncio.create_task(tell)
    ended = asyncio.create_task(_end(server, edge, told_to_stop(), vitals, events))
    await server.serve()
    told.cancel()
    await ended


async def _end(
    server: Server, edge: RunningEdge | None, stop: asyncio.Event, vitals: Vitals, events: Events
) -> None:
    """Once told to stop: first the edge, which takes its time for requests under way while the API is there, then the server."""
    try:
        if edge is None:
            await stop.wait()
        else:
            await _be(edge, stop, vitals)
    finally:
        events.end()
        _stop(server)


async def _be(edge: RunningEdge, stop: asyncio.Event, vitals: Vitals) -> None:
    try:
        await edge.serve(stop)
    except OverError as error:
        FAULTS.error("this server is an edge no more, and answers the API alone: %s", error)
        vitals.lose("edge")
        await stop.wait()


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

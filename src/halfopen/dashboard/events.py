"""Server-sent events: the pages are told that something has changed, and look again. What has, they ask the API."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Final

from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from halfopen.api.access import FAULTS
from halfopen.dashboard.visits import Visit, Visits
from halfopen.errors import HalfopenError

_PAUSE: Final = 1.0
"""Seconds between two looks."""

_COMMENT: Final = 15.0
"""Seconds of silence after which a comment is sent: proxies end connections that say nothing."""

_MOST: Final = 256
"""Pages that are told at once; further ones are asked to come again later."""

Version = Callable[[], Awaitable[str]]
"""A text that is another one whenever something has changed."""


class Events:
    """Looks at versions, by name, as long as anybody listens."""

    def __init__(self, versions: Mapping[str, Version]) -> None:
        self._versions = versions
        self._listeners: set[asyncio.Queue[str]] = set()
        self._watch: asyncio.Task[None] | None = None

    def route(self, visits: Visits) -> Route:
        """Where they are heard."""
        return Route("/events", visits.signed_in(self._heard), methods=["GET"])

    async def _heard(self, visit: Visit) -> Response:
        if len(self._listeners) >= _MOST:
            return Response("too many pages are open", 503, {"retry-after": "30"}, media_type="text/plain")
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        return StreamingResponse(self._stream(), headers=headers, media_type="text/event-stream")

    async def _stream(self) -> AsyncIterator[str]:
        told: asyncio.Queue[str] = asyncio.Queue(len(self._versions) * 4)
        self._listeners.add(told)
        if self._watch is None:
            self._watch = asyncio.create_task(self._look())
        try:
            yield "retry: 3000\n\n"
            while True:
                try:
                    async with asyncio.timeout(_COMMENT):
                        name = await told.get()
                    yield f"event: {name}\ndata: changed\n\n"
                except TimeoutError:
                    yield ": still here\n\n"
        finally:
            self._listeners.discard(told)

    async def _look(self) -> None:
        known: dict[str, str] = {}
        while self._listeners:
            for name, version in self._versions.items():
                try:
                    found = await version()
                except HalfopenError as error:
                    FAULTS.error("what pages are told of %s: %s", name, error)
                    continue
                if known.setdefault(name, found) != found:
                    known[name] = found
                    self._tell(name)
            await asyncio.sleep(_PAUSE)
        self._watch = None

    def _tell(self, name: str) -> None:
        for each in self._listeners:
            with suppress(asyncio.QueueFull):  # it has enough to look at
                each.put_nowait(name)

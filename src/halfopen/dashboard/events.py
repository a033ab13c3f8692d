"""Server-sent events: the pages are told that something has changed, and look again. What has, they ask the API."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Final

from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from halfopen.api.access import FAULTS
from halfopen.dashboard.visits import Visit, Visits

_PAUSE: Final = 1.0
"""Seconds between two looks."""

_COMMENT: Final = 15.0
"""Seconds of silence after which a comment is sent: proxies end connections that say nothing."""

_MOST: Final = 256
"""Pages that are told at once; further ones are asked to come again later."""

Version = Callable[[], Awaitable[str]]
"""A text that is another one whenever something has changed."""


class _Listener:
    """A page, and what it is to be told."""

    def __init__(self) -> None:
        self.due: set[str] = set()
        self.over = False
        self.woken = asyncio.Event()

    def tell(self, name: str) -> None:
        """Tell of something that has changed."""
        self.due.add(name)
        self.woken.set()

    def end(self) -> None:
        """Tell nothing any more."""
        self.over = True
        self.woken.set()


class Events:
    """Looks at versions, by name, as long as anybody listens."""

    def __init__(self, versions: Mapping[str, Version]) -> None:
        self._versions = versions
        self._listeners: set[_Listener] = set()
        self._watch: asyncio.Task[None] | None = None
        self._over = False

    def route(self, visits: Visits) -> Route:
        """Where they are heard."""
        return Route("/events", visits.signed_in(self._heard), methods=["GET"])

    def end(self) -> None:
        """Let nobody listen any more: a server that is to stop waits for its answers."""
        self._over = True
        for each in self._listeners:
            each.end()

    async def _heard(self, visit: Visit) -> Response:
        if self._over or len(self._listeners) >= _MOST:
            words = "the server stops" if self._over else "too many pages are open"
            return Response(
                words, 503, {"retry-after": "30", "cache-control": "no-store"}, media_type="text/plain"
            )
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        return StreamingResponse(self._stream(), headers=headers, media_type="text/event-stream")

    async def _stream(self) -> AsyncIterator[str]:
        listener = _Listener()
        self._listeners.add(listener)
        if self._watch is None:
            self._watch = asyncio.create_task(self._look())
        try:
            yield "retry: 3000\n\n"
            while not listener.over:
                try:
                    async with asyncio.timeout(_COMMENT):
                        await listener.woken.wait()
                except TimeoutError:
                    yield ": still here\n\n"
                listener.woken.clear()
                while listener.due:
                    yield f"event: {listener.due.pop()}\ndata: changed\n\n"
        finally:
            self._listeners.discard(listener)

    async def _look(self) -> None:
        known: dict[str, str] = {}
        failing: set[str] = set()
        while self._listeners:
            for name, version in self._versions.items():
                try:
                    found = await version()
                except Exception as error:  # whatever it is, the pages listen on
                    if name not in failing:
                        FAULTS.error("what pages are told of %s: %s", name, error)
                    failing.add(name)
                    continue
                failing.discard(name)
                if known.setdefault(name, found) != found:
                    known[name] = found
                    for each in self._listeners:
                        each.tell(name)
            await asyncio.sleep(_PAUSE)
        self._watch = None

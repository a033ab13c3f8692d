"""Scenes beside an edge that runs: in one process with the registry, and over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from halfopen.accounts.permissions import EDGE_REPORT
from halfopen.edge.exchange import Exchange
from halfopen.edge.holdings import Holding, Holdings
from halfopen.edge.metrics import EdgeMetrics
from halfopen.edge.registry import FarRegistry, OwnRegistry, Registry
from halfopen.tunnels.installation import Installation
from halfopen.tunnels.registrations import Registered
from halfopen.tunnels.vault import RunToken
from halfopen.tunnelwire.configuration import Applied, NotApplied
from halfopen.tunnelwire.exchange import Request
from tests.serving import running
from tests.tunnels.world import asked

Place = tuple[Installation, Callable[[], Registry]]


class Wire:
    """A connection of a connector that notes what is done to it."""

    transport = "http2"

    def __init__(self) -> None:
        self.closed = asyncio.Event()
        self.pushed: list[int] = []

    @property
    def load(self) -> int:
        return 0

    def open(self, request: Request, exchange: Exchange) -> None:
        return None

    def close(self) -> None:
        self.closed.set()

    async def push(self, version: int, config: Mapping[str, Any]) -> Applied | NotApplied:
        self.pushed.append(version)
        return Applied(version, "")


class Scene:
    """An installation, an edge of it that runs, and what it takes to look at both."""

    def __init__(self, here: Installation, far: Registry) -> None:
        self.here, self.registry = here, far
        self.account = here.accounts.every_account()[0].id
        self.metrics = EdgeMetrics()
        self.holdings = Holdings(far, self.metrics)

    async def connect(
        self, token: RunToken, index: int = 0, connector: str | None = None
    ) -> tuple[Wire, Holding]:
        wire = Wire()
        answer, holding = await self.holdings.register(asked(token, index, connector), wire)
        assert isinstance(answer, Registered), answer
        assert holding is not None
        return wire, holding

    def listed(self, tunnel: str) -> set[str]:
        found = self.here.tunnels.connectors(self.account, tunnel)
        return {link.id for connector in found for link in connector.links}

    async def clean_up(self, tunnel: str) -> None:
        await asyncio.to_thread(self.here.tunnels.clean_up, self.account, tunnel)


@contextmanager
def installed(data: Path, far: bool) -> Iterator[tuple[Installation, Callable[[], Registry]]]:
    """An installation with an edge, and how that reaches the registry."""
    data.mkdir(mode=0o700)
    with closing(Installation(data)) as here:
        edge = here.edges.enrol("ams-1", "ams01")
        key, _ = here.accounts.create_token([EDGE_REPORT], edge="ams-1")
        if far:
            with running(data) as url:
                yield here, lambda: FarRegistry(url, "ams-1", key)
        else:
            yield here, lambda: OwnRegistry(here, edge)


def play(
    place: tuple[Installation, Callable[[], Registry]],
    scene: Callable[[Scene], Awaitable[None]],
    wrapped: Callable[[Registry], Registry] = lambda each: each,
) -> None:
    """Run a scene beside an edge that runs."""

    async def whole() -> None:
        here, far = place
        reached = far()
        stage = Scene(here, wrapped(reached))
        edge = asyncio.create_task(whole_life(stage.holdings))
        try:
            async with asyncio.timeout(30):
                await scene(stage)
        finally:
            edge.cancel()
            with suppress(asyncio.CancelledError):
                await edge
            await close(reached)

    asyncio.run(whole())


async def whole_life(held: Holdings) -> None:
    await held.begin()
    await held.run()


async def close(reached: Registry) -> None:
    if isinstance(reached, FarRegistry):
        await reached.close()


async def until(true: Callable[[], bool]) -> None:
    while not true():
        await asyncio.sleep(0.02)

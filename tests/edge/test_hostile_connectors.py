"""What one connector does or says keeps no other waiting, whatever it is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any
from uuid import uuid4

import pytest

from halfopen.edge import holdings
from halfopen.edge.exchange import Exchange
from halfopen.edge.holdings import Holding, Holdings
from halfopen.edge.metrics import EdgeMetrics
from halfopen.edge.registry import AWAY, AwayError
from halfopen.tunnels.desk import Pushed, RoutingResult
from halfopen.tunnels.edge_routes import NewsResult
from halfopen.tunnels.registrations import Refused, Registered, Registration
from halfopen.tunnels.traffic import Passed
from halfopen.tunnelwire.configuration import Applied, NotApplied
from halfopen.tunnelwire.exchange import Request


class Told:
    """A registry that notes what it is told, and answers as it is set to."""

    def __init__(self) -> None:
        self.reports: list[dict[str, Any]] = []
        self.asked: list[str] = []
        self.silent = self.away = False
        self.version = 0

    async def begin(self) -> str:
        return "ams01"

    async def heartbeat(self, held: Collection[str]) -> list[str]:
        return []

    async def register(self, asked: Sequence[Registration]) -> list[Registered | Refused]:
        if self.silent:
            await asyncio.sleep(60)
        self.asked += [each.account for each in asked]
        return [Registered(str(uuid4()), bool(self.version)) for _ in asked]

    async def depart(self, ids: Collection[str], lost: bool) -> None:
        pass

    async def report(
        self, connection: str, applied: int | None = None, configuration: dict[str, Any] | None = None
    ) -> None:
        if self.away:
            raise AwayError("away")
        self.reports.append({"applied": applied, "configuration": configuration})

    async def traffic(self, passed: Sequence[Passed], within: float) -> None:
        pass

    async def news(self, routing: int) -> NewsResult:
        await asyncio.sleep(0.01 if routing < 0 else 60)
        return NewsResult((), 1)

    async def routing(self, since: int) -> RoutingResult:
        return RoutingResult(1, {}, {}, True)

    async def configurations(self, tunnels: Collection[str]) -> Mapping[str, Pushed]:
        return {tunnel: Pushed(self.version, {}) for tunnel in tunnels}


class Wire:
    """A connection that answers what is pushed by the next of its outcomes."""

    transport = "quic"
    load = 0

    def __init__(self, *outcomes: Applied | NotApplied) -> None:
        self.outcomes = list(outcomes)
        self.pushed: list[int] = []

    def open(self, request: Request, exchange: Exchange) -> None:
        return None

    def close(self) -> None:
        pass

    async def push(self, version: int, config: Mapping[str, Any]) -> Applied | NotApplied:
        self.pushed.append(version)
        return self.outcomes.pop(0)


def wish(account: str = "a" * 32, **other: Any) -> Registration:
    told = {"version": "1", "arch": "linux_amd64", "features": (), "origin_ip": "192.0.2.1"} | other
    return Registration(account, str(uuid4()), b"secret", str(uuid4()), told.pop("conn_index", 0), **told)


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holdings, "_PAUSE", 0.02)


def play(scene: Callable[[Holdings, Told], Awaitable[None]], told: Told) -> None:
    async def whole() -> None:
        held = Holdings(told, EdgeMetrics())
        await held.begin()
        running = asyncio.create_task(held.run())
        try:
            async with asyncio.timeout(20):
                await scene(held, told)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    asyncio.run(whole())


async def until(true: Callable[[], object]) -> None:
    while not true():
        await asyncio.sleep(0.01)


async def taken(held: Holdings, wire: Wire) -> Holding:
    _, holding = await held.register(wish(), wire)
    assert holding is not None
    return holding


def test_of_a_flood_of_configurations_the_registry_hears_the_newest() -> None:
    async def scene(held: Holdings, told: Told) -> None:
        holding = await taken(held, Wire())
        for number in range(10_000):
            held.reported(holding, {"n": number})
        await until(lambda: told.reports and told.reports[-1]["configuration"] == {"n": 9_999})
        assert len(told.reports) <= 2

    play(scene, Told())


def test_what_a_connector_says_is_told_once_the_registry_is_back() -> None:
    async def scene(held: Holdings, told: Told) -> None:
        told.away = True
        holding = await taken(held, Wire())
        held.reported(holding, {"n": 1})
        await asyncio.sleep(0.1)
        told.away = False
        await until(lambda: told.reports)
        assert told.reports[0]["configuration"] == {"n": 1}

    play(scene, Told())


def test_a_configuration_is_handed_on_until_the_connector_has_it() -> None:
    async def scene(held: Holdings, told: Told) -> None:
        told.version = 3
        wire = Wire(NotApplied("no answer"), NotApplied("no answer"), Applied(3, ""))
        await taken(held, wire)
        await until(lambda: told.reports)
        assert wire.pushed == [3, 3, 3]
        assert told.reports[0]["applied"] == 3

    play(scene, Told())


def test_a_configuration_that_the_connector_does_not_take_is_not_handed_on_again() -> None:
    async def scene(held: Holdings, told: Told) -> None:
        told.version = 3
        wire = Wire(Applied(2, "the last rule must match everything"))
        await taken(held, wire)
        await until(lambda: told.reports)
        await asyncio.sleep(0.1)
        assert wire.pushed == [3]
        assert told.reports[0]["applied"] == 2

    play(scene, Told())


@pytest.mark.parametrize(
    "odd",
    [
        {"account": "a" * 33},
        {"version": "1" * 65},
        {"features": ("f" * 65,)},
        {"features": ("f",) * 65},
        {"conn_index": 256},
        {"arch": "a\nb"},
    ],
)
def test_what_no_registry_would_take_is_refused_before_it_is_asked(odd: dict[str, Any]) -> None:
    async def scene(held: Holdings, told: Told) -> None:
        sound = asyncio.create_task(held.register(wish(), Wire()))
        refused, holding = await held.register(wish(**odd), Wire())
        assert isinstance(refused, Refused)
        assert holding is None
        assert isinstance((await sound)[0], Registered)
        assert told.asked == ["a" * 32]

    play(scene, Told())


def test_a_registration_is_answered_though_the_registry_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holdings, "_DECIDED", 0.1)

    async def scene(held: Holdings, told: Told) -> None:
        told.silent = True
        answers = await asyncio.gather(*(held.register(wish(), Wire()) for _ in range(3)))
        assert answers == [(Refused(AWAY), None)] * 3

    play(scene, Told())

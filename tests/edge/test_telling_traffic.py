"""What edges tell the registry of the traffic of hostnames: in one process, and over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from types import NoneType
from typing import Any, cast
from uuid import uuid4

import pytest

from halfopen.edge import holdings
from halfopen.edge.metrics import NOWHERE, Route
from halfopen.edge.registry import AwayError, FarRegistry, Registry
from halfopen.tunnels.traffic import Passed, Sums
from tests.edge.scene import Place, Scene, play, until

pytestmark = pytest.mark.usefixtures("short")


class Older:
    """A registry behind a server that does not know what it is told of traffic, until it is renewed."""

    def __init__(self, inner: Registry) -> None:
        self.inner, self.renewed, self.asked = inner, asyncio.Event(), 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    async def traffic(self, passed: Sequence[Passed], within: float) -> None:
        self.asked += 1
        if self.renewed.is_set():
            return await self.inner.traffic(passed, within)
        if isinstance(self.inner, FarRegistry):
            await self.inner._ask("POST", "/not-known-yet", NoneType, {})
        raise AwayError("away")


def of_hostname(stage: Scene, tunnel: str) -> dict[str, int]:
    return {each.hostname: each.sums.requests for each in stage.here.traffic.of(tunnel)}


async def lead(stage: Scene, *names: str) -> str:
    """A tunnel to which hostnames lead."""
    with suppress(Exception):
        stage.here.hostnames.add_zone(stage.account, "example.com")
    tunnel, _ = stage.here.tunnels.create(stage.account, f"a-{uuid4()}", "cloudflare")
    rules = [{"hostname": name, "service": "http://localhost:1"} for name in names]
    config = {"ingress": [*rules, {"service": "http_status:404"}]}
    stage.here.configurations.put(stage.account, tunnel.id, config)
    await until(lambda: all(stage.holdings.route(name) for name in names))
    return tunnel.id


def test_what_passes_is_told_again_and_again_and_once_more_at_the_end(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holdings, "TELL", 0.05)
    monkeypatch.setattr(holdings, "_AT_ONCE", 2)

    async def scene(stage: Scene) -> None:
        names = [f"{name}-{uuid4()}.example.com" for name in "abc"]
        tunnel = await lead(stage, *names)
        for number in range(12):
            stage.metrics.request(Route(names[number % 3], tunnel), 200 if number else None, 10, 20, 0.25)
            await asyncio.sleep(0.01)
        stage.metrics.request(NOWHERE, 404, 0, 0, 0.0)
        await until(lambda: of_hostname(stage, tunnel) == dict.fromkeys(names, 4))
        first = next(each for each in stage.here.traffic.of(tunnel) if each.hostname == names[0])
        assert first.sums == Sums({"2xx": 3, "closed": 1}, 40, 80, 1.0)
        monkeypatch.setattr(holdings, "TELL", 60.0)
        await asyncio.sleep(0.1)
        stage.metrics.request(Route(names[0], tunnel), 502, 0, 0, 0.0)
        await stage.holdings.leave()
        assert of_hostname(stage, tunnel)[names[0]] == 5

    play(place, scene)


def test_a_server_that_knows_nothing_of_traffic_is_told_once_it_does(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holdings, "TELL", 0.02)
    monkeypatch.setattr(holdings, "_LONGEST_TELL", 0.05)

    async def scene(stage: Scene) -> None:
        older = cast(Older, stage.registry)
        name = f"a-{uuid4()}.example.com"
        tunnel = await lead(stage, name)
        stage.metrics.request(Route(name, tunnel), 200, 1, 1, 0.1)
        await until(lambda: older.asked > 2)
        assert of_hostname(stage, tunnel) == {}
        _, token = stage.here.tunnels.create(stage.account, f"a-{uuid4()}")
        await stage.connect(token)
        older.renewed.set()
        await until(lambda: of_hostname(stage, tunnel) == {name: 1})

    play(place, scene, lambda inner: cast(Registry, Older(inner)))

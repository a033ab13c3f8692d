"""What an edge holds, and what it and the registry tell each other: in one process, and over HTTP."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from halfopen.edge import holdings
from halfopen.edge.holdings import Holdings
from halfopen.edge.metrics import EdgeMetrics
from halfopen.edge.registry import AWAY, AwayError, FarRegistry, OverError, Registry
from halfopen.errors import DatabaseError
from halfopen.tunnels.installation import Installation
from halfopen.tunnels.registrations import Refused, Registered, Registration
from tests.edge.scene import Place, Scene, Wire, close, installed, play, until, whole_life
from tests.serving import running
from tests.tunnels.world import asked

CONFIG = {
    "ingress": [
        {"hostname": "app.example.com", "service": "http://localhost:1"},
        {"service": "http_status:404"},
    ]
}

pytestmark = pytest.mark.usefixtures("short")


async def patiently(ask: Callable[[], Awaitable[object]]) -> None:
    """Ask until the registry has time: tests before this one may have used up what an address is granted."""
    for _ in range(100):
        try:
            await ask()
        except AwayError:
            await asyncio.sleep(0.1)
        else:
            return
    raise TimeoutError


def test_what_is_held_is_listed_until_it_has_left(place: Place) -> None:
    async def scene(stage: Scene) -> None:
        tunnel, token = stage.here.tunnels.create(stage.account, f"a-{uuid4()}")
        connector = str(uuid4())
        held = [await stage.connect(token, index, connector) for index in range(4)]
        assert stage.listed(tunnel.id) == {holding.id for _, holding in held}
        assert stage.holdings.links(tunnel.id) == [holding for _, holding in held]
        assert stage.holdings.colo == "ams01"
        for _, holding in held:
            stage.holdings.left(holding, lost=False)
        await until(lambda: not stage.listed(tunnel.id))
        assert stage.holdings.links(tunnel.id) == []

    play(place, scene)


def test_what_breaks_off_is_pending(place: Place) -> None:
    async def scene(stage: Scene) -> None:
        tunnel, token = stage.here.tunnels.create(stage.account, f"a-{uuid4()}")
        _, holding = await stage.connect(token)
        stage.holdings.left(holding, lost=True)

        def pending() -> bool:
            (connector,) = stage.here.tunnels.connectors(stage.account, tunnel.id)
            return connector.links[0].lost is not None

        await until(pending)

    play(place, scene)


def test_what_may_not_be_is_refused_in_the_registrys_words(place: Place) -> None:
    async def scene(stage: Scene) -> None:
        _, token = stage.here.tunnels.create(stage.account, f"a-{uuid4()}")
        answer, holding = await stage.holdings.register(asked(token, secret=b"x" * 32), Wire())
        assert (answer, holding) == (Refused("Unauthorized: Invalid tunnel secret"), None)

    play(place, scene)


def test_a_clean_up_closes_what_is_held_and_waits_for_it(place: Place) -> None:
    async def scene(stage: Scene) -> None:
        tunnel, token = stage.here.tunnels.create(stage.account, f"a-{uuid4()}")
        held = [await stage.connect(token, index) for index in range(4)]
        await stage.clean_up(tunnel.id)
        assert all(wire.closed.is_set() for wire, _ in held)
        assert stage.holdings.links(tunnel.id) == []

    play(place, scene)


class Deaf:
    """A registry of which no news arrive."""

    def __init__(self, inner: Registry) -> None:
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    async def news(self, routing: int) -> Any:
        await asyncio.Event().wait()


def test_what_news_did_not_tell_the_next_heartbeat_does(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holdings, "HEARTBEAT", 0.2)

    async def scene(stage: Scene) -> None:
        tunnel, token = stage.here.tunnels.create(stage.account, f"a-{uuid4()}")
        wire, _ = await stage.connect(token)
        await stage.clean_up(tunnel.id)
        await wire.closed.wait()
        assert not stage.listed(tunnel.id)

    play(place, scene, Deaf)


def test_configurations_are_handed_on_and_hostnames_route(place: Place) -> None:
    async def scene(stage: Scene) -> None:
        here = stage.here
        tunnel, token = here.tunnels.create(stage.account, f"a-{uuid4()}", "cloudflare")
        with suppress(Exception):
            here.hostnames.add_zone(stage.account, "example.com")
        wire, _ = await stage.connect(token)
        first = here.configurations.put(stage.account, tunnel.id, CONFIG).version
        await until(lambda: wire.pushed == [first])
        await until(lambda: stage.holdings.route("app.example.com") == ("app.example.com", tunnel.id))
        assert stage.holdings.route("other.example.com") is None
        late, _ = await stage.connect(token, 1)
        await until(lambda: late.pushed == [first])
        assert (
            here.configurations.put(stage.account, tunnel.id, CONFIG).version == first
        )  # the same is no news
        other = {**CONFIG, "originRequest": {"noTLSVerify": True}}
        second = here.configurations.put(stage.account, tunnel.id, other).version
        await until(lambda: wire.pushed == late.pushed == [first, second])

        def applied() -> bool:
            found = here.tunnels.connectors(stage.account, tunnel.id)
            return {each.config_version for each in found} == {second}

        await until(applied)

    play(place, scene)


class Noting:
    """A registry that notes what it is asked of routing and configurations."""

    def __init__(self, inner: Registry) -> None:
        self.inner = inner
        self.since: list[int] = []
        self.asked: list[set[str]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    async def routing(self, since: int) -> Any:
        self.since.append(since)
        return await self.inner.routing(since)

    async def configurations(self, tunnels: Collection[str]) -> Any:
        self.asked.append(set(tunnels))
        return await self.inner.configurations(tunnels)


def test_routing_comes_by_what_has_changed_and_who_registers_costs_only_its_own(place: Place) -> None:
    async def scene(stage: Scene) -> None:
        here, noting = stage.here, stage.registry
        assert isinstance(noting, Noting)
        with suppress(Exception):
            here.hostnames.add_zone(stage.account, "example.com")
        tunnel, token = here.tunnels.create(stage.account, f"a-{uuid4()}", "cloudflare")
        name = f"{tunnel.id}.example.com"
        rules = [{"hostname": name, "service": "http://localhost:1"}, {"service": "http_status:404"}]
        here.configurations.put(stage.account, tunnel.id, {"ingress": rules})
        await until(lambda: stage.holdings.route(name) == (name, tunnel.id))
        before = len(noting.since)
        for index in range(3):
            wire, _ = await stage.connect(token, index)
            await until(lambda wire=wire: wire.pushed == [1])  # type: ignore[misc]
        assert noting.asked == [{tunnel.id}] * 3
        assert len(noting.since) == before
        here.configurations.put(stage.account, tunnel.id, {"ingress": rules[1:]})
        await until(lambda: stage.holdings.route(name) is None)
        await until(lambda: wire.pushed == [1, 2])
        assert noting.since[0] == -1
        assert -1 not in noting.since[1:]
        assert len(noting.asked) == 3

    play(place, scene, Noting)


def test_what_a_connector_says_of_itself_is_kept(place: Place) -> None:
    async def scene(stage: Scene) -> None:
        tunnel, token = stage.here.tunnels.create(stage.account, f"a-{uuid4()}")
        _, holding = await stage.connect(token)
        stage.holdings.reported(holding, CONFIG)
        await until(lambda: stage.here.configurations.get(stage.account, tunnel.id).config == CONFIG)

    play(place, scene)


def test_another_process_of_the_edge_ends_this_one(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holdings, "HEARTBEAT", 0.2)

    async def whole() -> None:
        _, far = place
        first, second = far(), far()
        edge = asyncio.create_task(whole_life(Holdings(first, EdgeMetrics())))
        await asyncio.sleep(0.5)
        await patiently(second.begin)
        with pytest.raises(OverError, match="another process is the edge ams-1 now"):
            await edge
        await close(first)
        await close(second)

    asyncio.run(whole())


class Flaky:
    """A registry that is away until it is asked for the third time."""

    def __init__(self, inner: Registry) -> None:
        self.inner, self.left = inner, 2

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    async def begin(self) -> str:
        self._miss()
        return await self.inner.begin()

    async def register(self, asked: Sequence[Registration]) -> list[Registered | Refused]:
        self._miss()
        return await self.inner.register(asked)

    async def heartbeat(self, held: Collection[str]) -> list[str]:
        return await self.inner.heartbeat(held)

    def _miss(self) -> None:
        self.left -= 1
        if self.left >= 0:
            raise AwayError("nobody there")


def test_a_registry_that_is_away_is_asked_again_and_registrations_are_refused_for_now(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holdings, "_PAUSES", (0.05,))

    async def scene(stage: Scene) -> None:
        _, token = stage.here.tunnels.create(stage.account, f"a-{uuid4()}")
        await until(lambda: stage.holdings.colo == "ams01")
        assert isinstance(stage.registry, Flaky)
        stage.registry.left = 1
        answer, _ = await stage.holdings.register(asked(token), Wire())
        assert answer == Refused(AWAY)
        await stage.connect(token)

    play(place, scene, Flaky)


class Gone:
    """A registry that is away while `gone`."""

    def __init__(self, inner: Registry) -> None:
        self.inner, self.gone = inner, False
        self.missed: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Any:
        async def ask(*given: Any) -> Any:
            if self.gone:
                self.missed[name] += 1
                raise AwayError("nobody there")
            return await getattr(self.inner, name)(*given)

        return ask


def test_an_outage_is_told_once_by_all_who_ask(
    place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(holdings, "_PAUSES", (0.02,))
    monkeypatch.setattr(holdings, "HEARTBEAT", 0.02)

    async def scene(stage: Scene) -> None:
        await until(lambda: stage.holdings.colo == "ams01")
        assert isinstance(stage.registry, Gone)
        caplog.clear()
        stage.registry.gone = True
        missed = stage.registry.missed
        await until(lambda: missed["heartbeat"] > 2 and missed["news"] > 2)
        stage.registry.gone = False
        await until(lambda: "the registry is back" in caplog.messages)

    with caplog.at_level("WARNING", "halfopen.edge"):
        play(place, scene, Gone)
    told = [each.partition(",")[0] for each in caplog.messages]
    assert told == ["the registry is away", "the registry is back"]


@pytest.mark.parametrize("far", [False, True])
def test_an_edge_that_is_revoked_is_none_any_more(tmp_path: Path, far: bool) -> None:
    async def whole(here: Installation, reached: Registry) -> None:
        held = Holdings(reached, EdgeMetrics())
        edge = asyncio.create_task(whole_life(held))
        await until(lambda: held.colo == "ams01")
        await asyncio.to_thread(here.edges.revoke, "ams-1")
        try:
            with pytest.raises(OverError, match="edge ams-1 was revoked"):
                async with asyncio.timeout(20):
                    await edge
        finally:
            await close(reached)

    with installed(tmp_path / "data", far) as (here, reach):
        asyncio.run(whole(here, reach()))


def test_a_key_that_is_none_and_a_server_that_is_none_are_told_and_not_waited_for(tmp_path: Path) -> None:
    async def refused(url: str, words: str) -> None:
        far = FarRegistry(url, "ams-1", "x" * 40)
        with pytest.raises(OverError, match=words):
            await Holdings(far, EdgeMetrics()).begin()
        await far.close()

    with running(tmp_path) as url:
        asyncio.run(refused(url, f"the server at {url} does not know the key of edge ams-1"))
        asyncio.run(refused(f"{url}/elsewhere", "there is no server that edges report to"))


def test_a_server_that_is_not_there_is_away() -> None:
    async def whole() -> None:
        far = FarRegistry("http://127.0.0.1:9", "ams-1", "x" * 40)
        with pytest.raises(AwayError, match=r"127\.0\.0\.1:9"):
            await far.begin()
        await far.close()

    asyncio.run(whole())


def test_a_database_that_fails_is_a_registry_that_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise DatabaseError("halfopen", "database is locked")

    async def whole(reached: Registry) -> None:
        with pytest.raises(AwayError, match="database is locked"):
            await reached.begin()

    with installed(tmp_path / "data", far=False) as (here, own):
        monkeypatch.setattr(here.registry, "begin", fail)
        asyncio.run(whole(own()))

"""The registry beside a plain model of it, through whatever edges, connectors and operators may do, in any order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from uuid import UUID

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from halfopen.tunnels.records import status_of
from halfopen.tunnels.registrations import Registered
from halfopen.tunnels.registry import GRACE, LEASE
from halfopen.tunnels.sessions import Session, SessionError
from tests.databases.database import Database
from tests.tunnels.world import World, asked

NAMES = ("ams-1", "par-1")
TUNNELS = 2
UNDERWAY = 30  # s, for which an edge may not know yet that it holds a connection
MOMENTS = (1, UNDERWAY - 1, LEASE, GRACE - 1, GRACE)

CONNECTORS = (str(UUID(int=1)), str(UUID(int=2)))

EDGES = st.sampled_from(NAMES)
PLACES = st.tuples(st.sampled_from(range(TUNNELS)), st.sampled_from(CONNECTORS), st.integers(0, 1))


@dataclass
class Link:
    """A connection that an edge holds, or has not closed yet; times in whole seconds."""

    place: tuple[int, str, int]
    edge: str
    opened: int
    lost: int | None = None
    dead: bool = False


@dataclass
class Edge:
    """What an edge's process is, and the ids it holds itself."""

    session: Session
    alive: int | None
    holds: set[str] = field(default_factory=set)


class Machine(RuleBasedStateMachine):
    """Everything that is done is done to both; what is listed must be the same."""

    world: World

    def __init__(self) -> None:
        super().__init__()
        self.registry = self.world.here.registry
        self.now = 0
        self.links: dict[str, Link] = {}
        self.ended: set[str] = set()  # ids that must never be listed again
        self.ran = [False] * TUNNELS
        self.edges: dict[str, Edge] = {}

    # --- the model

    def end(self, ids: Iterable[str]) -> None:
        for each in list(ids):
            self.links.pop(each, None)
            self.ended.add(each)

    def of(self, edge: str) -> dict[str, Link]:
        return {name: link for name, link in self.links.items() if link.edge == edge}

    def let_go(self, edge: str, since: int) -> None:
        for name, link in self.of(edge).items():
            if link.dead:
                self.end([name])
            elif link.lost is None:
                link.lost = since

    def sweep(self) -> None:
        for name, edge in self.edges.items():
            if edge.alive is not None and edge.alive <= self.now:
                self.let_go(name, edge.alive)
                edge.alive = None
        self.end(
            name
            for name, link in self.links.items()
            if link.lost is not None and link.lost <= self.now - GRACE
        )

    # --- what edges do

    @initialize()
    def start(self) -> None:
        self.tunnels = [self.world.tunnel(f"tunnel {number}") for number in range(TUNNELS)]
        for name in NAMES:
            self.restart(name, False)

    @rule(name=EDGES, remembers=st.booleans())
    def restart(self, name: str, remembers: bool) -> None:
        """A new process, which may speak of what the one before it held."""
        before = self.edges.get(name)
        self.let_go(name, self.now if before is None or before.alive is None else min(before.alive, self.now))
        holds = before.holds if before and remembers else set()
        self.edges[name] = Edge(self.world.edge(name), self.now + LEASE, holds)
        if before:
            for speak in (self.registry.heartbeat, self.registry.unregister):
                with pytest.raises(SessionError):
                    speak(before.session, list(self.links))

    @rule(name=EDGES, places=st.lists(PLACES, min_size=1, max_size=3, unique=True), arrives=st.booleans())
    def register(self, name: str, places: list[tuple[int, str, int]], arrives: bool) -> None:
        """Connections in places where others may be; the answer may be lost."""
        edge = self.edges[name]
        wanted = [asked(self.tunnels[tunnel][1], index, connector) for tunnel, connector, index in places]
        told = self.registry.register(edge.session, wanted)
        for place, answer in zip(places, told, strict=True):
            assert isinstance(answer, Registered)
            for before, link in list(self.links.items()):
                if link.place == place and not link.dead:
                    self.ended.add(before)
                    link.dead = True
                    if link.lost is not None:
                        self.end([before])
            # Of an edge whose lease is over they are pending until its next heartbeat.
            lost = self.now if edge.alive is None else None
            self.links[answer.connection] = Link(place, name, self.now, lost)
            if arrives:
                edge.holds.add(answer.connection)

    @rule(name=EDGES, closes=st.booleans())
    def heartbeat(self, name: str, closes: bool) -> None:
        """What is held, dead ids among it; the edge closes what it is told, or is not there any more to do so."""
        edge = self.edges[name]
        told = set(self.registry.heartbeat(edge.session, edge.holds))
        edge.alive = self.now + LEASE
        known = self.of(name)
        assert told == {each for each in edge.holds if each not in known or known[each].dead}
        for each, link in known.items():
            if each in edge.holds:
                link.lost = None
            elif link.opened <= self.now - UNDERWAY:
                if link.dead:
                    self.end([each])
                elif link.lost is None:
                    link.lost = self.now
        if closes:
            edge.holds -= told

    @rule(name=EDGES, data=st.data())
    def forget(self, name: str, data: st.DataObject) -> None:
        """Connections break off, and the edge says nothing of it."""
        self.edges[name].holds -= data.draw(_some(self.edges[name].holds))

    @rule(name=EDGES, data=st.data(), lost=st.booleans())
    def unregister(self, name: str, data: st.DataObject, lost: bool) -> None:
        """Connections leave in order, or break off."""
        edge = self.edges[name]
        ids = data.draw(_some(edge.holds | self.of(name).keys()))
        self.registry.unregister(edge.session, ids, lost)
        edge.holds -= ids
        for each in ids & self.of(name).keys():
            if lost and not self.links[each].dead:
                self.links[each].lost = self.now
            else:
                self.end([each])

    # --- what others do

    @rule(number=st.sampled_from(range(TUNNELS)), connector=st.sampled_from([None, *CONNECTORS]))
    def clean_up(self, number: int, connector: str | None) -> None:
        """Of a connector or all; nobody waits here."""
        tunnel, _ = self.tunnels[number]
        self.world.here.tunnels.clean_up(tunnel.account, tunnel.id, connector)
        for name, link in list(self.links.items()):
            if link.place[0] == number and connector in (None, link.place[1]) and not link.dead:
                self.ended.add(name)
                link.dead = True
                if link.lost is not None:
                    self.end([name])

    @rule(seconds=st.sampled_from(MOMENTS))
    def later(self, seconds: int) -> None:
        """Time passes."""
        self.now += seconds
        self.world.later(seconds)

    # --- what everybody sees

    @invariant()
    def same(self) -> None:
        """Lists, status and times, and what edges are to close; looking lets go of what is over."""
        self.sweep()
        for number, (tunnel, _) in enumerate(self.tunnels):
            its = {
                name: link for name, link in self.links.items() if link.place[0] == number and not link.dead
            }
            found = self.world.get(tunnel)
            listed = self.world.links(tunnel)
            assert listed == {name: link.lost is not None for name, link in its.items()}
            assert listed == {link.id: link.lost is not None for link in found.links}
            assert not listed.keys() & self.ended
            live = sum(link.lost is None for link in its.values())
            self.ran[number] |= live > 0
            assert found.status == status_of(live, self.ran[number])
            assert (found.active is not None, found.inactive is None) == (live > 0, live > 0)
        for name, edge in self.edges.items():
            told = self.registry.news(edge.session, -1, 0).close
            assert set(told) == {each for each, link in self.of(name).items() if link.dead}

    def teardown(self) -> None:
        """Leave nothing that the next run would meet: it has the same edges."""
        for tunnel, _ in getattr(self, "tunnels", ()):
            self.world.here.tunnels.delete(tunnel.account, tunnel.id, cascade=True)


def _some(ids: Iterable[str]) -> st.SearchStrategy[set[str]]:
    return st.sets(st.sampled_from(sorted(ids))) if ids else st.just(set())


def test_it_does_what_its_model_does(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("halfopen.tunnels.catalogue.CLOSED_WITHIN", 0)

    class Here(Machine):
        world = World(database.data, database.url, monkeypatch)

    checks = list(HealthCheck)
    examples = 10 if database.url else 40
    run_state_machine_as_test(
        Here,
        settings=settings(max_examples=examples, stateful_step_count=30, deadline=None, database=None, suppress_health_check=checks),
    )  # fmt: skip
    Here.world.here.close()

"""Edges that wait for news: woken by what concerns them, wherever it happens, and by nothing else."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from typing import Any

import pytest
from sqlalchemy import Engine, event, select

from halfopen.database.database import Database
from halfopen.tunnels.installation import Installation
from halfopen.tunnels.registry import News
from halfopen.tunnels.schema import EDGES
from halfopen.tunnels.sessions import Session, SessionError
from tests.databases import database as databases
from tests.tunnels.test_hostnames import config
from tests.tunnels.world import World

ENOUGH = 20.0  # s, never waited for


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(thread_name_prefix="waits") as made:
        yield made


@pytest.fixture
def asked() -> Iterator[Counter[str]]:
    """How many statements each thread has sent to the database."""
    found: Counter[str] = Counter()

    def sent(*_: Any) -> None:
        found[threading.current_thread().name] += 1

    event.listen(Engine, "before_cursor_execute", sent)
    yield found
    event.remove(Engine, "before_cursor_execute", sent)


def waits(threads: ThreadPoolExecutor, here: Installation, session: Session) -> Future[News]:
    """An edge that waits for news, by the time this returns."""
    routing = here.registry.news(session, -1, 0).routing
    waiting = threads.submit(here.registry.news, session, routing, time.monotonic() + ENOUGH)
    time.sleep(0.3)
    assert not waiting.done()
    return waiting


def test_who_waits_asks_nothing_while_others_register_and_live(
    world: World, threads: ThreadPoolExecutor, asked: Counter[str]
) -> None:
    waiting, busy = world.edge("ams-1"), world.edge("par-1")
    tunnel, token = world.tunnel()
    _, other = world.tunnel("other")
    held = world.connect(waiting, token)
    told = waits(threads, world.here, waiting)
    before = asked["waits_0"]
    assert before
    connector = "3c0b1c1e-9d7b-4d7c-8a57-3b8d7a6b0f11"
    for _ in range(5):
        ids = world.connect(busy, other, connector=connector)  # each time those before are replaced
        world.here.registry.heartbeat(busy, ids)
        world.here.registry.heartbeat(waiting, held)
        time.sleep(0.05)
    time.sleep(0.3)
    assert asked["waits_0"] == before
    assert not told.done()
    threads.submit(world.here.tunnels.clean_up, world.account, tunnel.id)
    assert set(told.result(ENOUGH).close) == set(held)
    world.here.registry.unregister(waiting, held)


@pytest.mark.parametrize("change", [
    lambda world: world.here.configurations.put(world.account, world.tunnel()[0].id, config()),
    lambda world: world.here.edges.revoke("edge-1"),
    lambda world: world.edge("edge-1"),
    lambda world: world.here.close(),
])  # fmt: skip
def test_what_concerns_an_edge_wakes_it(
    world: World, threads: ThreadPoolExecutor, change: Callable[[World], object]
) -> None:
    told = waits(threads, world.here, world.edge())
    started = time.monotonic()
    change(world)
    with suppress(SessionError):
        told.result(ENOUGH)
    assert time.monotonic() - started < ENOUGH / 2


def test_nobody_waits_for_a_heartbeat_to_hear_the_news(world: World, database: databases.Database) -> None:
    session = world.edge()
    with database.connection() as heartbeat, ThreadPoolExecutor() as threads:
        heartbeat.execute(select(EDGES).where(EDGES.c.id == session.edge).with_for_update())
        assert threads.submit(world.here.registry.news, session, -1, 0).result(5).close == ()


def test_a_clean_up_at_one_server_is_news_at_another(
    world: World, database: databases.Database, threads: ThreadPoolExecutor
) -> None:
    with closing(Installation(database.data, database.url)) as there:
        session = world.edge()
        tunnel, token = world.tunnel()
        ids = world.connect(session, token)
        told = waits(threads, world.here, session)
        cleaning = threads.submit(there.tunnels.clean_up, world.account, tunnel.id)
        assert set(told.result(ENOUGH).close) == set(ids)
        assert not cleaning.done()
        started = time.monotonic()
        world.here.registry.unregister(session, ids)
        cleaning.result(ENOUGH)
        assert time.monotonic() - started < 4  # it was told, and did not wait for its time to be up


def test_a_lost_notification_costs_a_slow_look(
    world: World, threads: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def deaf(_: object) -> Callable[[], bool]:
        def changed() -> bool:
            time.sleep(0.02)
            return False

        return changed

    monkeypatch.setattr("halfopen.database.changes._ANYWAY", 0.5)
    monkeypatch.setattr("halfopen.database.database.looking", deaf)
    monkeypatch.setattr("halfopen.database.database.listening", deaf)
    monkeypatch.setattr(Database, "tell", lambda *_: None)
    session = world.edge()
    tunnel, token = world.tunnel()
    ids = world.connect(session, token)
    told = waits(threads, world.here, session)
    threads.submit(world.here.tunnels.clean_up, world.account, tunnel.id)
    assert set(told.result(ENOUGH).close) == set(ids)
    world.here.registry.unregister(session, ids)

"""Registrations that cannot be: each is refused by itself, whoever's share its commit."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import update

from halfopen.tunnels.registrations import CROWDED, MOST_CONNECTORS, UNREADABLE, Refused, Registered
from halfopen.tunnels.schema import TUNNELS
from tests.databases.database import Database
from tests.tunnels.played import PlayedEdge, Server
from tests.tunnels.world import World, asked


@pytest.mark.parametrize("more", [
    {"version": "1\0"}, {"arch": "\ud800"}, {"features": ("a", "b\0")}, {"features": ("f",) * 65}, {"origin_ip": "192.0.2.1\0"},
    {"version": "v" * 65}, {"connector": "c" * 37}, {"connector": "\0"}, {"tunnel": "\0"}, {"conn_index": 70_000}, {"conn_index": 32}, {"conn_index": -1},
])  # fmt: skip
def test_text_that_no_database_takes_is_refused_alone(world: World, more: dict[str, Any]) -> None:
    session = world.edge()
    tunnel, token = world.tunnel()
    good = [asked(token, index) for index in range(2)]
    first, bad, second = world.here.registry.register(session, [good[0], replace(good[0], **more), good[1]])
    assert isinstance(bad, Refused)
    assert bad.cause.startswith(f"{next(iter(more))}: not ")
    accepted = {each.connection for each in (first, second) if isinstance(each, Registered)}
    assert len(accepted) == 2
    assert set(world.links(tunnel)) == accepted


def test_a_secret_that_cannot_be_read_is_refused_alone_and_the_tunnel_is_named_in_the_log(
    world: World, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    session = world.edge()
    broken, broken_token = world.tunnel("broken")
    whole, token = world.tunnel("whole")
    with database.connection() as connection:
        its = TUNNELS.c.id == broken.id
        connection.execute(update(TUNNELS).where(its).values(secret=b"\x01" + bytes(60)))
    with caplog.at_level(logging.ERROR, "halfopen.faults"):
        told = world.here.registry.register(session, [asked(broken_token), asked(token)])
    assert told[0] == Refused(UNREADABLE)
    assert isinstance(told[1], Registered)
    assert list(world.links(whole)) == [told[1].connection]
    (line,) = caplog.records
    assert broken.id in line.getMessage()


def test_a_tunnel_has_so_many_connectors_and_no_more(world: World) -> None:
    session = world.edge()
    tunnel, token = world.tunnel()
    names = [str(uuid4()) for _ in range(MOST_CONNECTORS + 1)]
    told = world.here.registry.register(session, [asked(token, 0, name) for name in names])
    assert told[-1] == Refused(CROWDED)
    assert "Unauthorized" not in CROWDED
    assert len(world.links(tunnel)) == MOST_CONNECTORS
    assert world.connect(session, token, [1, 2, 3], names[0])  # who is there may have more connections
    assert world.refused(session, asked(token, 0, names[-1])) == CROWDED
    # Those that broke off do not keep out who takes over from them.
    ids = [each.connection for each in told if isinstance(each, Registered)]
    world.here.registry.unregister(session, ids[:1], lost=True)
    assert world.refused(session, asked(token, 0, names[-1])) == CROWDED  # the first has three others
    world.here.registry.unregister(session, ids[1:2], lost=True)
    assert world.connect(session, token, [0], names[-1])
    other, another = world.tunnel("other")
    assert world.connect(session, another)
    assert len(world.links(other)) == 4


def test_the_routes_refuse_what_is_not_printable(edge: PlayedEdge, tenant: Server) -> None:
    token = tenant.ask("POST", tenant.tunnels, json={"name": "blog"}).json()["result"]["token"]
    (told,) = edge.register(token, [0])
    for applied in (-1, 2**31):
        answer = edge.ask(
            "POST", edge.here("reports"), json={"connection": told["connection"], "applied": applied}
        )
        assert (answer.status_code, "applied" in answer.text) == (400, True)
    for path in ("heartbeat", "departures"):
        answer = edge.ask("POST", edge.here(path), json={"connections": ["x" * 37]})
        assert (answer.status_code, "connections" in answer.text) == (400, True)

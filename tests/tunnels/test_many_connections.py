"""More connections and tunnels in one go than a statement may have parameters."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Engine, event, text

from halfopen.tunnels.catalogue import Filter
from halfopen.tunnels.registry import GRACE, LEASE
from tests.databases.database import Database
from tests.tunnels.world import World

MANY = 70_000


@pytest.fixture
def narrow() -> Iterator[None]:
    """As many parameters as SQLite takes where nobody built it for more; PostgreSQL takes 65,535."""

    def connected(connection: Any, _: Any) -> None:
        if isinstance(connection, sqlite3.Connection):
            connection.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 32_766)

    event.listen(Engine, "connect", connected)
    yield
    event.remove(Engine, "connect", connected)


def numbered(table: str, columns: str, values: str) -> str:
    """A statement that makes `MANY` rows; in `values`, `number` is that of each."""
    return (
        f"WITH RECURSIVE many(number) AS (SELECT 1 UNION ALL SELECT number + 1 FROM many WHERE number < {MANY}) "
        f"INSERT INTO {table} ({columns}) SELECT {values} FROM many"
    )


def identifier(kind: int) -> str:
    return f"'{kind:08}-0000-4000-8000-' || CAST(100000000000 + number AS TEXT)"


@pytest.mark.usefixtures("narrow")
def test_an_edge_with_very_many_connections_falls_silent_and_comes_back(
    world: World, database: Database
) -> None:
    session = world.edge()
    tunnel, connector, link = (identifier(kind) for kind in (1, 2, 3))
    with database.connection() as connection:
        for statement in (
            numbered(
                "tunnels", "id, account_id, name, config_src, secret, created, ran, active",
                f"{tunnel}, '{world.account}', 'tunnel ' || number, 'local', :secret, 1, :ran, 1",
            ),
            numbered(
                "connectors", "tunnel_id, id, version, arch, features, run", f"{tunnel}, {connector}, '1', 'x', '[]', 1"
            ),
            numbered(
                "connections", "id, tunnel_id, connector_id, conn_index, edge_id, colo, origin_ip, opened",
                f"{link}, {tunnel}, {connector}, 0, '{session.edge}', 'ams01', '192.0.2.1', 1",
            ),
        ):  # fmt: skip
            more = {"secret": b"\x01", "ran": True} if ":secret" in statement else {}
            connection.execute(text(statement), more)
    ids = [f"00000003-0000-4000-8000-{100_000_000_000 + number}" for number in range(1, MANY + 1)]
    every = Filter()

    def status() -> str:
        (first,), total = world.here.tunnels.find(world.account, every, 1, 1)
        assert total == MANY
        return first.status

    assert status() == "degraded"
    world.later(LEASE + 1)
    assert status() == "down"
    assert world.here.registry.heartbeat(session, ids) == []
    assert status() == "degraded"
    world.here.registry.unregister(session, ids, lost=True)
    assert status() == "down"
    world.later(GRACE + 1)
    assert status() == "down"
    assert world.here.registry.heartbeat(session, ids) == ids

"""Rows of connections, changed so that everything that follows from them follows: by those who hold the locks of `lock_tunnels`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    and_,
    bindparam,
    delete,
    exists,
    insert,
    select,
    true,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from halfopen.tunnels.schema import CONNECTIONS, CONNECTORS, COUNTERS, EDGES, TUNNELS

_ITS_PLACE = and_(
    CONNECTIONS.c.tunnel_id == bindparam("tunnel"),
    CONNECTIONS.c.connector_id == bindparam("connector"),
    CONNECTIONS.c.conn_index == bindparam("index"),
    CONNECTIONS.c.dead.is_(None),
)

LISTED: ColumnElement[bool] = CONNECTIONS.c.dead.is_(None)
"""What is in lists: live or pending."""


def lock_tunnels(connection: Connection, ids: Collection[str]) -> dict[str, Row[Any]]:
    """The rows of tunnels by id, which nobody else changes while this transaction lasts, nor what hangs on them."""
    if not ids:
        return {}
    wanted = select(TUNNELS).where(TUNNELS.c.id.in_(ids)).order_by(TUNNELS.c.id)
    return {row.id: row for row in connection.execute(wanted.with_for_update())}


def of_edge(edge: str) -> ColumnElement[bool]:
    """What an edge holds, or has not closed yet."""
    return CONNECTIONS.c.edge_id == edge


def set_lost(connection: Connection, ids: Collection[str], since: int | None) -> None:
    """Let connections be pending since a time, or live again."""
    if ids:
        connection.execute(update(CONNECTIONS).where(CONNECTIONS.c.id.in_(ids)).values(lost=since))


def remove(connection: Connection, ids: Collection[str]) -> None:
    """Forget connections."""
    if ids:
        connection.execute(delete(CONNECTIONS).where(CONNECTIONS.c.id.in_(ids)))


def put_away(connection: Connection, which: ColumnElement[bool], now: int) -> list[str]:
    """Take listed connections out of every list; gives the ids of those that an edge has still to close."""
    held = CONNECTIONS.c.lost.is_(None)
    ids = list(connection.execute(select(CONNECTIONS.c.id).where(which, LISTED, held)).scalars())
    connection.execute(delete(CONNECTIONS).where(which, LISTED, ~held))
    connection.execute(update(CONNECTIONS).where(which, LISTED).values(dead=now))
    return ids


def let_go(connection: Connection, edge: str, since: int) -> None:
    """Take from an edge what it held: live connections are lost, dead ones closed by its end."""
    its = select(CONNECTIONS.c.tunnel_id).where(of_edge(edge)).distinct()
    touched = lock_tunnels(connection, set(connection.execute(its).scalars()))
    connection.execute(delete(CONNECTIONS).where(of_edge(edge), ~LISTED))
    live = of_edge(edge) & CONNECTIONS.c.lost.is_(None)
    connection.execute(update(CONNECTIONS).where(live).values(lost=since))
    settle(connection, touched, since)


def replace(connection: Connection, rows: Sequence[dict[str, Any]], now: int) -> None:
    """Put connections in their places, whoever is there; of two for one place the later stays."""
    places = [
        {"tunnel": row["tunnel_id"], "connector": row["connector_id"], "index": row["conn_index"]}
        for row in rows
    ]
    connection.execute(delete(CONNECTIONS).where(_ITS_PLACE, CONNECTIONS.c.lost.is_not(None)), places)
    connection.execute(update(CONNECTIONS).where(_ITS_PLACE).values(dead=now), places)
    last = {tuple(place.values()): index for index, place in enumerate(places)}
    stays = set(last.values())
    connection.execute(
        insert(CONNECTIONS),
        [row | {"dead": None if index in stays else now} for index, row in enumerate(rows)],
    )


def keep_connectors(connection: Connection, rows: Iterable[dict[str, Any]]) -> None:
    """Note what connectors say of themselves; the time of their first registration stays."""
    latest = {(row["tunnel_id"], row["id"]): row for row in rows}
    made = (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(CONNECTORS)
    told = {name: made.excluded[name] for name in ("version", "arch", "features")}
    # In one order everywhere, so that two who write the same wait for each other and not in a circle.
    connection.execute(
        made.on_conflict_do_update(index_elements=["tunnel_id", "id"], set_=told),
        [latest[key] for key in sorted(latest)],
    )


def begin_to_live(connection: Connection, tunnels: Collection[str], now: int) -> None:
    """Note of tunnels that something is live now."""
    idle = TUNNELS.c.id.in_(tunnels) & TUNNELS.c.active.is_(None)
    connection.execute(update(TUNNELS).where(idle).values(ran=true(), active=now, inactive=None))


def settle(connection: Connection, tunnels: Collection[str], now: int) -> None:
    """Note of tunnels, locked, whether something is live since `now`, and forget connectors without connections."""
    if not tunnels:
        return
    its = CONNECTIONS.c.tunnel_id == TUNNELS.c.id
    live = exists().where(its, CONNECTIONS.c.dead.is_(None), CONNECTIONS.c.lost.is_(None))
    named = TUNNELS.c.id.in_(tunnels)
    ended = named & TUNNELS.c.active.is_not(None) & ~live
    connection.execute(update(TUNNELS).where(ended).values(active=None, inactive=now))
    begin_to_live(
        connection, list(connection.execute(select(TUNNELS.c.id).where(named, live)).scalars()), now
    )
    listed = exists().where(
        CONNECTIONS.c.tunnel_id == CONNECTORS.c.tunnel_id,
        CONNECTIONS.c.connector_id == CONNECTORS.c.id,
        LISTED,
    )
    connection.execute(delete(CONNECTORS).where(CONNECTORS.c.tunnel_id.in_(tunnels), ~listed))


def routing(connection: Connection) -> int:
    """How often hostnames or configurations have changed."""
    its = select(COUNTERS.c.value).where(COUNTERS.c.name == "routing")
    found: int = connection.execute(its).scalar_one()
    return found


def reroute(connection: Connection) -> None:
    """Note that hostnames or configurations have changed."""
    its = COUNTERS.c.name == "routing"
    connection.execute(update(COUNTERS).where(its).values(value=COUNTERS.c.value + 1))


def abandon(connection: Connection) -> None:
    """Forget what is to be closed by edges that are not there."""
    away = select(EDGES.c.id).where(EDGES.c.alive.is_(None))
    connection.execute(delete(CONNECTIONS).where(~LISTED, CONNECTIONS.c.edge_id.in_(away)))

"""Rows of connections, changed so that everything that follows from them follows: by those who hold the locks of `lock_tunnels`."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final

from sqlalchemy import (
    ARRAY,
    Column,
    ColumnElement,
    Connection,
    Row,
    String,
    any_,
    delete,
    exists,
    func,
    insert,
    literal,
    select,
    true,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from halfopen.tunnels.schema import CONNECTIONS, CONNECTORS, COUNTERS, EDGES, HOSTNAMES, ROUTED, TUNNELS

REMEMBERED: Final = 1_000
"""Changes of the routing for which is known which hostnames lead nowhere since."""

LISTED: ColumnElement[bool] = CONNECTIONS.c.dead.is_(None)
"""What is in lists: live or pending."""


def among(connection: Connection, column: Column[str], ids: Collection[str]) -> ColumnElement[bool]:
    """Whether a column is one of `ids`, of which there may be any number: `in_` takes a parameter for each, and databases only so many."""
    if connection.dialect.name == "postgresql":
        return column == any_(literal(list(ids), ARRAY(String)))
    return column.in_(select(func.json_each(json.dumps(list(ids))).table_valued("value").c.value))


def lock_tunnels(connection: Connection, ids: Collection[str]) -> dict[str, Row[Any]]:
    """The rows of tunnels by id, which nobody else changes while this transaction lasts, nor what hangs on them."""
    if not ids:
        return {}
    wanted = select(TUNNELS).where(among(connection, TUNNELS.c.id, ids)).order_by(TUNNELS.c.id)
    return {row.id: row for row in connection.execute(wanted.with_for_update())}


def of_edge(edge: str | Column[str]) -> ColumnElement[bool]:
    """What an edge holds, or has not closed yet."""
    return CONNECTIONS.c.edge_id == edge


def held(connection: Connection, edge: str, ids: Collection[str] | None = None) -> Sequence[Row[Any]]:
    """The connections of an edge, or of those with these ids the ones that are its own."""
    if ids is None:
        return connection.execute(select(CONNECTIONS).where(of_edge(edge))).all()
    found = connection.execute(select(CONNECTIONS).where(among(connection, CONNECTIONS.c.id, ids)))
    return [row for row in found if row.edge_id == edge]


def set_lost(connection: Connection, ids: Collection[str], since: int | None) -> None:
    """Let connections be pending since a time, or live again."""
    if ids:
        its = among(connection, CONNECTIONS.c.id, ids)
        connection.execute(update(CONNECTIONS).where(its).values(lost=since))


def remove(connection: Connection, ids: Collection[str]) -> None:
    """Forget connections."""
    if ids:
        connection.execute(delete(CONNECTIONS).where(among(connection, CONNECTIONS.c.id, ids)))


def put_away(connection: Connection, which: ColumnElement[bool], now: int) -> list[str]:
    """Take listed connections out of every list; gives the ids of those that an edge has still to close."""
    held = CONNECTIONS.c.lost.is_(None)
    ids = list(connection.execute(select(CONNECTIONS.c.id).where(which, LISTED, held)).scalars())
    connection.execute(delete(CONNECTIONS).where(which, LISTED, ~held))
    connection.execute(update(CONNECTIONS).where(which, LISTED).values(dead=now))
    return ids


def let_go(connection: Connection, edge: Row[Any], now: int) -> None:
    """Take from an edge (its row) what it held: live connections are lost since its lease ended, now at the latest, dead ones closed by
    its end."""
    since = now if edge.alive is None else min(edge.alive, now)
    its = of_edge(edge.id)
    tunnels = connection.execute(select(CONNECTIONS.c.tunnel_id).where(its).distinct()).scalars()
    touched = lock_tunnels(connection, set(tunnels))
    connection.execute(delete(CONNECTIONS).where(its, ~LISTED))
    connection.execute(update(CONNECTIONS).where(its, CONNECTIONS.c.lost.is_(None)).values(lost=since))
    settle(connection, touched, since)


def listed(connection: Connection, tunnels: Collection[str]) -> Sequence[Row[Any]]:
    """What is in the lists of tunnels."""
    its = among(connection, CONNECTIONS.c.tunnel_id, tunnels)
    return connection.execute(select(CONNECTIONS).where(its, LISTED)).all()


def replace(
    connection: Connection, rows: Sequence[dict[str, Any]], there: Iterable[Row[Any]], now: int
) -> bool:
    """Put connections in their places, whoever of those `there` has them; of two for one place the later stays.

    Gives whether an edge has something to close now.
    """
    stays = {(row["tunnel_id"], row["connector_id"], row["conn_index"]): row["id"] for row in rows}
    before = [row for row in there if (row.tunnel_id, row.connector_id, row.conn_index) in stays]
    held = [row.id for row in before if row.lost is None]
    remove(connection, [row.id for row in before if row.lost is not None])
    if held:
        its = among(connection, CONNECTIONS.c.id, held)
        connection.execute(update(CONNECTIONS).where(its).values(dead=now))
    kept = set(stays.values())
    connection.execute(
        insert(CONNECTIONS), [row | {"dead": None if row["id"] in kept else now} for row in rows]
    )
    return bool(held) or len(kept) < len(rows)


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
    idle = among(connection, TUNNELS.c.id, tunnels) & TUNNELS.c.active.is_(None)
    connection.execute(update(TUNNELS).where(idle).values(ran=true(), active=now, inactive=None))


def settle(connection: Connection, tunnels: Collection[str], now: int) -> None:
    """Note of tunnels, locked, whether something is live since `now`, and forget connectors without connections."""
    if not tunnels:
        return
    # Without a join: where thousands of connections just changed, PostgreSQL's idea of how many live is far off, and its plan with it.
    its = among(connection, CONNECTIONS.c.tunnel_id, tunnels)
    live = select(CONNECTIONS.c.tunnel_id).where(its, LISTED, CONNECTIONS.c.lost.is_(None)).distinct()
    living = set(connection.execute(live).scalars())
    idle = among(connection, TUNNELS.c.id, set(tunnels) - living) & TUNNELS.c.active.is_not(None)
    connection.execute(update(TUNNELS).where(idle).values(active=None, inactive=now))
    begin_to_live(connection, living, now)
    kept = exists().where(
        CONNECTIONS.c.tunnel_id == CONNECTORS.c.tunnel_id,
        CONNECTIONS.c.connector_id == CONNECTORS.c.id,
        LISTED,
    )
    its = among(connection, CONNECTORS.c.tunnel_id, tunnels)
    connection.execute(delete(CONNECTORS).where(its, ~kept))


def routing(connection: Connection) -> int:
    """The number of the routing: how often hostnames or configurations have changed."""
    its = select(COUNTERS.c.value).where(COUNTERS.c.name == "routing")
    found: int = connection.execute(its).scalar_one()
    return found


def reroute(connection: Connection, anyway: bool = False) -> int:
    """Note which hostnames lead elsewhere now, as the last thing of a transaction; gives the number of the routing, which has risen where
    any does, or `anyway`."""
    its = COUNTERS.c.name == "routing"
    # Nobody else from here on: what they have changed is noted, and what we have is not theirs to note.
    before: int = connection.execute(select(COUNTERS.c.value).where(its).with_for_update()).scalar_one()
    number = before + 1
    leads = select(HOSTNAMES.c.tunnel_id).where(HOSTNAMES.c.hostname == ROUTED.c.hostname).scalar_subquery()
    other = update(ROUTED).where(ROUTED.c.tunnel_id.is_distinct_from(leads))
    new = ~exists().where(ROUTED.c.hostname == HOSTNAMES.c.hostname)
    rows = select(HOSTNAMES.c.hostname, HOSTNAMES.c.tunnel_id, literal(number)).where(new)
    made = insert(ROUTED).from_select(["hostname", "tunnel_id", "changed"], rows)
    changed = connection.execute(other.values(tunnel_id=leads, changed=number)).rowcount
    changed += len(connection.execute(made.returning(ROUTED.c.hostname)).all())
    if not changed and not anyway:
        return before
    old = ROUTED.c.tunnel_id.is_(None) & (ROUTED.c.changed <= number - REMEMBERED)
    connection.execute(delete(ROUTED).where(old))
    connection.execute(update(COUNTERS).where(its).values(value=number))
    return number


def abandon(connection: Connection) -> None:
    """Forget what is to be closed by edges that are not there."""
    away = select(EDGES.c.id).where(EDGES.c.alive.is_(None))
    connection.execute(delete(CONNECTIONS).where(~LISTED, CONNECTIONS.c.edge_id.in_(away)))

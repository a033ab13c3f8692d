"""What edges tell of connections: registered, alive, lost, closed; and what they are told to close.

An edge holds a lease that each heartbeat renews. While it runs, what the edge registered is live; once it is over, whoever notices first lets
go of what the edge held: those connections are pending for the grace (A15), then away. A connection that was cleaned up or replaced is dead: it
is in no list from then on, and stays known until its edge has closed it, which it is told by the answer to every heartbeat.

Rows are locked in one order, edges before tunnels before what hangs on them, so transactions wait for each other and never in a circle.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Collection, Sequence, Set
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Row, delete, exists, or_, select, update

from halfopen.database.changes import Changes
from halfopen.database.database import Database
from halfopen.tunnels import rows, sessions
from halfopen.tunnels.registrations import Refused, Registered, Registration, decided
from halfopen.tunnels.schema import CONNECTIONS, CONNECTORS, EDGES
from halfopen.tunnels.sessions import Session, SessionError
from halfopen.tunnels.together import Together
from halfopen.tunnels.vault import Vault
from halfopen.tunnels.waiting import WaitingEdges

SECOND: Final = 1_000_000
"""Microseconds."""

LEASE: Final = 30
"""Seconds an edge is believed to be alive after a heartbeat."""

HEARTBEAT: Final = 10
"""Seconds after which an edge sends the next one."""

GRACE: Final = 180
"""Seconds a lost connection is pending (A15)."""

_UNDERWAY: Final = 30  # seconds for which the answer to a registration may be on its way to the edge
_TOGETHER: Final = 200  # registrations in one commit


@dataclass(frozen=True)
class News:
    """What an edge has to act on: ids of connections to close; a number that rises when hostnames or configurations change."""

    close: tuple[str, ...]
    routing: int


class Registry:
    """Connections of every tunnel, in a database that any number of processes share. Safe to share between threads.

    `grace` (s) is how long a lost connection is pending. `clock` gives the time (microseconds since 1970, UTC), by default that of the
    database. Everything raises DatabaseError where the database fails.
    """

    def __init__(
        self,
        database: Database,
        changes: Changes,
        vault: Vault,
        grace: int = GRACE,
        clock: Callable[[Connection], int] | None = None,
    ) -> None:
        self._database = database
        self._vault = vault
        self._grace = grace * SECOND
        self.clock = clock or database.now
        self._together = Together(self._register, _TOGETHER)
        self._waiting = WaitingEdges(database, changes)

    def close(self) -> None:
        """Let go who waits for news."""
        self._waiting.close()

    # --- what edges say

    def begin(self, edge: str) -> Session:
        """Begin a session of an edge (its id) whose process is new: it holds nothing yet, what it held before is lost."""
        session = Session(edge, secrets.token_hex(16))
        its = EDGES.c.id == edge
        with self._database.writing() as connection:
            before = connection.execute(select(EDGES).where(its).with_for_update()).one()
            now = self.clock(connection)
            rows.let_go(connection, before, now)
            connection.execute(
                update(EDGES)
                .where(its)
                .values(session=session.id, alive=now + LEASE * SECOND, begun=now, heard=now)
            )
            self._database.tell(connection)
        return session

    def heartbeat(self, session: Session, held: Collection[str]) -> list[str]:
        """Renew the lease of an edge that holds the connections `held` (ids); gives those of them it has to close.

        What it held and does not any more is lost, what was to be closed and is not held is closed, and what was thought lost and is held
        still is live again.
        """
        self.sweep()
        holds = set(held)
        with self._database.writing() as connection:
            sessions.kept(connection, session, alone=True)
            now = self.clock(connection)
            its = EDGES.c.id == session.edge
            connection.execute(update(EDGES).where(its).values(alive=now + LEASE * SECOND, heard=now))
            found = rows.held(connection, session.edge)
            concerned = _Differences.between(found, holds, now).tunnels()
            if touched := rows.lock_tunnels(connection, concerned):
                # Again: others may have changed them until they were locked.
                found = rows.held(connection, session.edge)
                differ = _Differences.between([row for row in found if row.tunnel_id in touched], holds, now)
                rows.remove(connection, [row.id for row in differ.closed])
                rows.set_lost(connection, [row.id for row in differ.lost], now)
                rows.set_lost(connection, [row.id for row in differ.back], None)
                rows.settle(connection, touched, now)
                if differ.closed:
                    self._database.tell(connection)
        known = {row.id: row for row in found}
        return [each for each in held if each not in known or known[each].dead is not None]

    def news(self, session: Session, routing: int, until: float) -> News:
        """What an edge has to act on: connections to close, and whether routing is another than the `routing` it knows.

        Waits for either until the time `until` (monotonic, s).
        """
        with self._waiting.one(session, routing) as waiting:
            while True:
                found = self._news(session)
                over = self._waiting.closed or time.monotonic() >= until
                if found.close or found.routing != routing or over:
                    return found
                waiting.wait(until)

    def check(self, session: Session) -> None:
        """SessionError where the session of an edge is over."""
        with self._database.reading() as connection:
            sessions.checked(connection, session)

    def register(self, session: Session, registrations: Sequence[Registration]) -> list[Registered | Refused]:
        """Accept connections of connectors, each of which replaces the one in its place, or say why not.

        Where the lease of the edge is over they are pending until its next heartbeat: without a lease nobody would let go of them.
        """
        told = self._together([(session, each) for each in registrations])
        for each in told:
            if isinstance(each, SessionError):
                raise each
        return [each for each in told if not isinstance(each, SessionError)]

    def unregister(self, session: Session, ids: Collection[str], lost: bool = False) -> None:
        """Forget connections that the edge has closed or whose connector has left; those that are `lost` broke off."""
        with self._database.writing() as connection:
            sessions.kept(connection, session)
            now = self.clock(connection)
            theirs = {row.tunnel_id for row in rows.held(connection, session.edge, ids)}
            touched = rows.lock_tunnels(connection, theirs)
            # Again: others may have changed them until they were locked.
            found = rows.held(connection, session.edge, ids)
            broken = [row.id for row in found if lost and row.dead is None]
            rows.remove(connection, {row.id for row in found}.difference(broken))
            rows.set_lost(connection, broken, now)
            rows.settle(connection, touched, now)
            if any(row.dead is not None for row in found):
                self._database.tell(connection)

    def report(self, session: Session, connection_id: str, applied: int | None = None) -> str | None:
        """Note the version of the configuration that the connector behind a connection has `applied`; gives the id of its
        tunnel, None where the edge does not hold the connection any more."""
        with self._database.writing() as connection:
            sessions.kept(connection, session)
            its = rows.of_edge(session.edge) & rows.LISTED & (CONNECTIONS.c.id == connection_id)
            row = connection.execute(select(CONNECTIONS).where(its)).first()
            if row is None:
                return None
            if applied is not None:
                whose = (CONNECTORS.c.tunnel_id == row.tunnel_id) & (CONNECTORS.c.id == row.connector_id)
                connection.execute(update(CONNECTORS).where(whose).values(config_version=applied))
        tunnel: str = row.tunnel_id
        return tunnel

    # --- what anybody may notice

    def pending_since(self, connection: Connection) -> int:
        """When a connection must have been lost since, to be still pending now."""
        return self.clock(connection) - self._grace

    def sweep(self) -> None:
        """Let go of what edges held whose lease is over, and forget what has been pending for longer than the grace."""
        with self._database.reading() as connection:
            if not self._is_due(connection):
                return
        with self._database.writing() as connection:
            now = self.clock(connection)
            over = select(EDGES).where(EDGES.c.alive <= now).order_by(EDGES.c.id)
            edges = connection.execute(over.with_for_update()).all()
            old = CONNECTIONS.c.lost <= now - self._grace
            theirs = old | CONNECTIONS.c.edge_id.in_([edge.id for edge in edges])
            # All at once, in order: who locks some and then more can wait in a circle.
            concerned = connection.execute(select(CONNECTIONS.c.tunnel_id).where(theirs)).scalars()
            touched = rows.lock_tunnels(connection, set(concerned))
            for edge in edges:
                rows.let_go(connection, edge, now)
                connection.execute(update(EDGES).where(EDGES.c.id == edge.id).values(alive=None))
            its = rows.among(connection, CONNECTIONS.c.tunnel_id, touched)
            connection.execute(delete(CONNECTIONS).where(its, old))
            rows.settle(connection, touched, now)
            rows.abandon(connection)
            self._database.tell(connection)

    def _is_due(self, connection: Connection) -> bool:
        now = self.clock(connection)
        over = exists().where(EDGES.c.alive <= now)
        old = exists().where(CONNECTIONS.c.lost <= now - self._grace)
        return bool(connection.execute(select(or_(over, old))).scalar())

    # --- inside

    def _news(self, session: Session) -> News:
        with self._database.reading() as connection:
            sessions.checked(connection, session)
            dead = select(CONNECTIONS.c.id).where(rows.of_edge(session.edge), ~rows.LISTED)
            return News(tuple(connection.execute(dead).scalars()), rows.routing(connection))

    def _register(
        self, asked: Sequence[tuple[Session, Registration]]
    ) -> Sequence[Registered | Refused | SessionError]:
        told: list[Registered | Refused | SessionError] = []
        made: list[dict[str, Any]] = []
        connectors: list[dict[str, Any]] = []
        with self._database.writing() as connection:
            edges = sessions.kept_each(connection, {session for session, _ in asked})
            sound = {each.tunnel for _, each in asked if each.fault() is None}
            tunnels = rows.lock_tunnels(connection, sound)
            there = rows.listed(connection, tunnels)
            live: dict[str, set[str]] = {tunnel: set() for tunnel in sound}
            for row in there:
                if row.lost is None:
                    live[row.tunnel_id].add(row.connector_id)
            now = self.clock(connection)
            for session, each in asked:
                edge = edges[session]
                if isinstance(edge, SessionError):
                    told.append(edge)
                    continue
                if (fault := each.fault()) is not None:
                    told.append(Refused(fault))
                    continue
                told.append(answer := decided(each, tunnels.get(each.tunnel), live[each.tunnel], self._vault))
                if isinstance(answer, Registered):
                    live[each.tunnel].add(each.connector)
                    made.append(_connection(each, answer, edge, now))
                    connectors.append(_connector(each, now))
            if made:
                replaced = rows.replace(connection, made, there, now)
                rows.keep_connectors(connection, connectors)
                rows.begin_to_live(connection, {row["tunnel_id"] for row in made if row["lost"] is None}, now)
                rows.settle(connection, {row["tunnel_id"] for row in made if row["lost"] is not None}, now)
                if replaced:
                    self._database.tell(connection)
        return told


@dataclass(frozen=True)
class _Differences:
    """Where connections of an edge are not as the edge `holds` them: those it has closed, has lost, and holds still."""

    closed: list[Row[Any]]
    lost: list[Row[Any]]
    back: list[Row[Any]]

    @classmethod
    def between(cls, found: Sequence[Row[Any]], holds: Set[str], now: int) -> _Differences:
        gone = [row for row in found if row.id not in holds and row.opened <= now - _UNDERWAY * SECOND]
        return cls(
            [row for row in gone if row.dead is not None],
            [row for row in gone if row.dead is None and row.lost is None],
            [row for row in found if row.id in holds and row.dead is None and row.lost is not None],
        )

    def tunnels(self) -> set[str]:
        return {row.tunnel_id for row in (*self.closed, *self.lost, *self.back)}


def _connection(asked: Registration, answer: Registered, edge: Row[Any], now: int) -> dict[str, Any]:
    return {
        "id": answer.connection,
        "tunnel_id": asked.tunnel,
        "connector_id": asked.connector,
        "conn_index": asked.conn_index,
        "edge_id": edge.id,
        "colo": edge.colo,
        "origin_ip": asked.origin_ip,
        "opened": now,
        "lost": None if edge.alive is not None else now,
    }


def _connector(asked: Registration, now: int) -> dict[str, Any]:
    return {
        "tunnel_id": asked.tunnel,
        "id": asked.connector,
        "version": asked.version,
        "arch": asked.arch,
        "features": sorted(asked.features),
        "run": now,
    }

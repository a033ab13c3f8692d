"""What edges tell of connections: registered, alive, lost, closed; and what they are told to close.

An edge holds a lease that each heartbeat renews. While it runs, what the edge registered is live; once it is over, whoever notices first lets
go of what the edge held: those connections are pending for the grace (A15), then away. A connection that was cleaned up or replaced is dead: it
is in no list from then on, and stays known until its edge has closed it, which it is told by the answer to every heartbeat.

Rows are locked in one order, edges before tunnels before what hangs on them, so transactions wait for each other and never in a circle.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

from sqlalchemy import Connection, Row, delete, exists, or_, select, update

from halfopen.database.changes import Changes
from halfopen.database.database import Database
from halfopen.tunnels import rows
from halfopen.tunnels.schema import CONNECTIONS, CONNECTORS, EDGES
from halfopen.tunnels.together import Together
from halfopen.tunnels.vault import Vault

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
_GATHER: Final = 0.02  # seconds

UNKNOWN: Final = "Unauthorized: Record for tunnel not found"
DELETED: Final = "Unauthorized: Failed to get tunnel"
SECRET: Final = "Unauthorized: Invalid tunnel secret"
"""Why a registration is refused, in the words cloudflared knows: it tries again for ever, with pauses."""


class SessionError(Exception):
    """An edge that speaks without a session, or in one that is over: it has to begin a new one."""


@dataclass(frozen=True)
class Registration:
    """One connection of a connector, as it registers with an edge. `secret` is what it claims the tunnel's to be."""

    account: str
    tunnel: str
    secret: bytes
    connector: str
    conn_index: int
    version: str
    arch: str
    features: tuple[str, ...]
    origin_ip: str


@dataclass(frozen=True)
class Registered:
    """A registration that is accepted: the id of the connection; whether the tunnel is configured here."""

    connection: str
    remotely_managed: bool


@dataclass(frozen=True)
class Refused:
    """A registration that is not: what the connector is told."""

    cause: str


@dataclass(frozen=True)
class News:
    """What an edge has to act on: ids of connections to close; a number that rises when hostnames or configurations change."""

    close: tuple[str, ...]
    routing: int


@dataclass(frozen=True)
class Session:
    """The time an edge's process speaks for it; a new one ends it, and lets go of all it held. `edge` is the edge's id."""

    edge: str
    id: str


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
        self._changes = changes
        self._vault = vault
        self._grace = grace * SECOND
        self.clock = clock or database.now
        self._together = Together(self._register, _TOGETHER)

    # --- what edges say

    def begin(self, edge: str) -> Session:
        """Begin a session of an edge (its id) whose process is new: it holds nothing yet, what it held before is lost."""
        session = Session(edge, secrets.token_hex(16))
        its = EDGES.c.id == edge
        with self._database.writing() as connection:
            connection.execute(select(EDGES.c.id).where(its).with_for_update())
            now = self.clock(connection)
            rows.let_go(connection, edge, now)
            connection.execute(
                update(EDGES).where(its).values(session=session.id, alive=now + LEASE * SECOND)
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
            self._check(connection, session, alone=True)
            now = self.clock(connection)
            alive = update(EDGES).where(EDGES.c.id == session.edge).values(alive=now + LEASE * SECOND)
            connection.execute(alive)
            found = self._held_by(connection, session)
            known = {row.id: row for row in found}
            gone = [row for row in found if row.id not in holds and row.opened <= now - _UNDERWAY * SECOND]
            closed = [row for row in gone if row.dead is not None]
            lost = [row for row in gone if row.dead is None and row.lost is None]
            back = [row for row in found if row.id in holds and row.dead is None and row.lost is not None]
            if changed := [*closed, *lost, *back]:
                touched = rows.lock_tunnels(connection, {row.tunnel_id for row in changed})
                rows.remove(connection, [row.id for row in closed])
                rows.set_lost(connection, [row.id for row in lost], now)
                rows.set_lost(connection, [row.id for row in back], None)
                rows.settle(connection, touched, now)
                self._database.tell(connection)
        return [each for each in held if each not in known or known[each].dead is not None]

    def news(self, session: Session, routing: int, until: float) -> News:
        """What an edge has to act on: connections to close, and whether routing is another than the `routing` it knows.

        Waits for either until the time `until` (monotonic, s).
        """
        while True:
            seen = self._changes.count
            with self._database.reading() as connection:
                self._check(connection, session)
                dead = select(CONNECTIONS.c.id).where(rows.of_edge(session.edge), ~rows.LISTED)
                close = tuple(connection.execute(dead).scalars())
                found = News(close, rows.routing(connection))
            if found.close or found.routing != routing or time.monotonic() >= until:
                return found
            self._changes.wait(seen, until)
            time.sleep(_GATHER)  # changes come in showers: one look for each

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
            self._check(connection, session)
            now = self.clock(connection)
            found = [row for row in self._held_by(connection, session) if row.id in set(ids)]
            touched = rows.lock_tunnels(connection, {row.tunnel_id for row in found})
            broken = [row.id for row in found if lost and row.dead is None]
            rows.remove(connection, {row.id for row in found}.difference(broken))
            rows.set_lost(connection, broken, now)
            rows.settle(connection, touched, now)
            self._database.tell(connection)

    def report(self, session: Session, connection_id: str, applied: int | None = None) -> str | None:
        """Note the version of the configuration that the connector behind a connection has `applied`; gives the id of its
        tunnel, None where the edge does not hold the connection any more."""
        with self._database.writing() as connection:
            self._check(connection, session)
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
            over = select(EDGES.c.id, EDGES.c.alive).where(EDGES.c.alive <= now).order_by(EDGES.c.id)
            edges = connection.execute(over.with_for_update()).all()
            old = CONNECTIONS.c.lost <= now - self._grace
            theirs = old | CONNECTIONS.c.edge_id.in_([edge.id for edge in edges])
            # All at once, in order: who locks some and then more can wait in a circle.
            concerned = connection.execute(select(CONNECTIONS.c.tunnel_id).where(theirs)).scalars()
            touched = rows.lock_tunnels(connection, set(concerned))
            for edge in edges:
                rows.let_go(connection, edge.id, edge.alive)
                connection.execute(update(EDGES).where(EDGES.c.id == edge.id).values(alive=None))
            connection.execute(delete(CONNECTIONS).where(CONNECTIONS.c.tunnel_id.in_(touched), old))
            rows.settle(connection, touched, now)
            rows.abandon(connection)
            self._database.tell(connection)

    def _is_due(self, connection: Connection) -> bool:
        now = self.clock(connection)
        over = exists().where(EDGES.c.alive <= now)
        old = exists().where(CONNECTIONS.c.lost <= now - self._grace)
        return bool(connection.execute(select(or_(over, old))).scalar())

    # --- inside

    def _check(self, connection: Connection, session: Session, alone: bool = False) -> Row[Any]:
        """Keep the session of an edge from ending, and its lease, while this transaction lasts; gives the row of the edge.
        SessionError where the session has ended."""
        its = select(EDGES).where(EDGES.c.id == session.edge, EDGES.c.revoked.is_(None))
        found = connection.execute(its.with_for_update(read=not alone)).first()
        if found is None or found.session != session.id:
            raise SessionError(session.edge)
        return found

    def _held_by(self, connection: Connection, session: Session) -> Sequence[Row[Any]]:
        return connection.execute(select(CONNECTIONS).where(rows.of_edge(session.edge))).all()

    def _register(
        self, asked: Sequence[tuple[Session, Registration]]
    ) -> Sequence[Registered | Refused | SessionError]:
        told: list[Registered | Refused | SessionError] = []
        made: list[dict[str, Any]] = []
        connectors: list[dict[str, Any]] = []
        with self._database.writing() as connection:
            edges = self._edges(connection, {session for session, _ in asked})
            tunnels = rows.lock_tunnels(connection, {each.tunnel for _, each in asked})
            now = self.clock(connection)
            for session, each in asked:
                edge = edges[session]
                if isinstance(edge, SessionError):
                    told.append(edge)
                    continue
                told.append(answer := self._decided(each, tunnels.get(each.tunnel)))
                if isinstance(answer, Registered):
                    made.append(_connection(each, answer, edge, now))
                    connectors.append(_connector(each, now))
            if made:
                rows.replace(connection, made, now)
                rows.keep_connectors(connection, connectors)
                rows.begin_to_live(connection, {row["tunnel_id"] for row in made if row["lost"] is None}, now)
                rows.settle(connection, {row["tunnel_id"] for row in made if row["lost"] is not None}, now)
                self._database.tell(connection)
        return told

    def _edges(
        self, connection: Connection, sessions: set[Session]
    ) -> dict[Session, Row[Any] | SessionError]:
        found: dict[Session, Row[Any] | SessionError] = {}
        for session in sorted(sessions, key=lambda session: session.edge):
            try:
                found[session] = self._check(connection, session)
            except SessionError as error:
                found[session] = error
        return found

    def _decided(self, asked: Registration, tunnel: Row[Any] | None) -> Registered | Refused:
        if tunnel is None or tunnel.account_id != asked.account:
            return Refused(UNKNOWN)
        if not self._vault.holds(asked.tunnel, tunnel.secret, asked.secret):
            return Refused(SECRET)
        if tunnel.deleted is not None:
            return Refused(DELETED)
        return Registered(str(uuid4()), tunnel.config_src == "cloudflare")


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

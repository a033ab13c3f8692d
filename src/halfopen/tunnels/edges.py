"""Edges: enrolled under a name, each with a key of its own, revoked, and enrolled again with another."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Row, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from halfopen.accounts.credentials import new_identifier
from halfopen.database.database import Database
from halfopen.errors import UsageError
from halfopen.tunnels import rows
from halfopen.tunnels.schema import CONNECTIONS, EDGES

NAME: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,62}")
COLO: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,31}")


class EdgeState(StrEnum):
    """How an edge stands."""

    there = "there"
    away = "away"
    revoked = "revoked"


@dataclass(frozen=True)
class Edge:
    """An edge that is enrolled; times in microseconds since 1970, UTC. `alive` is until when its lease runs, `begun` when its last process
    did, `heard` when that was last heard of."""

    id: str
    name: str
    colo: str
    created: int
    revoked: int | None
    alive: int | None
    begun: int | None
    heard: int | None

    @property
    def state(self) -> EdgeState:
        """How it stands, as far as is known since the last `Registry.sweep`."""
        if self.revoked is not None:
            return EdgeState.revoked
        return EdgeState.away if self.alive is None else EdgeState.there

    @property
    def since(self) -> int:
        """Since when it stands so; that it is away is noticed when its lease is over, and counts since it was last heard of."""
        since = {EdgeState.revoked: self.revoked, EdgeState.there: self.begun, EdgeState.away: self.heard}
        return since[self.state] or self.created


@dataclass(frozen=True)
class Holds:
    """How many live connections an edge holds, of how many tunnels."""

    connections: int = 0
    tunnels: int = 0


class Edges:
    """The edges of an installation. Everything raises DatabaseError where the database fails."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def enrol(self, name: str, colo: str | None = None) -> Edge:
        """Let an edge speak that is told to clients as `colo`, by default its name: a new one, or one that was revoked, which keeps
        its place by default. UsageError where the name is taken or one of both cannot be used."""
        if not NAME.fullmatch(name):
            raise UsageError("edge", name, "1 to 63 characters of 0-9, A-Z, a-z, ., _ and -")
        if colo is not None and not COLO.fullmatch(colo):
            raise UsageError("colo", colo, "1 to 32 characters of 0-9, A-Z, a-z, ., _ and -")
        with self._database.writing() as connection:
            known = connection.execute(select(EDGES).where(EDGES.c.name == name).with_for_update()).first()
            if known is not None and known.revoked is not None:
                again = (
                    update(EDGES).where(EDGES.c.id == known.id).values(revoked=None, colo=colo or known.colo)
                )
                return _edge(connection.execute(again.returning(EDGES)).one())
            row = {
                "id": new_identifier(),
                "name": name,
                "colo": colo or name,
                "created": self._database.now(connection),
            }
            try:
                return _edge(connection.execute(insert(EDGES).values(row).returning(EDGES)).one())
            except IntegrityError:
                raise UsageError("edge", name, "a name that no edge has, or a revoked one") from None

    def all(self) -> list[Edge]:
        """Every edge, oldest first, revoked ones too."""
        with self._database.reading() as connection:
            found = connection.execute(select(EDGES).order_by(EDGES.c.created, EDGES.c.id)).all()
        return [_edge(row) for row in found]

    def holds(self) -> dict[str, Holds]:
        """What edges hold, by their ids; none of those that hold nothing."""
        live = (CONNECTIONS.c.dead.is_(None), CONNECTIONS.c.lost.is_(None))
        wanted = select(
            CONNECTIONS.c.edge_id, func.count(), func.count(CONNECTIONS.c.tunnel_id.distinct())
        ).where(*live)
        with self._database.reading() as connection:
            found = connection.execute(wanted.group_by(CONNECTIONS.c.edge_id)).all()
        return {edge: Holds(connections, tunnels) for edge, connections, tunnels in found}

    def named(self, name: str) -> Edge | None:
        """The edge of a name, None where there is none or it is revoked."""
        with self._database.reading() as connection:
            its = select(EDGES).where(EDGES.c.name == name, EDGES.c.revoked.is_(None))
            row = connection.execute(its).first()
        return _edge(row) if row else None

    def revoke(self, name: str) -> None:
        """Let an edge speak no more; what it holds is lost from now on. UsageError where there is none."""
        its = EDGES.c.name == name
        with self._database.writing() as connection:
            row = connection.execute(select(EDGES).where(its).with_for_update()).first()
            if row is None:
                raise UsageError("edge", name, "the name of an edge (halfopen edge list)")
            if row.revoked is None:
                now = self._database.now(connection)
                rows.let_go(connection, row, now)
                connection.execute(update(EDGES).where(its).values(revoked=now, session=None, alive=None))
                self._database.tell(connection)


def _edge(row: Row[Any]) -> Edge:
    return Edge(row.id, row.name, row.colo, row.created, row.revoked, row.alive, row.begun, row.heard)

"""Sessions of edges: the time for which one process speaks for an edge."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, Select, select

from halfopen.tunnels.schema import EDGES


class SessionError(Exception):
    """An edge that speaks without a session, or in one that is over: it has to begin a new one."""


@dataclass(frozen=True)
class Session:
    """The time an edge's process speaks for it; a new one ends it, and lets go of all it held. `edge` is the edge's id."""

    edge: str
    id: str


def checked(connection: Connection, session: Session) -> Row[Any]:
    """The row of the edge whose session goes on; SessionError where it is over."""
    return _found(connection, session, _its(session))


def kept(connection: Connection, session: Session, alone: bool = False) -> Row[Any]:
    """`checked`, and while this transaction lasts the session does not end, nor the lease; `alone` in it at that."""
    return _found(connection, session, _its(session).with_for_update(read=not alone))


def kept_each(connection: Connection, sessions: Iterable[Session]) -> dict[Session, Row[Any] | SessionError]:
    """`kept` for each of them, in the one order of edges."""
    found: dict[Session, Row[Any] | SessionError] = {}
    for session in sorted(sessions, key=lambda session: session.edge):
        try:
            found[session] = kept(connection, session)
        except SessionError as error:
            found[session] = error
    return found


def _its(session: Session) -> Select[Any]:
    return select(EDGES).where(EDGES.c.id == session.edge, EDGES.c.revoked.is_(None))


def _found(connection: Connection, session: Session, its: Select[Any]) -> Row[Any]:
    found = connection.execute(its).first()
    if found is None or found.session != session.id:
        raise SessionError(session.edge)
    return found

"""Edges that wait for news, and one look for all of them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, Lock

from sqlalchemy import exists, select

from halfopen.database.changes import Changes
from halfopen.database.database import Database
from halfopen.tunnels import rows
from halfopen.tunnels.schema import EDGES
from halfopen.tunnels.sessions import Session


class WaitingEdges:
    """Edges that wait. After each change, in whatever process, one look at the database finds those whom it concerns; only they
    are woken: who registers or sends a heartbeat is no news to anybody else."""

    def __init__(self, database: Database, changes: Changes) -> None:
        self._database = database
        self._changes = changes
        self._lock = Lock()
        self._waiting: set[Waiting] = set()
        self.closed = False
        changes.follow(self._look)

    @contextmanager
    def one(self, session: Session, routing: int) -> Iterator[Waiting]:
        """An edge that is going to wait and goes by a routing of this number. It looks for itself first, within the block: what happens from
        here on wakes it."""
        waiting = Waiting(self._changes, session, routing)
        with self._lock:
            self._waiting.add(waiting)
        try:
            yield waiting
        finally:
            with self._lock:
                self._waiting.discard(waiting)

    def close(self) -> None:
        """Let go who waits."""
        self.closed = True
        with self._lock:
            for each in self._waiting:
                each.woken.set()

    def _look(self) -> None:
        with self._lock:
            waiting = list(self._waiting)
        if not waiting:
            return
        closes = exists().where(rows.of_edge(EDGES.c.id), ~rows.LISTED)
        with self._database.reading() as connection:
            routing = rows.routing(connection)
            quiet = select(EDGES.c.id, EDGES.c.session).where(~closes)
            still = {Session(row.id, row.session) for row in connection.execute(quiet)}
        for each in waiting:
            if each.routing != routing or each.session not in still:
                each.woken.set()


@dataclass(eq=False)
class Waiting:
    """One edge that waits."""

    changes: Changes
    session: Session
    routing: int
    woken: Event = field(default_factory=Event)

    def wait(self, until: float) -> None:
        """Return when something may concern it, or at the time `until` (monotonic, s)."""
        self.changes.watch(until)
        self.woken.wait(max(until - time.monotonic(), 0))
        self.woken.clear()

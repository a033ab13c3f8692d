"""What passes through edges, by tunnel and hostname, as they tell it: sums since the session of each began.

A report replaces what the one before it said, so it may come twice or not at all. Once a session is over its sums are added to
those of the sessions before; they go with the tunnel.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, TypeAlias

import msgspec
from sqlalchemy import Connection, Row, select
from sqlalchemy.dialects import postgresql, sqlite

from halfopen.database.database import Database
from halfopen.tunnels import rows, sessions
from halfopen.tunnels.registry import SECOND
from halfopen.tunnels.schema import ROUTED, TRAFFIC
from halfopen.tunnels.sessions import Session

STALE: Final = 60
"""Seconds after a report for which its rates are believed: an edge tells of what changes every ten."""

_MOST: Final = 2**53
"""Of anything: a double holds it exactly."""

Number: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=_MOST)]
StatusClass: TypeAlias = Annotated[str, msgspec.Meta(pattern="^([1-9]xx|closed)$")]


class Sums(msgspec.Struct, frozen=True):
    """Requests that are over by class of status (`closed`: the visitor left before there was one), bytes of bodies from visitors (in)
    and to them (out), seconds from requests to the ends of their answers."""

    statuses: dict[StatusClass, Number]
    bytes_in: Number
    bytes_out: Number
    seconds: Annotated[float, msgspec.Meta(ge=0, le=_MOST)]

    @property
    def requests(self) -> int:
        """How many."""
        return sum(self.statuses.values())

    def __add__(self, other: Sums) -> Sums:
        statuses = Counter(self.statuses) + Counter(other.statuses)
        return Sums(
            dict(sorted(statuses.items())),
            self.bytes_in + other.bytes_in,
            self.bytes_out + other.bytes_out,
            self.seconds + other.seconds,
        )


NOTHING: Final = Sums({}, 0, 0, 0.0)


class Passed(msgspec.Struct, frozen=True):
    """What has passed to a hostname, as it leads to a tunnel, since the edge's session began; the last of it `ago` seconds."""

    tunnel: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
    hostname: Annotated[str, msgspec.Meta(max_length=253)]
    sums: Sums
    ago: Annotated[float, msgspec.Meta(ge=0, le=_MOST)]


class Rate(msgspec.Struct, frozen=True):
    """What passes in a second, as far as is known from the last report."""

    requests: float = 0.0
    bytes_in: float = 0.0
    bytes_out: float = 0.0

    def __add__(self, other: Rate) -> Rate:
        return Rate(
            self.requests + other.requests, self.bytes_in + other.bytes_in, self.bytes_out + other.bytes_out
        )


@dataclass(frozen=True)
class OfHostname:
    """All that has passed to a hostname of a tunnel, what passes now, and when the last request was over (microseconds)."""

    hostname: str
    sums: Sums
    rate: Rate
    last: int


class Traffic:
    """The traffic of every tunnel. Safe to share between threads; everything raises DatabaseError where the database fails."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def report(self, session: Session, passed: Sequence[Passed], within: float) -> None:
        """Keep what an edge tells, of which what is new has passed `within` so many seconds; what leads to no tunnel, or was never routed
        here, is left aside. SessionError where the session is over."""
        told = {(each.tunnel, each.hostname): each for each in passed}
        with self._database.writing() as connection:
            edge = sessions.kept(connection, session)
            now = self._database.now(connection)
            tunnels = rows.lock_tunnels(connection, {tunnel for tunnel, _ in told})
            names = rows.among(connection, ROUTED.c.hostname, {name for _, name in told})
            routed = set(connection.execute(select(ROUTED.c.hostname).where(names)).scalars())
            there = _of_edge(connection, edge.id, told)
            led = [key for key in sorted(told) if key[1] in routed and _is_there(tunnels.get(key[0]))]
            made = [
                row for key in led if (row := _row(told[key], there.get(key), edge, now, within)) is not None
            ]
            if made:
                _keep(connection, made)

    def of(self, tunnel: str) -> list[OfHostname]:
        """What has passed to the hostnames of a tunnel, busiest first."""
        with self._database.reading() as connection:
            now = self._database.now(connection)
            found = connection.execute(select(TRAFFIC).where(TRAFFIC.c.tunnel_id == tunnel)).all()
        told: dict[str, OfHostname] = {}
        for row in found:
            rate = Rate(**row.rate) if now - row.told < STALE * SECOND else Rate()
            one = OfHostname(row.hostname, _sums(row.counted) + _sums(row.before), rate, row.last)
            if (other := told.get(row.hostname)) is not None:
                one = OfHostname(
                    row.hostname, other.sums + one.sums, other.rate + rate, max(other.last, one.last)
                )
            told[row.hostname] = one
        return sorted(told.values(), key=lambda each: (-each.sums.requests, each.hostname))


def _is_there(tunnel: Row[Any] | None) -> bool:
    return tunnel is not None and tunnel.deleted is None


def _of_edge(
    connection: Connection, edge: str, keys: Collection[tuple[str, str]]
) -> dict[tuple[str, str], Row[Any]]:
    """What an edge has told of some tunnels and hostnames, and maybe of others of them."""
    tunnels, names = {tunnel for tunnel, _ in keys}, {name for _, name in keys}
    wanted = select(TRAFFIC).where(
        TRAFFIC.c.edge_id == edge,
        rows.among(connection, TRAFFIC.c.tunnel_id, tunnels),
        rows.among(connection, TRAFFIC.c.hostname, names),
    )
    return {(row.tunnel_id, row.hostname): row for row in connection.execute(wanted)}


def _row(
    passed: Passed, before: Row[Any] | None, edge: Row[Any], now: int, within: float
) -> dict[str, Any] | None:
    """The row that takes the place of the one before, if there is any; None where that knows more: the report is late."""
    ended, counted, since = NOTHING, NOTHING, edge.begun or now
    if before is not None:
        ended = _sums(before.before)
        if before.session == edge.session:
            counted, since = _sums(before.counted), before.told
        else:
            ended += _sums(before.counted)
    if passed.sums.requests < counted.requests:
        return None
    # Of a hostname that was quiet nothing was told for long: not all of that time is what passes in now.
    seconds = max(min((now - since) / SECOND, within), 1.0)
    return {
        "tunnel_id": passed.tunnel,
        "hostname": passed.hostname,
        "edge_id": edge.id,
        "session": edge.session,
        "counted": msgspec.to_builtins(passed.sums),
        "before": msgspec.to_builtins(ended),
        "rate": msgspec.to_builtins(_rate(passed.sums, counted, seconds)),
        "told": now,
        "last": now - round(passed.ago * SECOND),
    }


def _rate(now: Sums, before: Sums, seconds: float) -> Rate:
    grown = (
        now.requests - before.requests,
        now.bytes_in - before.bytes_in,
        now.bytes_out - before.bytes_out,
    )
    return Rate(*(each / seconds for each in grown))


def _sums(kept: Mapping[str, Any]) -> Sums:
    return Sums(**kept)


def _keep(connection: Connection, made: Sequence[Mapping[str, Any]]) -> None:
    keys = ["tunnel_id", "hostname", "edge_id"]
    put = (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(TRAFFIC)
    told = {name: put.excluded[name] for name in made[0] if name not in keys}
    connection.execute(put.on_conflict_do_update(index_elements=keys, set_=told), made)

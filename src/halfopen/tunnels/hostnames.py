"""Zones, and which hostname leads to which tunnel.

A hostname routes only inside a zone of its tunnel's account: because a route claims it, or because the tunnel's configuration, set here, names
it. A claim goes before a configuration, and a hostname that is free again leads to the oldest tunnel whose configuration names it. What a connector
reports of a configuration of its own routes nothing. Zones do not overlap, so a hostname lies in one at most.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from halfopen.accounts.credentials import new_identifier
from halfopen.database.database import Database
from halfopen.errors import ConflictError, InvalidError, MissingError, RefusedError, Rejected, UsageError
from halfopen.tunnels import leading, names, rows
from halfopen.tunnels.schema import HOSTNAMES, ROUTED, TUNNELS, ZONES

MOST_CLAIMS: Final = 1000
"""Claimed hostnames of a zone; one that a configuration names counts for nothing."""


@dataclass(frozen=True)
class Zone:
    """A name that belongs to an account with all below it; `created` in microseconds since 1970, UTC."""

    id: str
    account: str
    name: str
    created: int


@dataclass(frozen=True)
class Claimed:
    """A hostname that leads to a tunnel, and what that changed: ``new``, ``updated`` or ``unchanged``."""

    hostname: str
    change: Literal["new", "updated", "unchanged"]


@dataclass(frozen=True)
class Leading:
    """A hostname and the tunnel it leads to, because it was `claimed` or else by the tunnel's configuration."""

    hostname: str
    tunnel: str
    tunnel_name: str
    claimed: bool


class Hostnames:
    """The zones of an installation and what routes in them. Everything raises DatabaseError where the database fails."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add_zone(self, account: str, name: str) -> Zone:
        """Give a name, and all below it, to an account; what its tunnels' configurations name there routes from now on.

        UsageError where it is no name, lies in another zone or around one, or there is no such account.
        """
        wanted = names.zone_name(name)
        if wanted is None:
            raise UsageError("zone", name, "a domain such as example.com")
        # Alone: two overlapping zones at once would not see each other.
        with self._database.writing_alone() as connection:
            if not leading.lock_account(connection, account):
                raise UsageError("account", account, "the identifier of an account")
            for zone in connection.execute(select(ZONES)):
                if names.lies_in(wanted, zone.name) or names.lies_in(zone.name, wanted):
                    raise UsageError(
                        "zone", name, f"a domain outside of {zone.name}, which is a zone already"
                    )
            now = self._database.now(connection)
            row = {"id": new_identifier(), "account_id": account, "name": wanted, "created": now}
            made = connection.execute(insert(ZONES).values(row).returning(ZONES)).one()
            leading.fill(connection, [made.id], now)
            rows.reroute(connection)
            self._database.tell(connection)
        return _zone(made)

    def zones(self, account: str | None = None) -> list[Zone]:
        """The zones of an account, or all, by name."""
        wanted = select(ZONES).order_by(ZONES.c.name)
        if account is not None:
            wanted = wanted.where(ZONES.c.account_id == account)
        with self._database.reading() as connection:
            return [_zone(row) for row in connection.execute(wanted)]

    def zone(self, identifier: str) -> Zone | None:
        """A zone by its id, None where there is none."""
        with self._database.reading() as connection:
            row = connection.execute(select(ZONES).where(ZONES.c.id == identifier)).first()
        return _zone(row) if row else None

    def remove_zone(self, name: str) -> None:
        """Take a zone from its account; nothing routes there any more. UsageError where there is none."""
        with self._database.writing() as connection:
            zone = _named(connection, name)
            leading.lock_account(connection, zone.account_id)
            connection.execute(delete(ZONES).where(ZONES.c.id == zone.id))
            rows.reroute(connection)
            self._database.tell(connection)

    def claim(self, zone: Zone, identifier: str, text: str, overwrite: bool = False) -> Claimed:
        """Let a hostname of a zone lead to a tunnel of its account; a name without a dot is completed by the zone's.

        ConflictError where it leads to another tunnel and not `overwrite`, InvalidError where it does not lie in the zone,
        MissingError where the account has no such tunnel or zone, RefusedError where the zone has MOST_CLAIMS.
        """
        hostname = names.hostname(text if "." in text else f"{text}.{zone.name}")
        if hostname is None or not names.lies_in(hostname, zone.name):
            raise InvalidError([Rejected("user_hostname", text, f"a hostname in {zone.name}")], 1001)
        with self._database.writing() as connection:
            leading.lock_account(connection, zone.account)
            if connection.execute(select(ZONES.c.id).where(ZONES.c.id == zone.id)).first() is None:
                raise MissingError(1001, "Zone not found")
            tunnel = rows.lock_tunnels(connection, [identifier]).get(identifier)
            if tunnel is None or tunnel.account_id != zone.account or tunnel.deleted is not None:
                raise MissingError(1003, "Tunnel not found")
            its = HOSTNAMES.c.hostname == hostname
            holder = connection.execute(select(HOSTNAMES).where(its)).first()
            if holder is not None and holder.tunnel_id != identifier and not overwrite:
                other = leading.name_of(connection, holder.tunnel_id)
                raise ConflictError(1003, f"{hostname} leads to the tunnel {other} already")
            if holder is None or not holder.claimed:
                _check_room(connection, zone)
            values = {"tunnel_id": identifier, "claimed": True}
            if holder is not None:
                connection.execute(update(HOSTNAMES).where(its).values(values))
            else:
                more = {"hostname": hostname, "zone_id": zone.id, "created": self._database.now(connection)}
                connection.execute(insert(HOSTNAMES).values(values | more))
            if holder is None or holder.tunnel_id != identifier:
                rows.reroute(connection)
                self._database.tell(connection)
        if holder is None:
            return Claimed(hostname, "new")
        return Claimed(hostname, "unchanged" if holder.tunnel_id == identifier else "updated")

    def release(self, text: str) -> None:
        """Give a claim of a hostname back: it leads to the oldest tunnel whose configuration names it, or nowhere. UsageError
        where nobody claimed it."""
        its = HOSTNAMES.c.hostname == (names.hostname(text) or "")
        owner = select(ZONES.c.account_id).join(HOSTNAMES).where(its)
        gone = delete(HOSTNAMES).where(its, HOSTNAMES.c.claimed).returning(HOSTNAMES.c.zone_id)
        with self._database.writing() as connection:
            leading.lock_account(connection, connection.execute(owner).scalar() or "")
            left = connection.execute(gone).scalars().all()
            if not left:
                raise UsageError("hostname", text, "one that was claimed (halfopen zone hostnames DOMAIN)")
            leading.fill(connection, left, self._database.now(connection))
            rows.reroute(connection)
            self._database.tell(connection)

    def in_zone(self, name: str) -> list[Leading]:
        """What leads to tunnels in a zone, by hostname. UsageError where there is no such zone."""
        with self._database.reading() as connection:
            zone = _named(connection, name)
            wanted = select(HOSTNAMES, TUNNELS.c.name).join(TUNNELS).where(HOSTNAMES.c.zone_id == zone.id)
            found = connection.execute(wanted.order_by(HOSTNAMES.c.hostname)).all()
        return [Leading(row.hostname, row.tunnel_id, row.name, row.claimed) for row in found]

    def of_tunnel(self, identifier: str) -> dict[str, bool]:
        """The hostnames that lead to a tunnel, by name, each with whether it was claimed."""
        wanted = select(HOSTNAMES).where(HOSTNAMES.c.tunnel_id == identifier).order_by(HOSTNAMES.c.hostname)
        with self._database.reading() as connection:
            return {row.hostname: row.claimed for row in connection.execute(wanted)}

    def routing(self) -> dict[str, str]:
        """Every hostname and the id of the tunnel it leads to; ``*.`` before a name stands for any name below it."""
        wanted = select(HOSTNAMES.c.hostname, HOSTNAMES.c.tunnel_id)
        with self._database.reading() as connection:
            return {row.hostname: row.tunnel_id for row in connection.execute(wanted)}

    def changed(self, since: int) -> dict[str, str | None] | None:
        """The hostnames that lead elsewhere since the routing had the number `since`, None for nowhere; None where that is too long ago to
        tell."""
        wanted = select(ROUTED.c.hostname, ROUTED.c.tunnel_id).where(ROUTED.c.changed > since)
        with self._database.reading() as connection:
            if not 0 <= rows.routing(connection) - since < rows.REMEMBERED:
                return None
            return {row.hostname: row.tunnel_id for row in connection.execute(wanted)}


def _named(connection: Connection, name: str) -> Row[Any]:
    its = select(ZONES).where(ZONES.c.name == (names.zone_name(name) or ""))
    row = connection.execute(its).first()
    if row is None:
        raise UsageError("zone", name, "the name of a zone (halfopen zone list)")
    return row


def _check_room(connection: Connection, zone: Zone) -> None:
    claimed = select(func.count()).where(HOSTNAMES.c.zone_id == zone.id, HOSTNAMES.c.claimed)
    if connection.execute(claimed).scalar_one() >= MOST_CLAIMS:
        raise RefusedError(1003, f"{zone.name} has {MOST_CLAIMS:,} claimed hostnames, as many as a zone may")


def _zone(row: Row[Any]) -> Zone:
    return Zone(row.id, row.account_id, row.name, row.created)

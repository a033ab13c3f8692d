"""Zones, and which hostname leads to which tunnel.

A hostname routes only inside a zone of its tunnel's account: because a route claims it, or because the tunnel's configuration, set here, names
it. What a connector reports of a configuration of its own routes nothing. Zones do not overlap, so a hostname lies in one at most.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from halfopen.accounts.credentials import new_identifier
from halfopen.accounts.schema import ACCOUNTS
from halfopen.database.database import Database
from halfopen.errors import ConflictError, InvalidError, MissingError, Rejected, UsageError
from halfopen.tunnels import ingress, names, rows
from halfopen.tunnels.schema import CONFIGURATIONS, HOSTNAMES, TUNNELS, ZONES


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
            if connection.execute(select(ACCOUNTS.c.id).where(ACCOUNTS.c.id == account)).first() is None:
                raise UsageError("account", account, "the identifier of an account")
            for zone in connection.execute(select(ZONES)):
                if names.lies_in(wanted, zone.name) or names.lies_in(zone.name, wanted):
                    raise UsageError(
                        "zone", name, f"a domain outside of {zone.name}, which is a zone already"
                    )
            now = self._database.now(connection)
            row = {"id": new_identifier(), "account_id": account, "name": wanted, "created": now}
            made = connection.execute(insert(ZONES).values(row).returning(ZONES)).one()
            its = select(TUNNELS.c.id).where(TUNNELS.c.account_id == account, TUNNELS.c.deleted.is_(None))
            for tunnel in rows.lock_tunnels(connection, connection.execute(its).scalars().all()).values():
                take_configured(connection, tunnel, _configured(connection, tunnel.id), now, refuse=False)
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
            its = delete(ZONES).where(ZONES.c.name == (names.zone_name(name) or ""))
            if not connection.execute(its).rowcount:
                raise UsageError("zone", name, "the name of a zone (halfopen zone list)")
            rows.reroute(connection)
            self._database.tell(connection)

    def claim(self, zone: Zone, identifier: str, text: str, overwrite: bool = False) -> Claimed:
        """Let a hostname of a zone lead to a tunnel of its account; a name without a dot is completed by the zone's.

        ConflictError where it leads to another tunnel and not `overwrite`, InvalidError where it does not lie in the zone,
        MissingError where the account has no such tunnel.
        """
        hostname = names.hostname(text if "." in text else f"{text}.{zone.name}")
        if hostname is None or not names.lies_in(hostname, zone.name):
            raise InvalidError([Rejected("user_hostname", text, f"a hostname in {zone.name}")], 1001)
        with self._database.writing() as connection:
            tunnel = rows.lock_tunnels(connection, [identifier]).get(identifier)
            if tunnel is None or tunnel.account_id != zone.account or tunnel.deleted is not None:
                raise MissingError(1003, "Tunnel not found")
            its = HOSTNAMES.c.hostname == hostname
            holder = connection.execute(select(HOSTNAMES).where(its).with_for_update()).first()
            if holder is not None and holder.tunnel_id != identifier and not overwrite:
                raise ConflictError(
                    1003, f"{hostname} leads to the tunnel {_name(connection, holder.tunnel_id)} already"
                )
            values = {"tunnel_id": identifier, "claimed": True}
            if holder is not None:
                connection.execute(update(HOSTNAMES).where(its).values(values))
            else:
                more = {"hostname": hostname, "zone_id": zone.id, "created": self._database.now(connection)}
                connection.execute(insert(HOSTNAMES).values(values | more))
            rows.reroute(connection)
            self._database.tell(connection)
        if holder is None:
            return Claimed(hostname, "new")
        return Claimed(hostname, "unchanged" if holder.tunnel_id == identifier else "updated")

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


def take_configured(
    connection: Connection, tunnel: Row[Any], wanted: Collection[str], now: int, refuse: bool = True
) -> None:
    """Let the hostnames that a tunnel's configuration names lead to it, and no others that only a configuration named.

    What lies in no zone of the account does not route. What leads to another tunnel is refused, or with `refuse` false left as it is.
    """
    zones = connection.execute(select(ZONES).where(ZONES.c.account_id == tunnel.account_id)).all()
    inside = {name: zone.id for name in wanted for zone in zones if names.lies_in(name, zone.name)}
    held = {
        row.hostname: row.tunnel_id
        for row in connection.execute(select(HOSTNAMES).where(HOSTNAMES.c.hostname.in_(inside)))
    }
    for hostname, holder in held.items():
        if holder != tunnel.id and refuse:
            raise ingress.bad(f"{hostname} leads to the tunnel {_name(connection, holder)} already")
    its = (HOSTNAMES.c.tunnel_id == tunnel.id) & HOSTNAMES.c.claimed.is_(False)
    connection.execute(delete(HOSTNAMES).where(its, HOSTNAMES.c.hostname.not_in(inside)))
    new = [
        {"hostname": name, "zone_id": zone, "tunnel_id": tunnel.id, "claimed": False, "created": now}
        for name, zone in inside.items()
        if name not in held
    ]
    if new:
        connection.execute(insert(HOSTNAMES), new)


def current(connection: Connection, tunnel: str) -> Row[Any] | None:
    """The latest version of a tunnel's configuration."""
    latest = select(func.max(CONFIGURATIONS.c.version)).where(CONFIGURATIONS.c.tunnel_id == tunnel)
    its = (CONFIGURATIONS.c.tunnel_id == tunnel) & (CONFIGURATIONS.c.version == latest.scalar_subquery())
    return connection.execute(select(CONFIGURATIONS).where(its)).first()


def _configured(connection: Connection, tunnel: str) -> list[str]:
    row = current(connection, tunnel)
    if row is None or row.source != "cloudflare":
        return []
    config: Mapping[str, Any] = json.loads(row.config)
    return ingress.hostnames(config)


def _name(connection: Connection, tunnel: str) -> str:
    found: str | None = connection.execute(select(TUNNELS.c.name).where(TUNNELS.c.id == tunnel)).scalar()
    return found or tunnel


def _zone(row: Row[Any]) -> Zone:
    return Zone(row.id, row.account_id, row.name, row.created)

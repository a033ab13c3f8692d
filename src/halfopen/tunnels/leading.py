"""Which hostname leads to which tunnel, changed so that claims and configurations are followed: by those who hold `lock_account`.

Locks of PostgreSQL are taken in one order, so that nobody waits in a circle: the account, its tunnels (`rows.lock_tunnels`), hostnames, and
the counter of `rows.reroute` last. On SQLite whoever writes is alone.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from typing import Any

from sqlalchemy import Connection, Row, Select, delete, func, insert, or_, select

from halfopen.accounts.schema import ACCOUNTS
from halfopen.tunnels import ingress, names
from halfopen.tunnels.schema import CONFIGURATIONS, HOSTNAMES, TUNNELS, ZONES


def lock_account(connection: Connection, account: str) -> bool:
    """Let nobody else change the zones and hostnames of an account while this transaction lasts; whether there is such an account."""
    its = select(ACCOUNTS.c.id).where(ACCOUNTS.c.id == account)
    # FOR NO KEY UPDATE: who makes a tunnel in the account need not wait.
    return connection.execute(its.with_for_update(key_share=True)).first() is not None


def follow(
    connection: Connection, tunnel: Row[Any], wanted: Collection[str], before: Collection[str], now: int
) -> None:
    """Let what a tunnel's new configuration names lead to it, and nothing else that only its configuration `before` named.

    What lies in no zone of the account does not route. Refused (1056) is a name that leads to another tunnel, unless it was in the
    configuration before: then it was claimed away, and a claim goes before a configuration.
    """
    zones = connection.execute(select(ZONES).where(ZONES.c.account_id == tunnel.account_id)).all()
    inside = {name: zone.id for name in wanted for zone in zones if names.lies_in(name, zone.name)}
    held = select(HOSTNAMES).where(HOSTNAMES.c.hostname.in_(inside))
    holders = {row.hostname: row.tunnel_id for row in connection.execute(held)}
    for hostname, holder in holders.items():
        if holder != tunnel.id and hostname not in before:
            raise ingress.bad(f"{hostname} leads to the tunnel {name_of(connection, holder)} already")
    its = (HOSTNAMES.c.tunnel_id == tunnel.id) & HOSTNAMES.c.claimed.is_(False)
    dropped = delete(HOSTNAMES).where(its, HOSTNAMES.c.hostname.not_in(inside)).returning(HOSTNAMES.c.zone_id)
    left = connection.execute(dropped).scalars().all()
    _lead(connection, {name: (zone, tunnel.id) for name, zone in inside.items() if name not in holders}, now)
    fill(connection, left, now)


def leave(connection: Connection, tunnel: str, now: int) -> bool:
    """Let nothing lead to a tunnel that is deleted any more; whether anything did. Its configurations are forgotten."""
    connection.execute(delete(CONFIGURATIONS).where(CONFIGURATIONS.c.tunnel_id == tunnel))
    its = delete(HOSTNAMES).where(HOSTNAMES.c.tunnel_id == tunnel).returning(HOSTNAMES.c.zone_id)
    left = connection.execute(its).scalars().all()
    fill(connection, left, now)
    return bool(left)


def fill(connection: Connection, zones: Iterable[str], now: int) -> None:
    """In zones, by id: let each name that leads nowhere lead to the oldest tunnel whose configuration names it."""
    for zone in connection.execute(select(ZONES).where(ZONES.c.id.in_(set(zones)))).all():
        taken = select(HOSTNAMES.c.hostname).where(HOSTNAMES.c.zone_id == zone.id)
        leading = set(connection.execute(taken).scalars())
        found: dict[str, tuple[str, str]] = {}
        for row in connection.execute(_may_name(zone)):
            for name in ingress.hostnames(json.loads(row.config)):
                if names.lies_in(name, zone.name) and name not in leading:
                    found.setdefault(name, (zone.id, row.tunnel_id))
        _lead(connection, found, now)


def current(connection: Connection, tunnel: str) -> Row[Any] | None:
    """The latest version of a tunnel's configuration."""
    its = (CONFIGURATIONS.c.tunnel_id == tunnel) & (CONFIGURATIONS.c.version == _latest(tunnel))
    return connection.execute(select(CONFIGURATIONS).where(its)).first()


def name_of(connection: Connection, tunnel: str) -> str:
    """A tunnel's name, for words."""
    found: str | None = connection.execute(select(TUNNELS.c.name).where(TUNNELS.c.id == tunnel)).scalar()
    return found or tunnel


def _lead(connection: Connection, found: dict[str, tuple[str, str]], now: int) -> None:
    """Let hostnames that lead nowhere lead where configurations say: to a tunnel, in a zone, by their ids."""
    if found:
        new = [
            {"hostname": name, "zone_id": zone, "tunnel_id": tunnel, "claimed": False, "created": now}
            for name, (zone, tunnel) in found.items()
        ]
        connection.execute(insert(HOSTNAMES), new)


def _may_name(zone: Row[Any]) -> Select[Any]:
    """The configurations set here that may name something in a zone, the oldest tunnel's first."""
    # They are kept as ASCII: a name in other letters is an escape in them.
    says = func.lower(CONFIGURATIONS.c.config).contains(zone.name, autoescape=True)
    escaped = CONFIGURATIONS.c.config.contains(r"\u", autoescape=True)
    return (
        select(CONFIGURATIONS.c.tunnel_id, CONFIGURATIONS.c.config)
        .join(TUNNELS)
        .where(
            TUNNELS.c.account_id == zone.account_id,
            TUNNELS.c.deleted.is_(None),
            CONFIGURATIONS.c.source == "cloudflare",
            CONFIGURATIONS.c.version == _latest(TUNNELS.c.id),
            or_(says, escaped),
        )
        .order_by(TUNNELS.c.created, TUNNELS.c.id)
    )


def _latest(tunnel: Any) -> Any:
    versions = CONFIGURATIONS.alias()
    return select(func.max(versions.c.version)).where(versions.c.tunnel_id == tunnel).scalar_subquery()

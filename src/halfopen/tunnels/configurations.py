"""Configurations of tunnels, by version: set here and pushed to connectors, or reported by them."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from halfopen.database.database import Database
from halfopen.errors import MissingError, SizeError
from halfopen.tunnels import ingress, leading, rows
from halfopen.tunnels.leading import current
from halfopen.tunnels.schema import CONFIGURATIONS, CONNECTIONS, CONNECTORS, TUNNELS

LONGEST: Final = 256 << 10
"""Bytes of a configuration as JSON."""

_DEEPEST: Final = 32  # objects and lists in each other; what cloudflared knows needs seven
_KEPT: Final = 50  # versions of each tunnel
_MISSING: Final = "Configuration for tunnel not found"


@dataclass(frozen=True)
class Configuration:
    """One version of a tunnel's configuration; `config` is None at version 0, before the first. `created` in microseconds
    since 1970, UTC."""

    tunnel: str
    version: int
    source: str
    config: dict[str, Any] | None
    created: int


class Configurations:
    """The configurations of an installation's tunnels. Everything raises DatabaseError where the database fails, and
    MissingError (1055) where the account has no such tunnel or it is deleted."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, account: str, tunnel: str) -> Configuration:
        """The latest version."""
        with self._database.reading() as connection:
            its = select(TUNNELS).where(TUNNELS.c.id == tunnel, TUNNELS.c.account_id == account)
            row = connection.execute(its.where(TUNNELS.c.deleted.is_(None))).first()
            if row is None:
                raise MissingError(1055, _MISSING)
            return _latest(connection, row)

    def put(self, account: str, tunnel: str, config: Any) -> Configuration:
        """Set the next version, or leave the last one where it says the same; from then on the tunnel is configured here.

        RefusedError (1056) where cloudflared would not take it or a hostname leads to another tunnel.
        """
        kept = ingress.checked(config)
        text = _text(kept)
        with self._database.writing() as connection:
            leading.lock_account(connection, account)
            row = rows.lock_tunnels(connection, [tunnel]).get(tunnel)
            if row is None or row.account_id != account or row.deleted is not None:
                raise MissingError(1055, _MISSING)
            now = self._database.now(connection)
            last = _latest(connection, row)
            before = ingress.hostnames(last.config) if last.config and last.source == "cloudflare" else []
            same = last.source == "cloudflare" and last.config is not None and _text(last.config) == text
            made = last if same else _add(connection, row, "cloudflare", text, now)
            leading.follow(connection, row, ingress.hostnames(kept), before, now)
            number = rows.reroute(connection, anyway=not same)
            if not same:
                values = {"config_src": "cloudflare", "configured": number}
                connection.execute(update(TUNNELS).where(TUNNELS.c.id == tunnel).values(values))
            self._database.tell(connection)
        return made

    def to_push(
        self, edge: str, since: int | None = None, tunnels: Collection[str] | None = None
    ) -> list[Configuration]:
        """The latest configurations that were set here of the tunnels of which an edge (its id) holds connections: all, those that
        are newer than the routing number `since`, or those of some `tunnels`."""
        held = select(CONNECTIONS.c.tunnel_id).where(rows.of_edge(edge), rows.LISTED)
        of_each = (CONFIGURATIONS.c.tunnel_id == TUNNELS.c.id) & (CONFIGURATIONS.c.source == "cloudflare")
        newest = select(func.max(CONFIGURATIONS.c.version)).where(of_each).correlate(TUNNELS)
        latest = of_each & (CONFIGURATIONS.c.version == newest.scalar_subquery())
        wanted = select(CONFIGURATIONS).join(TUNNELS, latest).where(TUNNELS.c.id.in_(held))
        wanted = wanted.where(TUNNELS.c.config_src == "cloudflare")
        if since is not None:
            wanted = wanted.where(TUNNELS.c.configured > since)
        with self._database.reading() as connection:
            if tunnels is not None:
                wanted = wanted.where(rows.among(connection, TUNNELS.c.id, tunnels))
            return [_configuration(row) for row in connection.execute(wanted)]

    def report(self, tunnel: str, config: Any, connection_id: str) -> None:
        """Keep what the connector behind a connection says its own configuration is: a version of its own where it differs from the
        last, which is the one that the connector uses."""
        text = _text(config)
        with self._database.writing() as connection:
            row = rows.lock_tunnels(connection, [tunnel]).get(tunnel)
            if row is None or row.deleted is not None or row.config_src != "local":
                return
            last = current(connection, tunnel)
            if last is not None and last.config == text:
                version = last.version
            else:
                version = _add(connection, row, "local", text, self._database.now(connection)).version
            its = select(CONNECTIONS.c.connector_id).where(CONNECTIONS.c.id == connection_id)
            whose = (CONNECTORS.c.tunnel_id == tunnel) & (CONNECTORS.c.id == its.scalar_subquery())
            connection.execute(update(CONNECTORS).where(whose).values(config_version=version))


def _add(connection: Connection, tunnel: Row[Any], source: str, text: str, now: int) -> Configuration:
    last = current(connection, tunnel.id)
    version = (last.version if last else 0) + 1
    row = {"tunnel_id": tunnel.id, "version": version, "source": source, "config": text, "created": now}
    connection.execute(insert(CONFIGURATIONS).values(row))
    old = (CONFIGURATIONS.c.tunnel_id == tunnel.id) & (CONFIGURATIONS.c.version <= version - _KEPT)
    connection.execute(delete(CONFIGURATIONS).where(old))
    return Configuration(tunnel.id, version, source, json.loads(text), now)


def _latest(connection: Connection, tunnel: Row[Any]) -> Configuration:
    row = current(connection, tunnel.id)
    if row is None:
        return Configuration(tunnel.id, 0, tunnel.config_src, None, tunnel.created)
    return _configuration(row)


def _configuration(row: Row[Any]) -> Configuration:
    return Configuration(row.tunnel_id, row.version, row.source, json.loads(row.config), row.created)


def _text(config: Any) -> str:
    if _deeper(config, _DEEPEST):
        raise ingress.bad(f"Validation failed: config is nested deeper than {_DEEPEST}")
    text = json.dumps(config, separators=(",", ":"), sort_keys=True)
    if len(text) > LONGEST:
        raise SizeError(413, "config", LONGEST)
    return text


def _deeper(value: Any, than: int) -> bool:
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return inside is not None and (than == 0 or any(_deeper(each, than - 1) for each in inside))

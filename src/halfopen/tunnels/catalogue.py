"""The tunnels of accounts: made, found, changed, deleted, and what is connected to them listed and cleaned up.

Every question names the account, and a tunnel of another one is as if there were none (A13).
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, Connection, Row, delete, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from halfopen.accounts.records import add_account
from halfopen.accounts.schema import ACCOUNTS
from halfopen.database.changes import Changes
from halfopen.database.database import Database
from halfopen.errors import ConflictError, MissingError, RefusedError, UsageError
from halfopen.tunnels import leading, rows
from halfopen.tunnels.records import HEALTHY, Connector, Link, Status, Tunnel
from halfopen.tunnels.registry import Registry
from halfopen.tunnels.schema import CONNECTIONS, CONNECTORS, TRAFFIC, TUNNELS
from halfopen.tunnels.vault import RunToken, Vault, new_secret

CLOSED_WITHIN: Final = 5.0
"""Seconds for which a clean-up waits until edges have closed what they held."""

MOST_TUNNELS: Final = 1_000
"""Tunnels of an account, deleted ones not counted: Cloudflare's own number."""

_LONGEST_NAME: Final = 100
_TAKEN: Final = (
    "You already have a tunnel with this name. Choose another name, or delete the tunnel that has it."
)
_THERE: Final = "There is a tunnel with the id {} already."
_GONE: Final = "The tunnel with the id {} was deleted here. Its id is not given again: make a new tunnel."
_CONNECTED: Final = (
    "This tunnel has active connections. Please stop all cloudflared replicas, or wait a few minutes for connections "
    "to close, then try again."
)


@dataclass(frozen=True)
class Filter:
    """Which tunnels are wanted; times in microseconds. `deleted`: only those, only the others, or (None) both."""

    id: str | None = None
    name: str | None = None
    prefixes: tuple[str, ...] = ()
    without_prefix: str | None = None
    deleted: bool | None = False
    existed_at: int | None = None
    active_at: int | None = None
    inactive_at: int | None = None
    status: Status | None = None

    def conditions(self, account: str) -> list[ColumnElement[bool]]:
        """What must hold of a tunnel of the account."""
        found = [TUNNELS.c.account_id == account]
        if self.deleted is not None:
            found.append(TUNNELS.c.deleted.is_not(None) if self.deleted else TUNNELS.c.deleted.is_(None))
        if self.id is not None:
            found.append(TUNNELS.c.id == self.id)
        if self.name is not None:
            found.append(TUNNELS.c.name == self.name)
        found += [TUNNELS.c.name.startswith(each, autoescape=True) for each in self.prefixes]
        if self.without_prefix is not None:
            found.append(~TUNNELS.c.name.startswith(self.without_prefix, autoescape=True))
        if self.existed_at is not None:
            later = or_(TUNNELS.c.deleted.is_(None), TUNNELS.c.deleted > self.existed_at)
            found += [TUNNELS.c.created <= self.existed_at, later]
        if self.active_at is not None:
            found.append(TUNNELS.c.active <= self.active_at)
        if self.inactive_at is not None:
            found.append(TUNNELS.c.inactive <= self.inactive_at)
        if self.status is not None:
            found.append(_stands(self.status))
        return found


class Tunnels:
    """The tunnels of an installation. Safe to share between threads.

    Everything that names a tunnel raises MissingError where the account has none with that id; everything raises
    DatabaseError where the database fails.
    """

    def __init__(self, database: Database, changes: Changes, vault: Vault, registry: Registry) -> None:
        self._database = database
        self._changes = changes
        self._vault = vault
        self._registry = registry

    # --- tunnels

    def create(
        self,
        account: str,
        name: str,
        config_src: str = "local",
        secret: bytes | None = None,
    ) -> tuple[Tunnel, RunToken]:
        """Make a tunnel, with a secret of its own unless one is brought along.

        ConflictError where the name is taken, UsageError where the name cannot be one, RefusedError where the account has
        MOST_TUNNELS.
        """
        _check_name(name)
        token = RunToken(account, str(uuid4()), secret or new_secret())
        with self._database.writing() as connection:
            return self._make(connection, token, name, config_src), token

    def adopt(self, token: RunToken, name: str) -> tuple[Tunnel, bool]:
        """Make the tunnel of a token from elsewhere, and its account where there is none with its id: whether it is new.

        ConflictError where the name or the id is taken, UsageError where the name cannot be one; then no account is made either.
        """
        _check_name(name)
        with self._database.writing_alone() as connection:
            its = select(ACCOUNTS.c.id).where(ACCOUNTS.c.id == token.account)
            is_new = connection.execute(its).first() is None
            if is_new:
                add_account(connection, token.account, "Imported")
            return self._make(connection, token, name, "local"), is_new

    def get(self, account: str, identifier: str) -> Tunnel:
        """A tunnel, a deleted one too."""
        self._registry.sweep()
        with self._database.reading() as connection:
            row = _named(connection, account, identifier)
            return _tunnel(row, self._links(connection, [identifier]))

    def find(self, account: str, which: Filter, page: int, per_page: int) -> tuple[list[Tunnel], int]:
        """A page (from 1) of the tunnels that are wanted, oldest first, and how many there are in all."""
        self._registry.sweep()
        wanted = select(TUNNELS).where(*which.conditions(account)).order_by(TUNNELS.c.created, TUNNELS.c.id)
        with self._database.reading() as connection:
            total = connection.execute(select(func.count()).select_from(wanted.order_by(None).subquery()))
            shown = connection.execute(wanted.limit(per_page).offset((page - 1) * per_page)).all()
            links: dict[str, list[Link]] = {}
            for tunnel, link in self._linked(connection, [row.id for row in shown]):
                links.setdefault(tunnel, []).append(link)
            return [_tunnel(row, links.get(row.id, ())) for row in shown], total.scalar_one()

    def edit(
        self, account: str, identifier: str, name: str | None = None, secret: bytes | None = None
    ) -> Tunnel:
        """Give a tunnel another name or secret. Who is connected with the old secret stays so (see `clean_up`)."""
        if name is not None:
            _check_name(name)
        values: dict[str, Any] = {} if name is None else {"name": name}
        with self._database.writing() as connection:
            row = _locked(connection, account, identifier)
            if secret is not None:
                self._vault.check(connection)
                values["secret"] = self._vault.seal(identifier, secret)
            if values:
                changed = update(TUNNELS).where(TUNNELS.c.id == identifier).values(values).returning(TUNNELS)
                try:
                    row = connection.execute(changed).one()
                except IntegrityError:
                    raise ConflictError(1013, _TAKEN) from None
            return _tunnel(row, self._links(connection, [identifier]))

    def delete(self, account: str, identifier: str, cascade: bool = False) -> Tunnel:
        """Delete a tunnel; with `cascade` what is connected is cleaned up, without it that is refused.

        Its name, hostnames and configuration are free again; it is still found by its id.
        """
        self._registry.sweep()
        with self._database.writing() as connection:
            leading.lock_account(connection, account)
            _locked(connection, account, identifier)
            its = CONNECTIONS.c.tunnel_id == identifier
            if not cascade and connection.execute(select(CONNECTIONS.c.id).where(its, rows.LISTED)).first():
                raise RefusedError(1022, _CONNECTED)
            now = self._registry.clock(connection)
            held = rows.put_away(connection, its, now)
            rows.settle(connection, [identifier], now)
            if leading.leave(connection, identifier, now):
                rows.reroute(connection)
            connection.execute(delete(TRAFFIC).where(TRAFFIC.c.tunnel_id == identifier))
            gone = update(TUNNELS).where(TUNNELS.c.id == identifier).values(deleted=now).returning(TUNNELS)
            row = connection.execute(gone).one()
            self._database.tell(connection)
        self._wait_closed(held)
        return _tunnel(row, ())

    def token(self, account: str, identifier: str) -> RunToken:
        """What a connector of a tunnel is started with."""
        with self._database.reading() as connection:
            row = _named(connection, account, identifier)
        if row.deleted is not None:
            raise MissingError(1003, _MISSING)
        return RunToken(account, identifier, self._vault.unseal(identifier, row.secret))

    # --- what is connected

    def version(self) -> str:
        """A text that is another one once a tunnel, its configuration or what is connected has changed, for who looks on."""
        self._registry.sweep()
        with self._database.reading() as connection:
            told = [
                connection.execute(asked).all()
                for asked in (
                    select(TUNNELS.c.id, TUNNELS.c.name, TUNNELS.c.deleted, TUNNELS.c.configured).order_by(
                        TUNNELS.c.id
                    ),
                    select(CONNECTORS.c.id, CONNECTORS.c.config_version).order_by(
                        CONNECTORS.c.id, CONNECTORS.c.tunnel_id
                    ),
                    select(CONNECTIONS.c.id, CONNECTIONS.c.lost, CONNECTIONS.c.dead).order_by(
                        CONNECTIONS.c.id
                    ),
                )
            ]
        return sha256(repr(told).encode()).hexdigest()

    def connectors(self, account: str, identifier: str) -> list[Connector]:
        """What is connected to a tunnel, by connector, the one that came first first."""
        self._registry.sweep()
        with self._database.reading() as connection:
            _named(connection, account, identifier)
            links: dict[str, list[Link]] = {}
            for link in self._links(connection, [identifier]):
                links.setdefault(link.connector, []).append(link)
            its = select(CONNECTORS).where(CONNECTORS.c.tunnel_id == identifier)
            found = connection.execute(its.order_by(CONNECTORS.c.run, CONNECTORS.c.id)).all()
            return [
                Connector(
                    row.id,
                    row.version,
                    row.arch,
                    tuple(row.features),
                    row.run,
                    row.config_version,
                    tuple(links[row.id]),
                )
                for row in found
                if row.id in links
            ]

    def clean_up(self, account: str, identifier: str, connector: str | None = None) -> None:
        """Close every connection of a tunnel, or of one of its connectors; an unknown one has none (A14).

        They are in no list any more at once. Returns when each edge that holds one has closed it, or after 5 s; an edge
        that is told too late closes them with its next heartbeat.
        """
        self._registry.sweep()
        with self._database.writing() as connection:
            _locked(connection, account, identifier, deleted_too=True)
            its = CONNECTIONS.c.tunnel_id == identifier
            if connector is not None:
                its &= CONNECTIONS.c.connector_id == connector
            now = self._registry.clock(connection)
            held = rows.put_away(connection, its, now)
            rows.settle(connection, [identifier], now)
            self._database.tell(connection)
        self._wait_closed(held)

    # --- inside

    def _make(self, connection: Connection, token: RunToken, name: str, config_src: str) -> Tunnel:
        self._vault.check(connection)
        _check_room(connection, token.account)
        same = connection.execute(select(TUNNELS.c.deleted).where(TUNNELS.c.id == token.tunnel)).first()
        if same is not None:
            raise ConflictError(1013, (_THERE if same.deleted is None else _GONE).format(token.tunnel))
        now = self._registry.clock(connection)
        row = {
            "id": token.tunnel, "account_id": token.account, "name": name, "config_src": config_src,
            "secret": self._vault.seal(token.tunnel, token.secret), "created": now, "ran": False, "inactive": now,
        }  # fmt: skip
        try:
            return _tunnel(connection.execute(insert(TUNNELS).values(row).returning(TUNNELS)).one(), ())
        except IntegrityError:
            raise ConflictError(1013, _TAKEN) from None

    def _wait_closed(self, ids: Collection[str]) -> None:
        until = time.monotonic() + CLOSED_WITHIN
        left = set(ids)
        while left and time.monotonic() < until:
            seen = self._changes.count
            with self._database.reading() as connection:
                still = select(CONNECTIONS.c.id).where(rows.among(connection, CONNECTIONS.c.id, left))
                left = set(connection.execute(still).scalars())
            if left:
                self._changes.wait(seen, until)

    def _links(self, connection: Connection, tunnels: Sequence[str]) -> list[Link]:
        return [link for _, link in self._linked(connection, tunnels)]

    def _linked(self, connection: Connection, tunnels: Sequence[str]) -> list[tuple[str, Link]]:
        """The listed connections of some tunnels, each with the id of its own."""
        kept = CONNECTIONS.c.lost.is_(None) | (CONNECTIONS.c.lost > self._registry.pending_since(connection))
        wanted = (
            select(CONNECTIONS, CONNECTORS.c.version)
            .join(
                CONNECTORS,
                (CONNECTORS.c.tunnel_id == CONNECTIONS.c.tunnel_id)
                & (CONNECTORS.c.id == CONNECTIONS.c.connector_id),
            )
            .where(CONNECTIONS.c.tunnel_id.in_(tunnels), rows.LISTED, kept)
            .order_by(CONNECTIONS.c.opened, CONNECTIONS.c.conn_index, CONNECTIONS.c.id)
        )
        return [
            (
                row.tunnel_id,
                Link(
                    row.id, row.connector_id, row.version, row.conn_index, row.edge_id, row.colo, row.origin_ip,
                    row.opened, row.lost,
                ),
            )
            for row in connection.execute(wanted)
        ]  # fmt: skip


_MISSING: Final = "Tunnel not found"


def _named(connection: Connection, account: str, identifier: str) -> Row[Any]:
    its = select(TUNNELS).where(TUNNELS.c.id == identifier, TUNNELS.c.account_id == account)
    row = connection.execute(its).first()
    if row is None:
        raise MissingError(1003, _MISSING)
    return row


def _locked(connection: Connection, account: str, identifier: str, deleted_too: bool = False) -> Row[Any]:
    row = rows.lock_tunnels(connection, [identifier]).get(identifier)
    if row is None or row.account_id != account or (row.deleted is not None and not deleted_too):
        raise MissingError(1003, _MISSING)
    return row


def _tunnel(row: Row[Any], links: Sequence[Link]) -> Tunnel:
    return Tunnel(
        row.id, row.account_id, row.name, row.config_src, row.created, row.deleted, row.active, row.inactive, row.ran,
        tuple(links),
    )  # fmt: skip


def _stands(status: Status) -> ColumnElement[bool]:
    """What must hold of a tunnel that stands so: `records.status_of`, in SQL."""
    live = (
        select(func.count())
        .where(CONNECTIONS.c.tunnel_id == TUNNELS.c.id, rows.LISTED, CONNECTIONS.c.lost.is_(None))
        .scalar_subquery()
    )
    match status:
        case Status.healthy:
            return live >= HEALTHY
        case Status.degraded:
            return live.between(1, HEALTHY - 1)
        case Status.down:
            return (live == 0) & TUNNELS.c.ran
        case Status.inactive:
            return (live == 0) & ~TUNNELS.c.ran


def _check_room(connection: Connection, account: str) -> None:
    its = (TUNNELS.c.account_id == account) & TUNNELS.c.deleted.is_(None)
    if connection.execute(select(func.count()).where(its)).scalar_one() >= MOST_TUNNELS:
        raise RefusedError(
            1003, f"This account has {MOST_TUNNELS:,} tunnels, as many as an account may. Delete one first."
        )


def _check_name(name: str) -> None:
    if not 1 <= len(name) <= _LONGEST_NAME or not name.isprintable() or name.isspace():
        raise UsageError("name", name, f"1 to {_LONGEST_NAME} printable characters, not only spaces")
    try:
        UUID(name)
    except ValueError:
        return
    raise UsageError("name", name, "a name; clients take a UUID for an id")

"""Users, accounts and tokens: made, listed, revoked, and recognised."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, bindparam, false, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from halfopen.accounts import credentials
from halfopen.accounts.permissions import ADMIN, EDGE_REPORT, PERMISSIONS, SENSOR_WRITE
from halfopen.accounts.principal import Account, Principal, Refusal, TokenRecord, User
from halfopen.accounts.schema import ACCOUNTS, INSTALLATION, MEMBERSHIPS, TOKENS, USERS
from halfopen.accounts.sign_ins import SignIns
from halfopen.database.database import Database
from halfopen.errors import DatabaseError, UsageError
from halfopen.model import SENSOR_NAME, SENSOR_NAMES

FIRST_USER: Final = "admin@localhost"
"""E-mail of the user that a new installation begins with."""

_USED_EVERY: Final = 60_000_000  # microseconds between two notes of a token's use
_BY_LOOKUP: Final = (  # made once: it is asked for every request
    select(TOKENS, USERS.c.email, USERS.c.created.label("user_created"))
    .join(USERS)
    .where(TOKENS.c.lookup == bindparam("lookup"))
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Accounts:
    """The users, accounts and tokens of an installation. Safe to share between threads.

    Everything raises DatabaseError where the database fails.
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self._key = self._begun()
        self.sign_ins = SignIns(self)

    @classmethod
    def open(cls, data: Path, url: str | None = None) -> Accounts:
        """Those of a data directory, or of the PostgreSQL database at `url`; tables are brought up to date."""
        return cls(Database.open(data, url))

    def close(self) -> None:
        """Close the database."""
        self.database.close()

    def check(self) -> None:
        """Nothing, if the database answers."""
        with self.database.reading() as connection:
            connection.execute(select(INSTALLATION.c.id))

    # --- users and accounts

    def create_key(self, email: str, key: str | None = None) -> tuple[User, str]:
        """A new key of a user, returned only now; the one before is useless from now on.

        A user who does not exist is made, a member of every account. `key` is one brought along, which must be
        as random as ours: 32 to 80 characters.
        """
        if not credentials.EMAIL.fullmatch(email):
            raise UsageError("e-mail", email, "an address such as user@example.com")
        if key is not None and not credentials.KEY.fullmatch(key):
            raise UsageError("key", "what was given", "32 to 80 characters of 0-9, A-Z, a-z, _ and -")
        key = key or credentials.new_secret()
        with self.database.writing_alone() as connection:
            row = connection.execute(select(USERS).where(USERS.c.email == email)).first()
            if row is None:
                user = User(credentials.new_identifier(), email, _moment(_now()))
                _add_user(connection, user)
            else:
                user = User(row.id, row.email, _moment(row.created))
            digest = self.digest(key)
            connection.execute(update(USERS).where(USERS.c.id == user.id).values(key_digest=digest))
        return user, key

    def create_account(self, name: str, identifier: str | None = None) -> Account:
        """Make an account of which every user is a member."""
        if not 1 <= len(name) <= 100 or not name.isprintable():
            raise UsageError("name", name, "1 to 100 printable characters")
        identifier = identifier or credentials.new_identifier()
        if not credentials.IDENTIFIER.fullmatch(identifier):
            raise UsageError("account", identifier, "at most 32 characters of 0-9, A-Z, a-z, _ and -")
        with self.database.writing_alone() as connection:
            try:
                return add_account(connection, identifier, name)
            except IntegrityError:
                raise UsageError("account", identifier, "an identifier that no account has yet") from None

    def every_account(self) -> list[Account]:
        """Every account, oldest first."""
        with self.database.reading() as connection:
            rows = connection.execute(select(ACCOUNTS).order_by(ACCOUNTS.c.created, ACCOUNTS.c.id)).all()
        return [Account(row.id, row.name, _moment(row.created)) for row in rows]

    def accounts(self, principal: Principal) -> list[Account]:
        """The accounts that a principal may see, oldest first."""
        with self.database.reading() as connection:
            rows = connection.execute(_seen_by(principal)).all()
        return [Account(row.id, row.name, _moment(row.created)) for row in rows]

    def account(self, principal: Principal, identifier: str) -> Account | None:
        """An account by its identifier, None where there is none or this principal may not see it."""
        with self.database.reading() as connection:
            row = connection.execute(_seen_by(principal).where(ACCOUNTS.c.id == identifier)).first()
        return Account(row.id, row.name, _moment(row.created)) if row else None

    # --- tokens

    def create_token(
        self,
        permissions: Iterable[str],
        account: str | None = None,
        expires: datetime | timedelta | None = None,
        name: str = "",
        sensor: str | None = None,
        edge: str | None = None,
    ) -> tuple[str, TokenRecord]:
        """Make a token of the first user: the token itself, which is not kept, and its record.

        Raises UsageError for an unknown permission, account or sensor name, and a time that is over.
        """
        held = tuple(sorted(set(permissions)))
        now = _now()
        ends = expires if not isinstance(expires, timedelta) else _moment(now) + expires
        _check_token(held, sensor, edge, name)
        if ends is not None and _micros(ends) <= now:
            raise UsageError("expires", ends, "a time to come")
        token = credentials.new_secret()
        whole = self.digest(token)
        with self.database.writing() as connection:
            known = select(ACCOUNTS.c.id).where(ACCOUNTS.c.id == account)
            if account is not None and connection.execute(known).first() is None:
                raise UsageError("account", account, "the identifier of an account")
            user = (
                connection.execute(select(USERS.c.id).order_by(USERS.c.created, USERS.c.id)).scalars().first()
            )
            row: dict[str, Any] = {
                "id": credentials.new_identifier(),
                "lookup": credentials.lookup(whole),
                "digest": whole,
                "name": name,
                "user_id": user,
                "account_id": account,
                "sensor": sensor,
                "edge": edge,
                "permissions": list(held),
                "created": now,
                "expires": None if ends is None else _micros(ends),
            }
            connection.execute(insert(TOKENS).values(row))
            made = connection.execute(select(TOKENS).where(TOKENS.c.id == row["id"])).one()
        return token, _record(made)

    def list_tokens(self) -> list[TokenRecord]:
        """Every token, oldest first, revoked ones too."""
        with self.database.reading() as connection:
            rows = connection.execute(select(TOKENS).order_by(TOKENS.c.created, TOKENS.c.id)).all()
        return [_record(row) for row in rows]

    def revoke_token(self, identifier: str) -> None:
        """Make a token, by its id, useless from now on; UsageError where there is none."""
        with self.database.writing() as connection:
            if connection.execute(select(TOKENS.c.id).where(TOKENS.c.id == identifier)).first() is None:
                raise UsageError("token", identifier, "the id of a token (halfopen token list)")
            still = (TOKENS.c.id == identifier) & TOKENS.c.revoked.is_(None)
            connection.execute(update(TOKENS).where(still).values(revoked=_now()))

    # --- who asks

    def verify(self, token: str) -> Principal | Refusal:
        """Whose token this is, or why it is not accepted."""
        whole = self.digest(token)
        with self.database.reading() as connection:
            row = connection.execute(_BY_LOOKUP, {"lookup": credentials.lookup(whole)}).first()
        if row is None or not credentials.same(row.digest, whole):
            return Refusal.unknown
        return self.accepted(row)

    def accepted(self, row: Row[Any]) -> Principal | Refusal:
        """Whose the token of a row is, with its user's `email` and `user_created`, or why it is not accepted."""
        now = _now()
        if row.revoked is not None:
            return Refusal.revoked
        if row.expires is not None and row.expires <= now:
            return Refusal.expired
        if row.used is None or row.used + _USED_EVERY <= now:
            self._note_use(row.id, now)
        return Principal(
            user=User(row.user_id, row.email, _moment(row.user_created)),
            permissions=frozenset(row.permissions),
            account=row.account_id,
            sensor=row.sensor,
            edge=row.edge,
            token=row.id,
            expires=None if row.expires is None else _moment(row.expires),
        )

    def digest(self, secret: str) -> bytes:
        """What is kept of a secret."""
        return credentials.digest(secret, self._key)

    def now(self) -> int:
        """Microseconds since 1970."""
        return _now()

    def verify_key(self, email: str, key: str) -> Principal | Refusal:
        """Whose e-mail and key these are: a user with every permission but a sensor's."""
        whole = self.digest(key)
        with self.database.reading() as connection:
            row = connection.execute(select(USERS).where(USERS.c.email == email)).first()
        # A user who does not exist, or has no key, costs the same comparison.
        if (
            not credentials.same(row.key_digest if row and row.key_digest else bytes(32), whole)
            or row is None
        ):
            return Refusal.unknown
        return Principal(User(row.id, row.email, _moment(row.created)), frozenset({ADMIN}))

    # --- inside

    def _note_use(self, identifier: str, now: int) -> None:
        seen = or_(TOKENS.c.used.is_(None), TOKENS.c.used + _USED_EVERY <= now)
        try:
            with self.database.writing() as connection:
                connection.execute(update(TOKENS).where(TOKENS.c.id == identifier, seen).values(used=now))
        except DatabaseError:
            pass  # a full or read-only disk keeps nobody from asking

    def _begun(self) -> bytes:
        """The key of the installation's digests; the first time it is made, with a first user and account."""
        wanted = select(INSTALLATION.c.digest_key)
        with self.database.reading() as connection:
            key = connection.execute(wanted).scalar()
        if key is None:
            with self.database.writing_alone() as connection:
                key = connection.execute(wanted).scalar() or _begin(connection)
        return bytes(key)


def _begin(connection: Connection) -> bytes:
    key = credentials.new_secret().encode()
    now = _moment(_now())
    connection.execute(insert(INSTALLATION).values(id=1, digest_key=key))
    add_account(connection, credentials.new_identifier(), "Halfopen")
    _add_user(connection, User(credentials.new_identifier(), FIRST_USER, now))
    return key


def _add_user(connection: Connection, user: User) -> None:
    row = {"id": user.id, "email": user.email, "created": _micros(user.created)}
    connection.execute(insert(USERS).values(row))
    every = connection.execute(select(ACCOUNTS.c.id)).scalars().all()
    _join(connection, [(user.id, account) for account in every])


def add_account(connection: Connection, identifier: str, name: str) -> Account:
    """Make an account of which every user is a member, in a transaction that writes alone; both texts are such as can be kept."""
    account = Account(identifier, name, _moment(_now()))
    row = {"id": account.id, "name": account.name, "created": _micros(account.created)}
    connection.execute(insert(ACCOUNTS).values(row))
    every = connection.execute(select(USERS.c.id)).scalars().all()
    _join(connection, [(user, account.id) for user in every])
    return account


def _seen_by(principal: Principal) -> Select[Any]:
    wanted = select(ACCOUNTS).join(MEMBERSHIPS).where(MEMBERSHIPS.c.user_id == principal.user.id)
    if principal.edge is not None:
        wanted = wanted.where(false())  # it reports for all of them, and is a member of none
    elif principal.account is not None:
        wanted = wanted.where(ACCOUNTS.c.id == principal.account)
    return wanted.order_by(ACCOUNTS.c.created, ACCOUNTS.c.id)


def _join(connection: Connection, pairs: Sequence[tuple[str, str]]) -> None:
    if pairs:
        rows = [{"user_id": user, "account_id": account} for user, account in pairs]
        connection.execute(insert(MEMBERSHIPS), rows)


def _check_token(permissions: Sequence[str], sensor: str | None, edge: str | None, name: str) -> None:
    if not permissions:
        raise UsageError("permission", "none", "at least one permission")
    for each in permissions:
        if each not in PERMISSIONS:
            raise UsageError("permission", each, ", ".join(PERMISSIONS))
    if (SENSOR_WRITE in permissions) != (sensor is not None):
        raise UsageError("sensor", sensor or "none", f"a sensor's name together with {SENSOR_WRITE}")
    if (EDGE_REPORT in permissions) != (edge is not None):
        raise UsageError("permission", EDGE_REPORT, "for an edge's key only (halfopen edge enrol)")
    if sensor is not None and not re.fullmatch(SENSOR_NAME, sensor):
        raise UsageError("sensor", sensor, SENSOR_NAMES)
    if len(name) > 100 or not name.isprintable():
        raise UsageError("name", name, "at most 100 printable characters")


def _record(row: Row[Any]) -> TokenRecord:
    times = [None if time is None else _moment(time) for time in (row.expires, row.revoked, row.used)]
    return TokenRecord(
        row.id, row.name, row.user_id, tuple(row.permissions), row.account_id, row.sensor, row.edge,
        _moment(row.created), *times,
    )  # fmt: skip


def _now() -> int:
    return time.time_ns() // 1000


def _micros(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)


def _moment(micros: int) -> datetime:
    return _EPOCH + timedelta(microseconds=micros)

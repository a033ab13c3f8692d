"""Who asks, and what is known of users, accounts and tokens."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from halfopen.accounts import permissions


class Refusal(StrEnum):
    """Why a credential is not accepted. For the log: a client is not told more than that it is not."""

    unknown = "unknown"
    expired = "expired"
    revoked = "revoked"


@dataclass(frozen=True)
class User:
    """A user; `created` is UTC."""

    id: str
    email: str
    created: datetime


@dataclass(frozen=True)
class Account:
    """An account, the owner of tunnels; `created` is UTC."""

    id: str
    name: str
    created: datetime


@dataclass(frozen=True)
class TokenRecord:
    """What is kept of a token, without its secret; times are UTC, `used` is exact to a minute."""

    id: str
    name: str
    user: str
    permissions: tuple[str, ...]
    account: str | None
    sensor: str | None
    edge: str | None
    created: datetime
    expires: datetime | None
    revoked: datetime | None
    used: datetime | None

    def state(self, now: datetime) -> str:
        """``active``, or why it is not accepted."""
        if self.revoked is not None:
            return Refusal.revoked.value
        return Refusal.expired.value if self.expires is not None and self.expires <= now else "active"


@dataclass(frozen=True)
class Principal:
    """Who asks: a user, by a token or by the older key.

    `account` is the only account this principal may see, None: every one of the user's. `sensor` is the only
    sensor it may write, `edge` the edge whose key it is. `token` is the id of the token, None with a key.
    """

    user: User
    permissions: frozenset[str]
    account: str | None = None
    sensor: str | None = None
    edge: str | None = None
    token: str | None = None
    expires: datetime | None = None

    def may(self, opened_by: frozenset[str]) -> bool:
        """Whether what any of `opened_by` opens is open to it; an empty set is open to everybody."""
        return permissions.opens(self.permissions, opened_by)

    def __str__(self) -> str:
        return f"token:{self.token}" if self.token else f"user:{self.user.id}"

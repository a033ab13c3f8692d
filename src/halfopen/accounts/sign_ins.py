"""Sign-ins: who looks at pages in a browser, by a secret in its cookie instead of the token that was typed once."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from sqlalchemy import bindparam, delete, insert, select

from halfopen.accounts import credentials
from halfopen.accounts.principal import Principal, Refusal
from halfopen.accounts.schema import SIGN_INS, TOKENS, USERS

if TYPE_CHECKING:
    from halfopen.accounts.records import Accounts

LASTS: Final = timedelta(days=7)
"""How long a sign-in lasts, if its token is good for so long."""

_BY_LOOKUP: Final = (
    select(
        TOKENS,
        USERS.c.email,
        USERS.c.created.label("user_created"),
        SIGN_INS.c.digest.label("secret_digest"),
        SIGN_INS.c.expires.label("ends"),
    )
    .select_from(SIGN_INS.join(TOKENS).join(USERS))
    .where(SIGN_INS.c.lookup == bindparam("lookup"))
)


class SignIns:
    """The sign-ins of an installation. Safe to share between threads; everything raises DatabaseError where the database fails."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    def begin(self, token: str) -> str | Refusal:
        """The secret of a new sign-in, which is not kept, or why the token is not accepted. Those that are over are forgotten."""
        known = self._accounts.verify(token)
        if isinstance(known, Refusal):
            return known
        secret = credentials.new_secret()
        digest = self._accounts.digest(secret)
        with self._accounts.database.writing() as connection:
            now = self._accounts.now()
            connection.execute(delete(SIGN_INS).where(SIGN_INS.c.expires <= now))
            row = {
                "lookup": credentials.lookup(digest),
                "digest": digest,
                "token_id": known.token,
                "created": now,
                "expires": now + LASTS // timedelta(microseconds=1),
            }
            connection.execute(insert(SIGN_INS).values(row))
        return secret

    def principal(self, secret: str) -> Principal | Refusal:
        """Who is signed in by a secret, or why nobody is: the token that was typed must still be good."""
        digest = self._accounts.digest(secret)
        with self._accounts.database.reading() as connection:
            row = connection.execute(_BY_LOOKUP, {"lookup": credentials.lookup(digest)}).first()
        if row is None or not credentials.same(row.secret_digest, digest):
            return Refusal.unknown
        if row.ends <= self._accounts.now():
            return Refusal.expired
        return self._accounts.accepted(row)

    def end(self, secret: str) -> None:
        """Make a secret useless from now on."""
        lookup = credentials.lookup(self._accounts.digest(secret))
        with self._accounts.database.writing() as connection:
            connection.execute(delete(SIGN_INS).where(SIGN_INS.c.lookup == lookup))

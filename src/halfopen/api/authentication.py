"""Who asks: from the headers of a request to a principal.

Credentials are looked at before the path is, so that without good ones every path under the API answers
alike and nobody learns which exist.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from halfopen.accounts import Account, Principal, Refusal
from halfopen.accounts.credentials import EMAIL, KEY, TOKEN
from halfopen.errors import CredentialsError, HeadersError, TokenError

AUTHORIZATION: Final = "Authorization"
_SHAPES: Final = {AUTHORIZATION: 6111, "X-Auth-Email": 6102, "X-Auth-Key": 6103}
"""Headers with credentials, and the code of a bad shape of each."""

_BEARER: Final = re.compile(r"bearer +(\S+)", re.IGNORECASE)


class Verifier(Protocol):
    """What knows tokens and keys: halfopen.accounts.Accounts, or what stands in for it. It may raise DatabaseError."""

    def check(self) -> None:
        """Nothing, if it answers."""
        ...

    def verify(self, token: str) -> Principal | Refusal:
        """Whose token this is, or why it is not accepted."""
        ...

    def verify_key(self, email: str, key: str) -> Principal | Refusal:
        """Whose e-mail and key these are, or why they are not accepted."""
        ...

    def account(self, principal: Principal, identifier: str) -> Account | None:
        """An account, where the principal may see it."""
        ...


@dataclass(frozen=True)
class Bearer:
    """A token, well-formed."""

    token: str


@dataclass(frozen=True)
class EmailAndKey:
    """An e-mail and a key, well-formed."""

    email: str
    key: str


def credentials(headers: Sequence[tuple[bytes, bytes]]) -> Bearer | EmailAndKey:
    """The credentials among the headers of a request; a token goes before an e-mail and a key.

    Raises HeadersError where one has not the right shape or stands there twice, CredentialsError where there
    are none.
    """
    wanted = {name.lower().encode(): name for name in _SHAPES}
    found: dict[str, list[str]] = {}
    for raw, value in headers:
        if (name := wanted.get(raw.lower())) is not None:
            found.setdefault(name, []).append(value.decode("latin-1").strip())
    if AUTHORIZATION in found:
        bearer = _BEARER.fullmatch(_only(found, AUTHORIZATION))
        if bearer is None or not TOKEN.fullmatch(bearer[1]):
            raise HeadersError((_SHAPES[AUTHORIZATION], AUTHORIZATION))
        return Bearer(bearer[1])
    if len(found) < 2:
        raise CredentialsError(given=False)
    email, key = _only(found, "X-Auth-Email"), _only(found, "X-Auth-Key")
    bad = [("X-Auth-Email", EMAIL.fullmatch(email)), ("X-Auth-Key", KEY.fullmatch(key))]
    if wrong := [(_SHAPES[name], name) for name, fits in bad if not fits]:
        raise HeadersError(*wrong)
    return EmailAndKey(email, key)


def _only(found: dict[str, list[str]], name: str) -> str:
    """The value of a header; nothing that fits a shape where it stands there twice."""
    values = found[name]
    return values[0] if len(values) == 1 else ""


def authenticated(given: Bearer | EmailAndKey, verifier: Verifier, verifying: bool) -> Principal:
    """Whose the credentials are; `verifying` is true where the question is whether a token is good.

    Raises TokenError or CredentialsError where nobody's, whatever the reason is.
    """
    if isinstance(given, Bearer):
        found = verifier.verify(given.token)
        if isinstance(found, Refusal):
            raise TokenError(verifying, found.value)
        return found
    found = verifier.verify_key(given.email, given.key)
    if isinstance(found, Refusal):
        raise CredentialsError(given=True, reason=found.value)
    return found

"""What clients ask first: whether their token is good, who they are, which accounts there are."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from halfopen.accounts import Account, Accounts
from halfopen.accounts.permissions import ANYBODY, USER
from halfopen.api.errors import Answer
from halfopen.api.parameters import PAGE, Parameter, per_page
from halfopen.api.routes import Call, Route, answered, page
from halfopen.api.shapes import Time
from halfopen.errors import ForbiddenError, TokenError

PER_PAGE: Final = 20

Identifier: TypeAlias = Annotated[str, msgspec.Meta(max_length=32)]

ACCOUNT_ID: Final = Parameter(
    "account_id", "Identifier of the account.", "an identifier of an account", pattern="^[0-9A-Za-z_-]{1,32}$"
)
"""The account in a path; the application lets only those through who may see it."""

_DIRECTION: Final = Parameter(
    "direction", "Direction of the list, by age.", "asc or desc", values=("asc", "desc")
)
_NAME: Final = Parameter("name", "Only accounts of this name.", "a name")


class TokenStatus(msgspec.Struct, frozen=True):
    """A token that is good: the others are told by an error."""

    id: Identifier
    status: Literal["active", "disabled", "expired"]
    expires_on: Time | UnsetType = UNSET


class AccountSettings(msgspec.Struct, frozen=True):
    """Settings of an account."""

    enforce_twofactor: bool = False


class AccountResult(msgspec.Struct, frozen=True):
    """An account as clients see it."""

    id: Identifier
    name: str
    type: Literal["standard", "enterprise"]
    settings: AccountSettings
    created_on: Time


class UserResult(msgspec.Struct, frozen=True):
    """A user as clients see it."""

    id: Identifier
    email: str
    created_on: Time
    first_name: str | None = None
    last_name: str | None = None
    suspended: bool = False
    two_factor_authentication_enabled: bool = False
    organizations: tuple[dict[str, str], ...] = ()


def identity_routes(accounts: Accounts) -> tuple[Route, ...]:
    """The routes that need nothing but the accounts."""
    return (
        Route(
            "GET", "/user/tokens/verify", _verify, "Verify a token", TokenStatus, ANYBODY,
            tags=("User",), verifies=True,
        ),
        Route("GET", "/user", _user, "The user of the credentials", UserResult, USER, tags=("User",)),
        Route(
            "GET", "/accounts", partial(_accounts, accounts), "The accounts one may see",
            list[AccountResult], ANYBODY,
            parameters=(_DIRECTION, _NAME, PAGE, per_page(1, 50, PER_PAGE)), tags=("Accounts",), paged=True,
        ),
        Route(
            "GET", "/accounts/{account_id}", _account, "One account", AccountResult, ANYBODY,
            path_parameters=(ACCOUNT_ID,), tags=("Accounts",),
        ),
    )  # fmt: skip


def _verify(call: Call) -> Answer:
    principal = call.principal
    if principal.token is None:
        raise TokenError(verifying=True)  # a key is no token
    return answered(TokenStatus(principal.token, "active", principal.expires or UNSET))


def _user(call: Call) -> Answer:
    user = call.principal.user
    return answered(UserResult(user.id, user.email, user.created))


def _accounts(accounts: Accounts, call: Call) -> Answer:
    found = accounts.accounts(call.principal)
    if name := call.one("name"):
        found = [each for each in found if each.name == name]
    if call.one("direction") == "desc":
        found.reverse()
    return page(call, [_shown(each) for each in found], PER_PAGE)


def _account(call: Call) -> Answer:
    if call.account is None:
        raise ForbiddenError
    return answered(_shown(call.account))


def _shown(account: Account) -> AccountResult:
    return AccountResult(account.id, account.name, "standard", AccountSettings(), account.created)

"""Users, accounts and tokens: what is made, recognised and refused, and what is kept of a secret."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, text

from halfopen.accounts import Accounts, Principal, Refusal, records
from halfopen.accounts.permissions import (
    ADMIN,
    ANYBODY,
    CONNECTIONS,
    PERMISSIONS,
    RADAR,
    SENSOR,
    TUNNELS_READ,
    TUNNELS_WRITE,
    USER,
)
from halfopen.accounts.schema import USERS
from halfopen.database.metadata import METADATA
from halfopen.errors import UsageError
from tests.databases.database import Database


@pytest.fixture
def accounts(database: Database) -> Iterator[Accounts]:
    with database.accounts() as found:
        yield found


def verified(accounts: Accounts, *permissions: str, **more: Any) -> Principal:
    found = accounts.verify(accounts.create_token(permissions, **more)[0])
    assert isinstance(found, Principal)
    return found


def test_a_token_is_what_terraform_accepts_and_is_recognised(accounts: Accounts) -> None:
    token, record = accounts.create_token(["radar:read", "connections:read"], name="notebook")
    assert re.fullmatch(r"[0-9A-Za-z\-_]{40,80}", token)
    assert not token.startswith(("-", "_"))
    found = accounts.verify(token)
    assert isinstance(found, Principal)
    assert found.token == record.id
    assert found.permissions == {"radar:read", "connections:read"}
    assert found.user.email == "admin@localhost"
    assert accounts.verify(token[:-1] + ("a" if token[-1] != "a" else "b")) is Refusal.unknown
    assert accounts.verify("") is Refusal.unknown


def test_no_secret_is_kept(database: Database) -> None:
    with database.accounts() as accounts:
        token, _ = accounts.create_token(["admin"])
        _, key = accounts.create_key("user@example.com")
        accounts.verify(token)
    with database.connection() as connection:
        rows = [connection.execute(select(table)).all() for table in METADATA.sorted_tables]
    kept = [repr(rows).encode(), *(file.read_bytes() for file in database.data.iterdir())]
    assert "user@example.com" in repr(rows)
    for secret in (token, key):
        assert not any(secret.encode() in each for each in kept)


def test_digests_of_two_installations_differ(databases: Callable[[str], Database]) -> None:
    digests = set()
    for name in "ab":
        database = databases(name)
        with database.accounts() as accounts:
            accounts.create_key("user@example.com", key="k" * 40)
        with database.connection() as connection:
            digests |= set(connection.execute(select(USERS.c.key_digest)).scalars()) - {None}
    assert len(digests) == 2


def test_a_token_ends(accounts: Accounts, monkeypatch: pytest.MonkeyPatch) -> None:
    token, record = accounts.create_token(["admin"], expires=timedelta(hours=1))
    assert record.expires is not None
    assert isinstance(accounts.verify(token), Principal)
    soon = int(record.expires.timestamp() * 1e6)
    monkeypatch.setattr(records, "_now", lambda: soon)
    assert accounts.verify(token) is Refusal.expired
    with pytest.raises(UsageError, match="a time to come"):
        accounts.create_token(["admin"], expires=datetime(2020, 1, 1, tzinfo=UTC))


def test_a_revoked_token_is_useless_and_stays_in_the_list(accounts: Accounts) -> None:
    token, record = accounts.create_token(["admin"])
    kept, _ = accounts.create_token(["admin"])
    accounts.revoke_token(record.id)
    (first, second) = accounts.list_tokens()
    assert accounts.verify(token) is Refusal.revoked
    assert isinstance(accounts.verify(kept), Principal)
    now = datetime.now(UTC)
    assert (first.state(now), second.state(now)) == ("revoked", "active")
    accounts.revoke_token(record.id)
    assert accounts.list_tokens()[0].revoked == first.revoked  # the first time counts
    with pytest.raises(UsageError, match="id of a token"):
        accounts.revoke_token("none")


def test_the_last_use_is_noted_once_a_minute(accounts: Accounts, monkeypatch: pytest.MonkeyPatch) -> None:
    token, record = accounts.create_token(["admin"])
    assert record.used is None
    start, noted = records._now(), []
    for seconds in (0, 59, 60, 61):
        monkeypatch.setattr(records, "_now", lambda seconds=seconds: start + seconds * 1_000_000)
        accounts.verify(token)
        (used,) = [each.used for each in accounts.list_tokens()]
        noted.append(int(used.timestamp() * 1e6) - start if used else None)
    assert noted == [0, 0, 60_000_000, 60_000_000]


def test_a_token_of_a_database_that_cannot_be_written_is_still_good(database: Database) -> None:
    with database.accounts() as accounts:
        token, _ = accounts.create_token(["admin"])
    if database.url:
        with database.connection() as connection:
            name = connection.engine.url.database
            connection.execute(text(f"ALTER DATABASE {name} SET default_transaction_read_only = on"))
    with database.accounts() as accounts:
        if not database.url:
            with accounts.database._engine.connect() as connection:
                connection.exec_driver_sql("PRAGMA query_only = ON")
                connection.rollback()
        assert isinstance(accounts.verify(token), Principal)
        assert accounts.list_tokens()[0].used is None


@pytest.mark.parametrize(
    ("permissions", "more", "wrong"),
    [
        ([], {}, "permission"),
        (["radar"], {}, "permission"),
        (["radar:read"], {"sensor": "web-1"}, "sensor"),
        (["annotations:write"], {}, "permission"),
        (["sensor:write"], {}, "sensor"),
        (["sensor:write"], {"sensor": "../x"}, "sensor"),
        (["sensor:write"], {"sensor": "a" * 64}, "sensor"),
        (["sensor:write"], {"sensor": "other"}, "sensor"),
        (["sensor:write"], {"sensor": "-dash"}, "sensor"),
        (["radar:read"], {"account": "0" * 32}, "account"),
        (["radar:read"], {"name": "a\nb"}, "name"),
        (["radar:read"], {"name": "a" * 101}, "name"),
    ],
)
def test_what_no_token_can_have(
    accounts: Accounts, permissions: list[str], more: dict[str, str], wrong: str
) -> None:
    with pytest.raises(UsageError) as failed:
        accounts.create_token(permissions, **more)  # type: ignore[arg-type]
    assert failed.value.name == wrong
    assert accounts.list_tokens() == []


def test_an_account_of_ones_own(accounts: Accounts) -> None:
    other = accounts.create_account("Another", "699d98642c564d2e855e9661899b7252")
    every = verified(accounts, "admin")
    scoped = verified(accounts, "admin", account=other.id)
    assert [each.name for each in accounts.accounts(every)] == ["Halfopen", "Another"]
    assert accounts.accounts(scoped) == [other]
    (own, _) = accounts.accounts(every)
    assert accounts.account(scoped, own.id) is None
    assert accounts.account(scoped, other.id) == other
    assert accounts.account(every, "none") is None
    with pytest.raises(UsageError, match="no account has yet"):
        accounts.create_account("Twice", other.id)
    with pytest.raises(UsageError, match="32 characters"):
        accounts.create_account("Long", "a" * 33)


def test_an_email_and_its_key(accounts: Accounts) -> None:
    user, key = accounts.create_key("user@example.com", key="144c9defac04969c7bfad8efaa8ea194")
    found = accounts.verify_key("user@example.com", key)
    assert isinstance(found, Principal)
    assert (found.user, found.token) == (user, None)
    assert found.may(RADAR)
    assert not found.may(SENSOR)
    assert len(accounts.accounts(found)) == 1
    assert accounts.verify_key("user@example.com", key[:-1] + "x") is Refusal.unknown
    assert accounts.verify_key("nobody@example.com", key) is Refusal.unknown
    assert accounts.verify_key("admin@localhost", key) is Refusal.unknown  # has none
    same, other = accounts.create_key("user@example.com")
    assert same == user
    assert accounts.verify_key("user@example.com", key) is Refusal.unknown
    assert isinstance(accounts.verify_key("user@example.com", other), Principal)
    with pytest.raises(UsageError, match="such as"):
        accounts.create_key("nobody")
    with pytest.raises(UsageError) as failed:
        accounts.create_key("b@example.com", key="weak secret")
    assert "weak secret" not in str(failed.value)


OPENS = {
    "radar": RADAR, "connections": CONNECTIONS, "sensor": SENSOR, "user": USER,
    "read tunnels": TUNNELS_READ, "write tunnels": TUNNELS_WRITE,
}  # fmt: skip


@pytest.mark.parametrize(
    ("permission", "opened"),
    [
        ("radar:read", ["radar"]),
        ("User Details Read", ["radar", "user"]),
        ("User Details Write", ["radar", "user"]),
        ("connections:read", ["connections"]),
        ("sensor:write", ["sensor"]),
        ("Cloudflare One Connectors Read", ["read tunnels"]),
        ("Cloudflare One Connectors Write", ["read tunnels", "write tunnels"]),
        ("Cloudflare One Connector: cloudflared Read", ["read tunnels"]),
        ("Cloudflare One Connector: cloudflared Write", ["read tunnels", "write tunnels"]),
        ("Cloudflare Tunnel Read", ["read tunnels"]),
        ("Cloudflare Tunnel Write", ["read tunnels", "write tunnels"]),
        (ADMIN, [name for name in OPENS if name != "sensor"]),
    ],
)
def test_what_each_permission_opens(accounts: Accounts, permission: str, opened: list[str]) -> None:
    more = {"sensor": "web-1"} if permission == "sensor:write" else {}
    principal = verified(accounts, permission, **more)
    assert principal.sensor == more.get("sensor")
    assert [name for name, by in OPENS.items() if principal.may(by)] == opened
    assert principal.may(ANYBODY)
    assert permission in PERMISSIONS

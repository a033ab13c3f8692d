"""Sign-ins: how long they last, and what is kept of them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from halfopen.accounts import Accounts, Principal, Refusal, records
from halfopen.accounts.schema import SIGN_INS, TOKENS
from halfopen.accounts.sign_ins import LASTS
from tests.databases.database import Database

WEEK = LASTS // timedelta(microseconds=1)


@pytest.fixture
def accounts(database: Database) -> Iterator[Accounts]:
    with database.accounts() as found:
        yield found


def begun(accounts: Accounts, token: str) -> str:
    secret = accounts.sign_ins.begin(token)
    assert not isinstance(secret, Refusal)
    return secret


def kept(database: Database) -> int:
    with database.connection() as connection:
        return int(connection.execute(select(func.count()).select_from(SIGN_INS)).scalar_one())


def test_who_is_signed_in_is_whose_the_token_is(accounts: Accounts) -> None:
    token, _ = accounts.create_token(["radar:read"])
    assert accounts.sign_ins.principal(begun(accounts, token)) == accounts.verify(token)
    assert accounts.sign_ins.principal(token) is Refusal.unknown
    assert accounts.sign_ins.principal("x" * 40) is Refusal.unknown


def test_a_sign_in_is_no_token(accounts: Accounts) -> None:
    token, _ = accounts.create_token(["admin"])
    secret = begun(accounts, token)
    assert accounts.verify(secret) is Refusal.unknown
    assert accounts.sign_ins.begin(secret) is Refusal.unknown


def test_it_dies_with_its_token(accounts: Accounts, monkeypatch: pytest.MonkeyPatch) -> None:
    revoked, record = accounts.create_token(["admin"])
    short, ending = accounts.create_token(["admin"], expires=timedelta(hours=1))
    first, second = begun(accounts, revoked), begun(accounts, short)
    accounts.revoke_token(record.id)
    assert accounts.sign_ins.principal(first) is Refusal.revoked
    assert accounts.sign_ins.begin(revoked) is Refusal.revoked
    assert isinstance(accounts.sign_ins.principal(second), Principal)
    assert ending.expires is not None
    monkeypatch.setattr(records, "_now", lambda: int(ending.expires.timestamp() * 1e6))
    assert accounts.sign_ins.principal(second) is Refusal.expired
    assert accounts.sign_ins.begin(short) is Refusal.expired


def test_it_lasts_a_week_and_is_forgotten(
    accounts: Accounts, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    token, _ = accounts.create_token(["admin"])
    start = records._now()
    monkeypatch.setattr(records, "_now", lambda: start)
    secret = begun(accounts, token)
    monkeypatch.setattr(records, "_now", lambda: start + WEEK - 1)
    assert isinstance(accounts.sign_ins.principal(secret), Principal)
    monkeypatch.setattr(records, "_now", lambda: start + WEEK)
    assert accounts.sign_ins.principal(secret) is Refusal.expired
    assert kept(database) == 1
    begun(accounts, token)
    assert kept(database) == 1
    assert accounts.sign_ins.principal(secret) is Refusal.unknown


def test_one_that_is_ended_leaves_the_others(accounts: Accounts, database: Database) -> None:
    token, _ = accounts.create_token(["admin"])
    one, other = begun(accounts, token), begun(accounts, token)
    accounts.sign_ins.end(one)
    accounts.sign_ins.end(one)
    assert accounts.sign_ins.principal(one) is Refusal.unknown
    assert isinstance(accounts.sign_ins.principal(other), Principal)
    assert kept(database) == 1


def test_no_secret_is_kept(database: Database) -> None:
    with database.accounts() as accounts:
        token, _ = accounts.create_token(["admin"])
        secret = begun(accounts, token)
    with database.connection() as connection:
        rows = repr(connection.execute(select(SIGN_INS)).all()).encode()
        connection.execute(TOKENS.delete())
    for each in (rows, *(file.read_bytes() for file in database.data.iterdir())):
        assert secret.encode() not in each
    assert kept(database) == 0  # it cannot be there without its token

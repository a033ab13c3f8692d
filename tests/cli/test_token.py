"""`halfopen token`: made once, shown once, listed and revoked."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from halfopen.accounts import Principal, Refusal
from tests.cli.conftest import Ran
from tests.databases.database import Database

Run = Callable[..., Ran]


def test_a_token_stands_alone_on_standard_output(halfopen: Run, database: Database) -> None:
    create = ("token", "create", "--data", database.data, "--permission", "radar:read", "--expires", "30d")
    made = halfopen(*create)
    assert made.code == 0
    assert re.fullmatch(r"[0-9A-Za-z_-]{40}\n", made.out)
    assert "not shown again" in made.err
    assert made.out.strip() not in made.err
    with database.accounts() as accounts:
        found = accounts.verify(made.out.strip())
    assert isinstance(found, Principal)
    assert found.permissions == {"radar:read"}
    assert found.expires is not None
    assert timedelta(days=29.9) < found.expires - datetime.now(UTC) < timedelta(days=30)


def test_a_token_for_one_account(halfopen: Run, database: Database) -> None:
    with database.accounts() as accounts:
        other = accounts.create_account("Another")
    create = ("token", "create", "--data", database.data, "--permission", "Cloudflare Tunnel Read")
    token = halfopen(*create, "--account", other.id).out.strip()
    with database.accounts() as accounts:
        found = accounts.verify(token)
        assert isinstance(found, Principal)
        assert accounts.accounts(found) == [other]
    assert other.id in halfopen("token", "list", "--data", database.data).out


def test_the_list_and_the_end_of_a_token(halfopen: Run, database: Database) -> None:
    create = ("token", "create", "--data", database.data)
    token = halfopen(
        *create, "--permission", "sensor:write", "--sensor", "web-1", "--name", "the web server"
    ).out
    halfopen(*create, "--permission", "radar:read", "--permission", "User Details Read", "--expires", "12h")
    listed = halfopen("token", "list", "--data", database.data).out
    assert token.strip() not in listed
    head, first, second = listed.splitlines()
    assert head.split()[:3] == ["Id", "Name", "Permissions"]
    assert re.search(r"the web server +sensor:write +every +web-1 .* - +- +active$", first)
    assert "User Details Read, radar:read" in second
    revoked = halfopen("token", "revoke", "--data", database.data, first.split()[0])
    assert (revoked.code, revoked.out) == (0, f"token {first.split()[0]} is revoked\n")
    assert halfopen("token", "list", "--data", database.data).out.splitlines()[1].endswith("revoked")
    with database.accounts() as accounts:
        assert accounts.verify(token.strip()) is Refusal.revoked


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--permission", "all"], "permission: all cannot be used; accepted: radar:read"),
        (["--permission", "radar:read", "--expires", "soon"], "--expires: soon cannot be used"),
        (["--permission", "radar:read", "--expires", "0d"], "--expires: 0d cannot be used"),
        (["--permission", "radar:read", "--expires", "99999w"], "--expires: 99999w cannot be used"),
        (["--permission", "radar:read", "--account", "x"], "account: x cannot be used"),
        (["--permission", "sensor:write"], "sensor: none cannot be used"),
        ([], "required: --permission"),
    ],
)
def test_what_cannot_be_made(halfopen: Run, database: Database, arguments: list[str], said: str) -> None:
    made = halfopen("token", "create", "--data", database.data, *arguments)
    assert (made.code, made.out) == (2, "")
    assert said in made.err
    assert "\n" not in made.err.strip()


def test_a_key_goes_with_an_email(halfopen: Run, database: Database) -> None:
    make = ("token", "key", "user@example.com", "--data", database.data)
    first, second = (halfopen(*make).out for _ in range(2))
    assert re.fullmatch(r"[0-9A-Za-z_-]{40}\n", second)
    with database.accounts() as accounts:
        assert accounts.verify_key("user@example.com", first.strip()) is Refusal.unknown
        assert isinstance(accounts.verify_key("user@example.com", second.strip()), Principal)
    assert halfopen("token", "key", "nobody", "--data", database.data).code == 2


def test_a_token_that_does_not_exist_cannot_be_revoked(halfopen: Run, database: Database) -> None:
    assert "halfopen token list" in halfopen("token", "revoke", "--data", database.data, "none").err


def test_without_a_directory_it_is_that_of_the_user(
    halfopen: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert halfopen("token", "create", "--permission", "admin").code == 0
    assert (tmp_path / "halfopen" / "accounts.sqlite").exists()


def test_a_database_that_fails_is_told_in_one_line(
    halfopen: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HALFOPEN_ACCOUNTS_URL", "mysql://me:secret@127.0.0.1/x")
    ran = halfopen("token", "list", "--data", tmp_path)
    assert ran.code == 1
    assert (
        ran.err
        == "halfopen: mysql://me:***@127.0.0.1/x: not a URL such as postgresql://user:password@host/database\n"
    )

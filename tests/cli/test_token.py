"""`halfopen token`: made once, shown once, listed and revoked."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from halfopen.accounts import Accounts, Principal, Refusal
from tests.cli.conftest import Ran

Run = Callable[..., Ran]


def test_a_token_stands_alone_on_standard_output(halfopen: Run, tmp_path: Path) -> None:
    data = tmp_path / "data"
    made = halfopen("token", "create", "--data", data, "--permission", "radar:read", "--expires", "30d")
    assert made.code == 0
    assert re.fullmatch(r"[0-9A-Za-z_-]{40}\n", made.out)
    assert "not shown again" in made.err
    assert made.out.strip() not in made.err
    accounts = Accounts.open(data)
    found = accounts.verify(made.out.strip())
    assert isinstance(found, Principal)
    assert found.permissions == {"radar:read"}
    accounts.close()


def test_the_list_and_the_end_of_a_token(halfopen: Run, tmp_path: Path) -> None:
    create = ("token", "create", "--data", tmp_path)
    token = halfopen(
        *create, "--permission", "sensor:write", "--sensor", "web-1", "--name", "the web server"
    ).out
    halfopen(*create, "--permission", "radar:read", "--permission", "User Details Read", "--expires", "12h")
    listed = halfopen("token", "list", "--data", tmp_path).out
    assert token.strip() not in listed
    head, first, second = listed.splitlines()
    assert head.split()[:3] == ["Id", "Name", "Permissions"]
    assert re.search(r"the web server +sensor:write +every +web-1 .* - +- +active$", first)
    assert "User Details Read, radar:read" in second
    revoked = halfopen("token", "revoke", "--data", tmp_path, first.split()[0])
    assert (revoked.code, revoked.out) == (0, "")
    assert halfopen("token", "list", "--data", tmp_path).out.splitlines()[1].endswith("revoked")
    accounts = Accounts.open(tmp_path)
    assert accounts.verify(token.strip()) is Refusal.revoked
    accounts.close()


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
def test_what_cannot_be_made(halfopen: Run, tmp_path: Path, arguments: list[str], said: str) -> None:
    made = halfopen("token", "create", "--data", tmp_path, *arguments)
    assert (made.code, made.out) == (2, "")
    assert said in made.err
    assert "\n" not in made.err.strip()


def test_a_key_goes_with_an_email(halfopen: Run, tmp_path: Path) -> None:
    first, second = (halfopen("token", "key", "user@example.com", "--data", tmp_path).out for _ in range(2))
    accounts = Accounts.open(tmp_path)
    assert accounts.verify_key("user@example.com", first.strip()) is Refusal.unknown
    assert isinstance(accounts.verify_key("user@example.com", second.strip()), Principal)
    accounts.close()
    assert halfopen("token", "key", "nobody", "--data", tmp_path).code == 2


def test_a_token_that_does_not_exist_cannot_be_revoked(halfopen: Run, tmp_path: Path) -> None:
    assert "halfopen token list" in halfopen("token", "revoke", "--data", tmp_path, "none").err


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
    assert ran.err == "halfopen: mysql://me:***@127.0.0.1/x: not a URL of PostgreSQL\n"

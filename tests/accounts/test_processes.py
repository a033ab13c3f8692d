"""Several processes on one database, of either kind."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

from sqlalchemy import func, select

from halfopen.accounts import Principal, Refusal
from halfopen.accounts.schema import ACCOUNTS, MEMBERSHIPS, USERS
from tests.databases.database import Database

CHILD = """
import sys
from pathlib import Path
from halfopen.accounts import Accounts
data, url = Path(sys.argv[1]), sys.argv[2] or None
print("ready", flush=True)
sys.stdin.readline()
"""


class Child:
    """A process that does one thing to a database once it is told to."""

    def __init__(self, database: Database, program: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", CHILD + program, database.data, database.url or ""],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def wait(self) -> None:
        """Until it is ready."""
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def go(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def end(self) -> str:
        """What it printed."""
        out, err = self._process.communicate(timeout=60)
        assert self._process.returncode == 0, err
        return str(out).strip()


def at_once(database: Database, programs: Sequence[str]) -> list[str]:
    """What a process for each of the programs prints, begun at the same moment."""
    children = [Child(database, program) for program in programs]
    for child in children:
        child.wait()
    for child in children:
        child.go()
    return [child.end() for child in children]


def test_those_that_set_up_at_once_agree(database: Database) -> None:
    tokens = at_once(database, ["print(Accounts.open(data, url).create_token(['admin'])[0])"] * 3)
    with database.accounts() as accounts:
        found = [accounts.verify(token) for token in tokens]
        principals = [each for each in found if isinstance(each, Principal)]
        names = [account.name for each in principals for account in accounts.accounts(each)]
    assert names == ["Halfopen"] * 3
    assert len({each.user.id for each in principals}) == 1


def test_users_and_accounts_made_at_once_know_each_other(database: Database) -> None:
    database.open().close()
    make_user = "a = Accounts.open(data, url)\nfor i in range(10): a.create_key(f'user{i}@example.com')"
    make_account = "a = Accounts.open(data, url)\nfor i in range(10): a.create_account(f'Account {i}')"
    at_once(database, [make_user, make_user, make_account])
    with database.connection() as connection:
        counted = [
            connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in (USERS, ACCOUNTS, MEMBERSHIPS)
        ]
    assert counted == [11, 11, 11 * 11]


def test_a_token_that_one_revokes_the_others_refuse_at_once(database: Database) -> None:
    with database.accounts() as accounts:
        token, record = accounts.create_token(["admin"])
        assert isinstance(accounts.verify(token), Principal)
        at_once(database, [f"Accounts.open(data, url).revoke_token({record.id!r})"])
        assert accounts.verify(token) is Refusal.revoked

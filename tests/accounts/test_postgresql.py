"""PostgreSQL by URL: what is taken, what is said where it cannot be used, and what happens when it goes away."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import make_url

from halfopen.accounts import Accounts, Principal
from halfopen.errors import DatabaseError
from tests.databases.cluster import PASSWORD, ROLE, Cluster
from tests.databases.relay import Relay, relay


@pytest.fixture
def url(postgresql: Cluster) -> Iterator[str]:
    """Of an empty database."""
    with postgresql.database() as found:
        yield found


@pytest.fixture
def far(postgresql: Cluster) -> Iterator[Relay]:
    """A port on loopback that leads to the server, until it is cut."""
    with relay(postgresql.socket) as found:
        yield found


def name_of(url: str) -> str:
    return make_url(url).database or ""


def failed(url: str, data: Path) -> str:
    with pytest.raises(DatabaseError) as told:
        Accounts.open(data, url)
    assert PASSWORD not in str(told.value)
    assert "\n" not in str(told.value)
    assert list(data.iterdir()) == []
    return str(told.value)


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_every_usual_form_of_the_url(url: str, tmp_path: Path, scheme: str) -> None:
    accounts = Accounts.open(tmp_path, url.replace("postgresql", scheme, 1))
    assert isinstance(accounts.verify(accounts.create_token(["admin"])[0]), Principal)
    accounts.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (f"postgresql://me:{PASSWORD}@127.0.0.1:1/x", r"postgresql://me:\*\*\*@127.0.0.1:1/x: .*refused"),
        (f"postgresql://me@127.0.0.1:1/x?password={PASSWORD}", "postgresql://me@127.0.0.1:1/x: .*refused"),
        (f"postgresql://me:{PASSWORD}@127.0.0.1:1/x?colour=red", "colour"),
        (f"postgresql://me:{PASSWORD}@127.0.0.1:1/x?connect_timeout=soon", "connect_timeout"),
        (f"postgresql://me:{PASSWORD}@127.0.0.1:1/x?sslmode=maybe", "sslmode"),
        (f"postgresql+nothing://me:{PASSWORD}@127.0.0.1/x", "not a URL such as postgresql://"),
        (f"mysql://me:{PASSWORD}@127.0.0.1/x", r"mysql://me:\*\*\*@127.0.0.1/x: not a URL such as"),
        (f"postgresql://me:@{PASSWORD}@127.0.0.1/x", "HALFOPEN_ACCOUNTS_URL: not a URL such as"),
        (f"postgresql://me:x@127.0.0.1:{PASSWORD}/x", "HALFOPEN_ACCOUNTS_URL: not a URL such as"),
        (f"postgresql://me:{PASSWORD}@[::1/x", "HALFOPEN_ACCOUNTS_URL: not a URL such as"),
        (PASSWORD, "HALFOPEN_ACCOUNTS_URL: not a URL such as"),
    ],
)
def test_a_url_that_cannot_be_used_is_said_without_its_password(tmp_path: Path, wrong: str, why: str) -> None:
    with pytest.raises(DatabaseError, match=why):
        Accounts.open(tmp_path, wrong)
    failed(wrong, tmp_path)


def test_what_the_server_refuses_is_said_in_its_words(postgresql: Cluster, url: str, tmp_path: Path) -> None:
    assert 'database "nowhere" does not exist' in failed(postgresql.url("nowhere"), tmp_path)
    wrong = url.replace(PASSWORD, f"not-{PASSWORD}")
    assert f'password authentication failed for user "{ROLE}"' in failed(wrong, tmp_path)
    with postgresql.superuser() as connection:
        connection.execute(f"ALTER DATABASE {name_of(url)} OWNER TO postgres")
    assert "permission denied for schema public" in failed(url, tmp_path)


def test_rights_on_the_tables_are_enough_once_they_are_there(
    postgresql: Cluster, url: str, tmp_path: Path
) -> None:
    Accounts.open(tmp_path, url).close()
    with postgresql.superuser(name_of(url)) as connection:
        connection.execute(f"REASSIGN OWNED BY {ROLE} TO postgres")
        connection.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {ROLE}")
    accounts = Accounts.open(tmp_path, url)
    accounts.create_key("user@example.com")
    assert isinstance(accounts.verify(accounts.create_token(["admin"])[0]), Principal)
    accounts.close()


def test_without_its_driver_it_is_said_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    monkeypatch.delitem(sys.modules, "sqlalchemy.dialects.postgresql.psycopg", raising=False)
    assert "pip install 'halfopen[postgresql]'" in failed("postgresql://127.0.0.1/x", tmp_path)


def test_a_connection_that_the_server_ended_is_made_again(
    postgresql: Cluster, url: str, tmp_path: Path
) -> None:
    accounts = Accounts.open(tmp_path, url)
    token, _ = accounts.create_token(["admin"])
    for _ in range(3):
        assert isinstance(accounts.verify(token), Principal)
        with postgresql.superuser() as connection:
            ended = connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", [ROLE]
            ).fetchall()
        assert ended
    accounts.close()


def test_a_server_that_was_away_is_found_again(far: Relay, url: str, tmp_path: Path) -> None:
    accounts = Accounts.open(tmp_path, far.url(url))
    token, _ = accounts.create_token(["admin"])
    for _ in range(2):
        far.cut()
        with pytest.raises(DatabaseError, match=r"\*\*\*@127.0.0.1"):
            accounts.verify(token)
        with pytest.raises(DatabaseError, match="refused"):
            accounts.create_token(["admin"])
        far.restore()
        assert isinstance(accounts.verify(token), Principal)
    assert len(accounts.list_tokens()) == 1
    accounts.close()


def test_a_server_that_takes_connections_in_silence_is_given_up(far: Relay, url: str, tmp_path: Path) -> None:
    far.silence()
    assert "timeout" in failed(far.url(url, connect_timeout="2"), tmp_path)


def test_more_threads_than_connections_wait_for_their_turn(url: str, tmp_path: Path) -> None:
    accounts = Accounts.open(tmp_path, url)
    token, _ = accounts.create_token(["admin"])
    found: list[Any] = []

    def verify() -> None:
        found.extend(accounts.verify(token) for _ in range(5))

    threads = [threading.Thread(target=verify) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 200
    assert all(isinstance(each, Principal) for each in found)
    accounts.close()

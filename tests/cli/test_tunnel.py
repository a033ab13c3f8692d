"""`halfopen account`, `zone`, `edge`, `tunnel` and `login`: what makes one thing prints it alone; what cannot be is told in one line."""

from __future__ import annotations

import base64
import io
import json
import re
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import NoReturn
from uuid import uuid4

import pytest

from halfopen.accounts import Accounts, Principal
from halfopen.accounts.permissions import EDGE_REPORT
from halfopen.errors import DatabaseError
from halfopen.tunnels.catalogue import Filter
from halfopen.tunnels.installation import Installation
from halfopen.tunnels.vault import RunToken
from tests.cli.conftest import Ran
from tests.databases.database import Database
from tests.tunnels.world import asked

Run = Callable[..., Ran]
Say = Callable[..., str]
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\n")


@pytest.fixture
def say(halfopen: Run, database: Database) -> Say:
    """Run a verb on the test's data directory; gives its standard output."""

    def run(*argv: object) -> str:
        done = halfopen(*argv, "--data", database.data)
        assert done.code == 0, done.err
        return done.out

    return run


def test_a_tunnel_by_hand(say: Say, halfopen: Run, database: Database) -> None:
    identifier = say("tunnel", "create", "blog")
    assert UUID.fullmatch(identifier)
    token = say("tunnel", "token", "blog")
    assert RunToken.parse(token) is not None
    assert token.count("\n") == 1
    listed = say("tunnel", "list").splitlines()
    assert listed[0].split() == ["Id", "Name", "Created", "Status", "Connections"]
    assert re.fullmatch(rf"{identifier.strip()}  blog  .{{16}}  inactive  -", listed[1])
    with closing(Installation(database.data, database.url)) as here:
        session = here.registry.begin(here.edges.enrol("ams-1", "ams01").id)
        parsed = RunToken.parse(token)
        assert parsed is not None
        here.registry.register(session, [asked(parsed, index) for index in range(2)])
        assert "2xams01" in say("tunnel", "list")
        info = say("tunnel", "info", identifier.strip())
        assert info.startswith(f"blog ({identifier.strip()}) is degraded\nhostnames: none\n")
        assert "198.51.100.7" in info
        refused = halfopen("tunnel", "delete", "blog", "--data", database.data)
        assert refused.code == 1
        assert "This tunnel has active connections" in refused.err
        here.edges.revoke("ams-1")  # pending now: nobody has to be waited for
        assert say("tunnel", "cleanup", "blog") == ""
        assert "nothing is connected" in say("tunnel", "info", "blog")
    wrong = halfopen("tunnel", "cleanup", "blog", "--connector", "notauuid", "--data", database.data)
    assert (wrong.code, "the UUID of a connector" in wrong.err) == (2, True)
    assert say("tunnel", "delete", "blog") == ""
    assert say("tunnel", "list").count("\n") == 1
    assert "blog" in say("tunnel", "list", "--deleted")
    missing = halfopen("tunnel", "info", "blog", "--data", database.data)
    assert (missing.code, missing.err.count("\n")) == (2, 1)
    assert "the name or id of a tunnel" in missing.err


@pytest.mark.parametrize("form", ["file", "token"])
def test_a_tunnel_moves_in_with_what_its_connectors_have(
    say: Say, tmp_path: Path, form: str, database: Database
) -> None:
    tunnel, secret = str(uuid4()), b"s" * 32
    given = RunToken("699d98642c564d2e855e9661899b7252", tunnel, secret)
    path = tmp_path / f"{tunnel}.json"
    encoded = base64.b64encode(secret).decode()
    path.write_text(
        json.dumps({"AccountTag": given.account, "TunnelSecret": encoded, "TunnelID": tunnel, "Endpoint": ""})
    )
    assert say("tunnel", "import", path if form == "file" else str(given)) == f"{tunnel}\n"
    assert given.account in say("account", "list")
    named = ("--account", given.account)
    assert say("tunnel", "token", f"imported-{tunnel[:8]}", *named).strip() == str(given)


def test_what_is_no_credentials_is_told_without_showing_it(
    say: Say, halfopen: Run, database: Database, tmp_path: Path
) -> None:
    path = tmp_path / "c.json"
    tunnel, encoded = str(uuid4()), base64.b64encode(b"s" * 32).decode()
    path.write_text(json.dumps({"TunnelSecret": encoded, "TunnelID": tunnel}))  # of no account
    token = str(RunToken("a", tunnel, b"s" * 32))
    for given in (path, token[:-8], "eyJhIjoiYSJ9", f'{{"TunnelSecret": "{encoded}", "TunnelID":'):
        done = halfopen("tunnel", "import", given, "--data", database.data)
        assert (done.code, done.err.count("\n")) == (2, 1)
        assert "a credentials file of cloudflared, or a token" in done.err
        assert encoded[:8] not in done.err
        assert token[:8] not in done.err
    missing = halfopen("tunnel", "import", tmp_path / "none.json", "--data", database.data)
    assert (missing.code, "none.json: No such file" in missing.err) == (1, True)
    assert say("account", "list").count("\n") == 2  # no account was made on the way


def test_credentials_come_from_a_file_of_any_name_and_from_standard_input(
    say: Say, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("creds", "-"):
        given = RunToken("699d98642c564d2e855e9661899b7252", str(uuid4()), b"s" * 32)
        text = f"{given}\n".encode()
        Path("creds").write_bytes(text)
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text)))
        assert say("tunnel", "import", name) == f"{given.tunnel}\n"


def test_an_import_that_is_refused_leaves_nothing_behind(say: Say, halfopen: Run, database: Database) -> None:
    tunnel = say("tunnel", "create", "blog").strip()
    elsewhere = RunToken("699d98642c564d2e855e9661899b7252", tunnel, b"s" * 32)
    refused = halfopen("tunnel", "import", elsewhere, "--data", database.data)
    assert (refused.code, f"There is a tunnel with the id {tunnel} already" in refused.err) == (1, True)
    say("tunnel", "delete", "blog")
    refused = halfopen("tunnel", "import", elsewhere, "--data", database.data)
    assert (refused.code, f"{tunnel} was deleted here" in refused.err) == (1, True)
    refused = halfopen("tunnel", "import", elsewhere, "--name", " ", "--data", database.data)
    assert (refused.code, "not only spaces" in refused.err) == (2, True)
    assert elsewhere.account not in say("account", "list")


def test_a_login_that_fails_leaves_no_file_in_the_way(
    say: Say, halfopen: Run, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> NoReturn:
        raise DatabaseError("database", "it is away")

    with monkeypatch.context() as patch:
        patch.setattr(Accounts, "create_token", fails)
        assert halfopen("login", "-o", tmp_path / "cert.pem", "--data", database.data).code == 1
    say("login", "-o", tmp_path / "cert.pem")


def test_accounts_and_zones(say: Say, halfopen: Run, database: Database) -> None:
    made = say("account", "create", "Second", "--id", "023e105f4ecef8ad9ca31a8372d0c353")
    assert made == "023e105f4ecef8ad9ca31a8372d0c353\n"
    assert re.search(r"023e105f4ecef8ad9ca31a8372d0c353  Second ", say("account", "list"))
    zone = say("zone", "add", made.strip(), "Example.com")
    assert re.fullmatch(r"[0-9a-f]{32}\n", zone)
    assert re.search(rf"{zone.strip()}  example.com  {made.strip()} ", say("zone", "list"))
    ambiguous = halfopen("tunnel", "create", "blog", "--data", database.data)
    assert (ambiguous.code, "one of the 2 accounts" in ambiguous.err) == (2, True)
    assert UUID.fullmatch(say("tunnel", "create", "blog", "--account", made.strip()))
    with closing(Installation(database.data, database.url)) as here:
        (tunnel,), _ = here.tunnels.find(made.strip(), Filter(), 1, 1)
        (known,) = here.hostnames.zones()
        here.hostnames.claim(known, tunnel.id, "app")
    assert re.search(
        rf"\napp.example.com  blog    {tunnel.id}  claim\n", say("zone", "hostnames", "example.com")
    )
    assert say("zone", "release", "app.example.com") == ""
    assert say("zone", "hostnames", "example.com").count("\n") == 1
    again = halfopen("zone", "release", "app.example.com", "--data", database.data)
    assert (again.code, "one that was claimed" in again.err) == (2, True)
    say("zone", "remove", "example.com")
    assert "example.com" not in say("zone", "list")


def test_an_edge_is_enrolled_and_revoked(say: Say, database: Database) -> None:
    key = say("edge", "enrol", "ams-1", "--colo", "ams01").strip()
    with database.accounts() as accounts:
        found = accounts.verify(key)
        assert isinstance(found, Principal)
        assert (found.edge, set(found.permissions)) == ("ams-1", {EDGE_REPORT})
        assert re.search(r"ams-1  ams01 .* away", say("edge", "list"))
        say("edge", "revoke", "ams-1")
        assert not isinstance(accounts.verify(key), Principal)
    assert re.search(r"ams-1  ams01 .* revoked", say("edge", "list"))


def test_an_edge_that_was_revoked_or_has_no_key_gets_a_new_one(
    say: Say, halfopen: Run, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> NoReturn:
        raise DatabaseError("database", "it is away")

    first = say("edge", "enrol", "ams-1", "--colo", "ams01").strip()
    refused = halfopen("edge", "enrol", "ams-1", "--data", database.data)
    assert (refused.code, "a name that no edge has, or a revoked one" in refused.err) == (2, True)
    with monkeypatch.context() as patch, closing(Installation(database.data, database.url)) as here:
        before = here.edges.named("ams-1")
        patch.setattr(Accounts, "revoke_token", fails)
        assert (
            halfopen("edge", "revoke", "ams-1", "--data", database.data).code == 1
        )  # the edge is, its key is not
    second = say("edge", "enrol", "ams-1").strip()
    with closing(Installation(database.data, database.url)) as here:
        assert here.edges.named("ams-1") == before  # the same edge, in its old place
        assert not isinstance(here.accounts.verify(first), Principal)
        assert isinstance(here.accounts.verify(second), Principal)
    with monkeypatch.context() as patch:
        patch.setattr(Accounts, "create_token", fails)
        assert halfopen("edge", "enrol", "par-1", "--data", database.data).code == 1
    assert len(say("edge", "enrol", "par-1").strip()) == 40


def test_a_login_is_what_cloudflared_decodes_and_nobody_else_reads(
    say: Say, halfopen: Run, database: Database, tmp_path: Path
) -> None:
    account = say("account", "list").splitlines()[1].split()[0]
    zone = say("zone", "add", account, "example.com").strip()
    path = tmp_path / "cert.pem"
    assert say("login", "-o", path) == ""
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    first, *lines, last = path.read_text().splitlines()
    assert (first, last) == ("-----BEGIN ARGO TUNNEL TOKEN-----", "-----END ARGO TUNNEL TOKEN-----")
    told = json.loads(base64.b64decode("".join(lines)))
    assert (told["zoneID"], told["accountID"]) == (zone, account)
    with database.accounts() as accounts:
        found = accounts.verify(told["apiToken"])
    assert isinstance(found, Principal)
    assert (found.account, set(found.permissions)) == (account, {"Cloudflare Tunnel Write"})
    again = halfopen("login", "-o", path, "--data", database.data)
    assert (again.code, "a file that does not exist" in again.err) == (2, True)
    unknown = halfopen("login", "--zone", "other.example", "-o", tmp_path / "x", "--data", database.data)
    assert (unknown.code, "a zone of the account" in unknown.err) == (2, True)

"""Secrets at rest: sealed, bound to their tunnel and their key, and handed out as what cloudflared reads."""

from __future__ import annotations

import json
import stat
from base64 import b64decode, b64encode
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from halfopen.config import key_file
from halfopen.errors import KeyFileError, UsageError
from halfopen.tunnels.catalogue import Filter
from halfopen.tunnels.installation import Installation
from halfopen.tunnels.vault import RunToken, Vault, new_secret, secret_of
from tests.databases.cluster import Cluster
from tests.databases.database import Database

TUNNEL = str(uuid4())


def test_a_key_file_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "halfopen.key"
    sealed = Vault(path).seal(TUNNEL, b"s" * 32)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert Vault(path).unseal(TUNNEL, sealed) == b"s" * 32


def test_another_key_another_tunnel_and_a_changed_byte_open_nothing(tmp_path: Path) -> None:
    vault, other = Vault(tmp_path / "one"), Vault(tmp_path / "other")
    sealed = vault.seal(TUNNEL, b"s" * 32)
    other.seal(TUNNEL, b"s" * 32)
    assert b"s" * 8 not in sealed
    assert vault.seal(TUNNEL, b"s" * 32) != sealed
    for keeper, tunnel, kept in (
        (other, TUNNEL, sealed),
        (vault, str(uuid4()), sealed),
        (vault, TUNNEL, sealed[:-1] + bytes([sealed[-1] ^ 1])),
        (vault, TUNNEL, b"\x02" + sealed[1:]),
        (vault, TUNNEL, b""),
    ):
        with pytest.raises(KeyFileError, match="not the key that the secret of tunnel"):
            keeper.unseal(tunnel, kept)


def test_a_key_file_that_cannot_be_one(tmp_path: Path) -> None:
    (tmp_path / "short").write_bytes(b"x")
    (tmp_path / "short").chmod(0o600)
    with pytest.raises(KeyFileError, match="a key has 32 bytes, this file 1"):
        Vault(tmp_path / "short").seal(TUNNEL, b"s" * 32)
    with pytest.raises(KeyFileError, match="No such file or directory; HALFOPEN_KEY_FILE names another file"):
        Vault(tmp_path / "none" / "key").seal(TUNNEL, b"s" * 32)


def test_a_key_that_is_gone_is_not_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "key"
    sealed = Vault(path).seal(TUNNEL, b"s" * 32)
    path.unlink()
    for deed in (
        lambda: Vault(path).unseal(TUNNEL, sealed),
        lambda: Vault(path).management_token("account", TUNNEL, "user", ["logs"]),
    ):
        with pytest.raises(
            KeyFileError, match="No such file or directory; HALFOPEN_KEY_FILE names another file"
        ):
            deed()
    assert not path.exists()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_key_that_others_may_use_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "key"
    sealed = Vault(path).seal(TUNNEL, b"s" * 32)
    path.chmod(mode)
    with pytest.raises(
        KeyFileError, match=rf"others than its owner may use it \(mode 0{mode:o}; chmod 600 {path}\)"
    ):
        Vault(path).unseal(TUNNEL, sealed)


@pytest.mark.parametrize("another", [False, True])
def test_a_second_key_is_neither_made_nor_used_while_there_are_secrets(
    database: Database, another: bool
) -> None:
    key = key_file(database.data)
    with closing(Installation(database.data, database.url)) as here:
        account = here.accounts.every_account()[0].id
        tunnel, _ = here.tunnels.create(account, "blog")
    kept = key.read_bytes()
    key.unlink()
    if another:
        Vault(key).seal(TUNNEL, b"s" * 32)
    words = "not the key that the secret" if another else "No such file"
    with closing(Installation(database.data, database.url)) as here:
        with pytest.raises(KeyFileError, match=words):
            here.tunnels.create(account, "new")
        with pytest.raises(KeyFileError, match=words):
            here.tunnels.edit(account, tunnel.id, secret=b"t" * 32)
        assert key.exists() is another
        assert [each.name for each in here.tunnels.find(account, Filter(), 1, 10)[0]] == ["blog"]
        here.tunnels.delete(account, tunnel.id)
        here.tunnels.create(account, "new")  # nothing that counts is sealed with the first one
        assert key.read_bytes() != kept


def test_two_hosts_that_keep_their_first_secret_at_once_agree_on_one_key(
    postgresql: Cluster, tmp_path: Path
) -> None:
    def host(number: int) -> bool:
        data = tmp_path / str(number)
        data.mkdir()
        with closing(Installation(data, url)) as here:
            try:
                here.tunnels.create(here.accounts.every_account()[0].id, f"t{number}")
            except KeyFileError:
                return False
        return True

    with postgresql.database() as url, ThreadPoolExecutor(4) as threads:
        assert sorted(threads.map(host, range(4))) == [False, False, False, True]


def test_an_installation_without_tunnels_makes_none(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    Installation(data).close()
    assert [each.name for each in tmp_path.iterdir()] == ["data"]


def test_who_makes_a_key_at_once_gets_the_same(tmp_path: Path) -> None:
    vaults = [Vault(tmp_path / "key") for _ in range(16)]
    with ThreadPoolExecutor(16) as threads:
        sealed = list(threads.map(lambda vault: vault.seal(TUNNEL, b"s" * 32), vaults))
    assert {Vault(tmp_path / "key").unseal(TUNNEL, each) for each in sealed} == {b"s" * 32}
    assert [each.name for each in tmp_path.iterdir()] == ["key"]


@given(st.binary(min_size=32, max_size=64), st.uuids(), st.text("0123456789abcdef", min_size=1, max_size=32))
def test_a_token_says_what_it_was_made_of(secret: bytes, tunnel: object, account: str) -> None:
    token = RunToken(account, str(tunnel), secret)
    assert RunToken.parse(str(token)) == token
    assert json.loads(b64decode(str(token))) == {
        "a": account,
        "t": str(tunnel),
        "s": b64encode(secret).decode(),
    }
    file = {
        "AccountTag": account,
        "TunnelID": str(tunnel),
        "TunnelSecret": b64encode(secret).decode(),
        "Endpoint": "",
    }
    assert RunToken.parse(json.dumps(file)) == token


@given(st.text())
def test_no_other_text_is_a_token(text: str) -> None:
    assert RunToken.parse(text) is None
    assert RunToken.parse(b64encode(text.encode()).decode()) is None


@pytest.mark.parametrize(
    "text", ["", "no base64", b64encode(b"x" * 31).decode(), b64encode(b"x" * 1025).decode()]
)
def test_a_secret_is_neither_short_nor_endless_nor_shown(text: str) -> None:
    with pytest.raises(UsageError, match="base64 of 32 to 1,024 bytes") as told:
        secret_of(text)
    assert not text or text not in str(told.value)


def test_a_management_token_is_what_cloudflared_parses(tmp_path: Path) -> None:
    vault = Vault(tmp_path / "key")
    vault.seal(TUNNEL, b"s" * 32)
    token = vault.management_token("account", TUNNEL, "user", ["logs"])
    assert jwt.get_unverified_header(token)["alg"] == "ES256"
    claims = jwt.decode(token, options={"verify_signature": False})
    assert claims["tun"] == {"id": TUNNEL, "account_tag": "account"}
    assert claims["actor"] == {"id": "user", "support": False}
    assert claims["exp"] - claims["iat"] == 3600


def test_secrets_differ() -> None:
    assert len({new_secret() for _ in range(10)}) == 10

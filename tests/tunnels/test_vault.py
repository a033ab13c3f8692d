"""Secrets at rest: sealed, bound to their tunnel and their key, and handed out as what cloudflared reads."""

from __future__ import annotations

import json
import stat
from base64 import b64decode, b64encode
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from halfopen.errors import DatabaseError, UsageError
from halfopen.tunnels.installation import Installation
from halfopen.tunnels.vault import RunToken, Vault, new_secret, secret_of

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
        with pytest.raises(DatabaseError, match="not the key that the secret of tunnel"):
            keeper.unseal(tunnel, kept)


def test_a_key_file_that_cannot_be_one(tmp_path: Path) -> None:
    (tmp_path / "short").write_bytes(b"x")
    with pytest.raises(DatabaseError, match="a key has 32 bytes, this file 1"):
        Vault(tmp_path / "short").seal(TUNNEL, b"s" * 32)
    with pytest.raises(
        DatabaseError, match="No such file or directory; HALFOPEN_KEY_FILE names another file"
    ):
        Vault(tmp_path / "none" / "key").seal(TUNNEL, b"s" * 32)


def test_a_key_that_is_gone_is_not_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "key"
    sealed = Vault(path).seal(TUNNEL, b"s" * 32)
    path.unlink()
    with pytest.raises(DatabaseError, match="the key of the secrets is gone"):
        Vault(path).unseal(TUNNEL, sealed)
    assert not path.exists()


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
    token = vault.management_token("account", TUNNEL, "user", ["logs"])
    assert jwt.get_unverified_header(token)["alg"] == "ES256"
    claims = jwt.decode(token, options={"verify_signature": False})
    assert claims["tun"] == {"id": TUNNEL, "account_tag": "account"}
    assert claims["actor"] == {"id": "user", "support": False}
    assert claims["exp"] - claims["iat"] == 3600


def test_secrets_differ() -> None:
    assert len({new_secret() for _ in range(10)}) == 10

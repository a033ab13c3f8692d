"""Stock cloudflared against a server that runs: the six commands that manage tunnels, and hostnames.

Run where HALFOPEN_CLOUDFLARED names one, or one is on the PATH; skipped elsewhere, in CI too.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import spawned
from tests.tunnels.played import PlayedEdge, Server

CLOUDFLARED = os.environ.get("HALFOPEN_CLOUDFLARED") or shutil.which("cloudflared")
ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")

pytestmark = pytest.mark.skipif(CLOUDFLARED is None, reason="missing: cloudflared (HALFOPEN_CLOUDFLARED)")

Run = Callable[..., str]


@pytest.fixture
def cloudflared(tenant: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `cloudflared tunnel` with the certificate of `halfopen login`; gives all it printed, once it ended with `code`."""
    for name, value in tenant.database.environment.items():
        monkeypatch.setenv(name, value)
    certificate = tmp_path / "cert.pem"
    login = spawned("login", "--data", tenant.database.data, "--account", tenant.account, "-o", certificate)
    assert login.code == 0, login.err
    monkeypatch.setenv("HOME", str(tmp_path))

    def run(*argv: str, code: int = 0) -> str:
        done = subprocess.run(
            [str(CLOUDFLARED), "tunnel", "--api-url", tenant.api, "--origincert", str(certificate), *argv],
            capture_output=True, text=True, timeout=60, cwd=tmp_path, check=False,
        )  # fmt: skip
        printed = done.stdout + done.stderr
        assert done.returncode == code, (argv, printed)
        return printed

    return run


def test_the_six_commands(cloudflared: Run, tenant: Server, edge: PlayedEdge, tmp_path: Path) -> None:
    made = cloudflared("create", "blog")
    (identifier,) = set(ID.findall(made))
    assert f"Created tunnel blog with id {identifier}" in made
    file = json.loads((tmp_path / f"{identifier}.json").read_text())
    assert file["AccountTag"] == tenant.account
    assert "tunnel with name already exists" in cloudflared("create", "blog", code=1)
    assert re.search(rf"{identifier} blog +\S+Z", cloudflared("list"))
    assert "does not have any active connection" in cloudflared("info", "blog")

    token = cloudflared("token", "blog").strip()
    edge.register(token)
    assert f"4x{edge.colo}" in cloudflared("list")
    info = cloudflared("info", identifier)
    assert f"4x{edge.colo}" in info
    assert "2026.8.2" in info
    assert "198.51.100.7" in info
    assert "active connections" in cloudflared("delete", "blog", code=1)

    edge.depart(sorted(edge.held), lost=True)
    assert "4x" not in cloudflared("list")
    assert f"4x{edge.colo}" in cloudflared("info", "--show-recently-disconnected", "blog")
    assert "Cleanup connection for tunnel" in cloudflared("cleanup", "blog")
    assert "does not have any active connection" in cloudflared(
        "info", "--show-recently-disconnected", "blog"
    )

    assert cloudflared("delete", "blog") == ""
    assert "No tunnels were found" in cloudflared("list")
    assert "there should only be 1 non-deleted Tunnel" in cloudflared("delete", "blog", code=1)


def test_clean_up_of_one_connector_and_a_forced_delete(
    cloudflared: Run, tenant: Server, edge: PlayedEdge
) -> None:
    cloudflared("create", "blog")
    token = cloudflared("token", "blog").strip()
    edge.register(token)
    edge.register(token, [0])
    (tunnel,) = tenant.ask("GET", tenant.tunnels).json()["result"]
    connections = f"{tenant.tunnels}/{tunnel['id']}/connections"
    clients = tenant.ask("GET", connections).json()["result"]
    edge.depart([each["id"] for each in clients[1]["conns"]], lost=True)
    cloudflared("cleanup", "-c", clients[1]["id"], "blog")
    left = tenant.ask("GET", connections).json()["result"]
    assert [each["id"] for each in left] == [clients[0]["id"]]
    cloudflared("delete", "-f", "blog")
    assert tenant.ask("GET", tenant.tunnels).json()["result"] == []
    assert sorted(edge.heartbeat()) == sorted(edge.held)


def test_hostnames_and_filters(tenant: Server, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    zone = tenant.zone(f"{tenant.account[-8:]}.example")
    cloudflared: Run = request.getfixturevalue("cloudflared")  # whose login finds the zone
    cloudflared("create", "blog")
    cloudflared("create", "shop")
    assert f"Added CNAME app.{zone.name} which will route to this tunnel" in cloudflared(
        "route", "dns", "blog", f"app.{zone.name}"
    )
    assert f"app.{zone.name} is already configured" in cloudflared("route", "dns", "blog", f"app.{zone.name}")
    assert "leads to the tunnel blog already" in cloudflared(
        "route", "dns", "shop", f"app.{zone.name}", code=1
    )
    assert f"app.{zone.name} updated" in cloudflared("route", "dns", "-f", "shop", f"app.{zone.name}")
    assert f"is not a hostname in {zone.name}" in cloudflared(
        "route", "dns", "shop", "app.other.example", code=1
    )
    assert "shop" not in cloudflared("list", "--name", "blog")
    assert "blog" not in cloudflared("list", "--name-prefix", "sh")
    assert "shop" not in cloudflared("list", "--exclude-name-prefixes", "sh")


def test_a_management_token_is_taken(
    cloudflared: Run, tenant: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made = cloudflared("create", "blog")
    (identifier,) = set(ID.findall(made))
    monkeypatch.setenv("TUNNEL_API_URL", tenant.api)
    monkeypatch.setenv("TUNNEL_ORIGIN_CERT", str(tmp_path / "cert.pem"))
    done = subprocess.run(
        [str(CLOUDFLARED), "management", "token", "--resource", "logs", identifier],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["token"].count(".") == 2, done.stderr

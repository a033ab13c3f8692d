"""Tunnels by the official SDK, its validation strict, against a server that runs; and what the SDK does not show."""

from __future__ import annotations

import base64
import json
import re
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import cloudflare
import jwt
import pytest
from sqlalchemy import update

from halfopen.errors import RefusedError
from halfopen.tunnels.schema import TUNNELS
from tests.tunnels.played import PlayedEdge, Server
from tests.tunnels.world import World

SECRET = base64.b64encode(b"s" * 32).decode()
STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z")


def made(tenant: Server, name: str = "blog", **more: Any) -> Any:
    with tenant.client() as client:
        tunnel = client.zero_trust.tunnels.cloudflared.create(account_id=tenant.account, name=name, **more)
    assert tunnel is not None
    return tunnel


def code_of(error: cloudflare.APIStatusError) -> tuple[int, int]:
    return error.status_code, error.body["errors"][0]["code"]  # type: ignore[index]


def test_a_tunnel_from_its_begin_to_its_end(tenant: Server) -> None:
    with tenant.client() as client:
        cloudflared = client.zero_trust.tunnels.cloudflared
        tunnel = cloudflared.create(account_id=tenant.account, name="blog", tunnel_secret=SECRET)
        assert tunnel is not None
        assert (tunnel.name, tunnel.account_tag, tunnel.status) == ("blog", tenant.account, "inactive")
        assert (tunnel.config_src, tunnel.remote_config, tunnel.tun_type) == ("local", False, "cfd_tunnel")
        assert (tunnel.conns_active_at, tunnel.conns_inactive_at) == (None, tunnel.created_at)
        assert (tunnel.deleted_at, tunnel.connections, tunnel.metadata) == (None, [], {})
        assert tunnel.id is not None
        where: Any = {"account_id": tenant.account, "tunnel_id": tunnel.id}
        assert cloudflared.get(**where) == cloudflared.edit(**where)
        renamed = cloudflared.edit(**where, name="shop")
        assert renamed is not None
        assert renamed.name == "shop"
        token = cloudflared.token.get(**where)
        assert token is not None
        assert json.loads(base64.b64decode(token)) == {"a": tenant.account, "t": tunnel.id, "s": SECRET}
        assert list(client.zero_trust.tunnels.list(account_id=tenant.account)) == [renamed]
        gone = cloudflared.delete(**where)
        assert gone is not None
        assert gone.deleted_at is not None
        assert gone.config_src is None
        found = cloudflared.get(**where)
        assert found == gone
        assert list(cloudflared.list(account_id=tenant.account)) == []
        assert list(cloudflared.list(account_id=tenant.account, is_deleted=True)) == [gone]
        for again in (cloudflared.delete, cloudflared.token.get, cloudflared.edit):
            with pytest.raises(cloudflare.NotFoundError):
                again(**where)
    assert made(tenant, "shop").id != tunnel.id  # its name is free again


def test_every_field_as_it_is_on_the_wire(tenant: Server, edge: PlayedEdge) -> None:
    raw = tenant.ask("POST", tenant.tunnels, json={"name": "blog", "config_src": "cloudflare"})
    assert raw.headers["content-type"] == "application/json"
    body = raw.json()
    assert (body["success"], body["errors"], body["messages"]) == (True, [], [])
    tunnel = body["result"]
    assert tunnel["credentials_file"] == {
        "AccountTag": tenant.account, "TunnelID": tunnel["id"], "TunnelName": "blog",
        "TunnelSecret": json.loads(base64.b64decode(tunnel["token"]))["s"],
    }  # fmt: skip
    assert len(base64.b64decode(tunnel["credentials_file"]["TunnelSecret"])) == 32
    assert STAMP.fullmatch(tunnel["created_at"])
    assert tunnel["deleted_at"] is None
    edge.register(tunnel["token"], [0])
    listed = tenant.ask("GET", tenant.tunnels).json()
    assert listed["result_info"] == {"count": 1, "page": 1, "per_page": 1000, "total_count": 1}
    assert set(listed["result"][0]) == set(tunnel) - {"credentials_file", "token"}
    (client,) = tenant.ask("GET", f"{tenant.tunnels}/{tunnel['id']}/connections").json()["result"]
    assert set(client) == {"id", "version", "arch", "features", "run_at", "conns", "ha_status"}
    (conn,) = client["conns"]
    assert listed["result"][0]["connections"] == [conn]
    assert conn == {
        "id": conn["id"], "uuid": conn["id"], "client_id": client["id"], "client_version": "2026.8.2",
        "colo_name": edge.colo, "origin_ip": "198.51.100.7", "opened_at": client["run_at"],
        "is_pending_reconnect": False,
    }  # fmt: skip


def test_every_filter(tenant: Server, edge: PlayedEdge) -> None:
    first, second, third = (made(tenant, name) for name in ("api-1", "api-2", "web-1"))
    with tenant.client() as client:
        cloudflared = client.zero_trust.tunnels.cloudflared
        gone = cloudflared.create(account_id=tenant.account, name="old")
        assert gone is not None
        edge.register(tenant.ask("GET", f"{tenant.tunnels}/{first.id}/token").json()["result"])
        edge.register(tenant.ask("GET", f"{tenant.tunnels}/{second.id}/token").json()["result"], [0])
        between = datetime.now(UTC)
        cloudflared.delete(account_id=tenant.account, tunnel_id=gone.id or "")

        def found(**given: Any) -> list[str]:
            return [each.name or "" for each in cloudflared.list(account_id=tenant.account, **given)]

        assert found() == ["api-1", "api-2", "web-1"]
        assert found(name="api-2") == ["api-2"]
        assert found(include_prefix="api-") == ["api-1", "api-2"]
        assert found(exclude_prefix="api-") == ["web-1"]
        assert found(include_prefix="%") == []
        assert found(uuid=third.id) == ["web-1"]
        assert found(uuid=str(uuid4())) == []
        assert found(is_deleted=True) == ["old"]
        assert found(is_deleted=False, status="healthy") == ["api-1"]
        assert found(status="degraded") == ["api-2"]
        assert found(status="inactive") == ["web-1"]
        assert found(status="down") == []
        assert found(existed_at=between.isoformat()) == ["api-1", "api-2", "web-1", "old"]
        # As the SDK's own test has it: encoded once more than it should be.
        assert found(existed_at=quote((first.created_at - timedelta(seconds=1)).isoformat())) == []
        assert found(was_active_at=between) == ["api-1", "api-2"]
        assert found(was_inactive_at=between) == ["web-1"]
    listed = tenant.ask("GET", f"{tenant.tunnels}?name_prefix=api&is_deleted=false&page=1").json()["result"]
    assert [each["name"] for each in listed] == ["api-1", "api-2"]
    both = tenant.ask("GET", f"{tenant.tunnels}?name_prefix=api-2&include_prefix=api").json()["result"]
    assert [each["name"] for each in both] == ["api-2"]


def test_pages_and_the_one_past_the_end(tenant: Server) -> None:
    names = [f"t{number}" for number in range(7)]
    for name in names:
        made(tenant, name)
    with tenant.client() as client:
        assert [
            each.name for each in client.zero_trust.tunnels.list(account_id=tenant.account, per_page=3)
        ] == names
        past = client.zero_trust.tunnels.cloudflared.list(account_id=tenant.account, per_page=3, page=4)
    assert past.result == []
    answer = tenant.ask(
        "GET", f"/accounts/{tenant.account}/tunnels?per_page=3&page=3&tun_types=cfd_tunnel&tun_types=gre"
    )
    assert answer.json()["result_info"] == {"count": 1, "page": 3, "per_page": 3, "total_count": 7}
    assert tenant.ask("GET", f"/accounts/{tenant.account}/tunnels?tun_types=gre").json()["result"] == []


def test_what_is_connected_and_its_clean_up(tenant: Server, edge: PlayedEdge) -> None:
    tunnel = made(tenant)
    token = tenant.ask("GET", f"{tenant.tunnels}/{tunnel.id}/token").json()["result"]
    one, other = str(uuid4()), str(uuid4())
    edge.register(token, connector=one)
    edge.register(token, [0, 1], connector=other)
    with tenant.client() as client:
        cloudflared = client.zero_trust.tunnels.cloudflared
        where: Any = {"account_id": tenant.account, "tunnel_id": tunnel.id}
        connected = list(cloudflared.connections.get(**where))
        assert [(each.id, len(each.conns or ())) for each in connected] == [(one, 4), (other, 2)]
        found = cloudflared.connectors.get(one, **where)
        assert found is not None
        assert (found.version, found.arch) == ("2026.8.2", "linux_amd64")
        with pytest.raises(cloudflare.NotFoundError):
            cloudflared.connectors.get(str(uuid4()), **where)
        with pytest.raises(cloudflare.BadRequestError) as refused:
            cloudflared.delete(**where)
        assert code_of(refused.value) == (400, 1022)

        # Somebody cleans up one of them; the edge learns of it by its news and closes what it is told.
        cleaning = threading.Thread(target=lambda: cloudflared.connections.delete(**where, client_id=one))
        cleaning.start()
        routing = edge.news()["routing"]
        close = edge.news(routing, wait=20)["close"]
        assert len(close) == 4
        assert [each.id for each in cloudflared.connections.get(**where)] == [other]
        edge.depart(close)
        cleaning.join(20)
        assert not cleaning.is_alive()
        assert cloudflared.connections.delete(**where, client_id=str(uuid4())) is None  # A14

        # An edge that says nothing keeps nobody waiting for longer than 5 s, and hears of it by its heartbeat.
        started = time.monotonic()
        assert cloudflared.connections.delete(**where) is None
        assert 4 < time.monotonic() - started < 20
        assert list(cloudflared.connections.get(**where)) == []
        assert sorted(edge.heartbeat()) == sorted(edge.held)
        down = cloudflared.get(**where)
        assert down is not None
        assert (down.status, down.conns_active_at) == ("down", None)


def test_delete_with_cascade_closes_what_is_connected(tenant: Server, edge: PlayedEdge) -> None:
    tunnel = made(tenant)
    token = tenant.ask("GET", f"{tenant.tunnels}/{tunnel.id}/token").json()["result"]
    edge.register(token)
    answer = tenant.ask("DELETE", f"{tenant.tunnels}/{tunnel.id}?cascade=true")
    assert (answer.status_code, answer.json()["result"]["connections"]) == (200, [])
    assert sorted(edge.heartbeat()) == sorted(edge.held)
    assert edge.register(token, [0]) == [{"cause": "Unauthorized: Failed to get tunnel"}]


def test_a_new_secret_keeps_out_who_has_the_old_one(tenant: Server, edge: PlayedEdge) -> None:
    tunnel = made(tenant)
    old = tenant.ask("GET", f"{tenant.tunnels}/{tunnel.id}/token").json()["result"]
    edge.register(old)
    with tenant.client() as client:
        where: Any = {"account_id": tenant.account, "tunnel_id": tunnel.id}
        changed = client.zero_trust.tunnels.cloudflared.edit(**where, tunnel_secret=SECRET)
        assert changed is not None
        assert changed.status == "healthy"
        new = client.zero_trust.tunnels.cloudflared.token.get(**where)
    assert new is not None
    assert edge.register(old, [4]) == [{"cause": "Unauthorized: Invalid tunnel secret"}]
    assert edge.heartbeat() == []
    assert "connection" in edge.register(new, [5])[0]


def test_configurations_by_version(tenant: Server) -> None:
    tunnel = made(tenant)
    where: Any = {"account_id": tenant.account, "tunnel_id": tunnel.id}
    with tenant.client() as client:
        configurations = client.zero_trust.tunnels.cloudflared.configurations
        first = configurations.get(**where)
        assert first is not None
        assert (first.version, first.config, first.source) == (0, None, "local")
        rules: Any = [
            {"hostname": "app.example.org", "service": "http://localhost:80"},
            {"hostname": "", "service": "http_status:404"},
        ]
        put = configurations.update(**where, config={"ingress": rules})
        assert put is not None
        assert (put.version, put.source, put.tunnel_id, put.account_id) == (
            1,
            "cloudflare",
            tunnel.id,
            tenant.account,
        )
        again = configurations.get(**where)
        assert again is not None
        assert again.to_dict() == put.to_dict()
        for refused in ({}, {"ingress": rules[:1]}):
            with pytest.raises(cloudflare.BadRequestError) as told:
                configurations.update(**where, config=refused)  # type: ignore[arg-type]
            assert code_of(told.value) == (400, 1056)
        remote = client.zero_trust.tunnels.cloudflared.get(**where)
        assert remote is not None
        assert (remote.config_src, remote.remote_config) == ("cloudflare", True)
        client.zero_trust.tunnels.cloudflared.delete(**where)
        with pytest.raises(cloudflare.NotFoundError) as missing:
            configurations.get(**where)
        assert code_of(missing.value) == (404, 1055)
    raw = tenant.ask("GET", f"{tenant.tunnels}/{made(tenant).id}/configurations").json()["result"]
    assert set(raw) == {"account_id", "tunnel_id", "version", "config", "source", "created_at"}


def test_a_management_token(tenant: Server) -> None:
    tunnel = made(tenant)
    with tenant.client() as client:
        token = client.zero_trust.tunnels.cloudflared.management.create(
            account_id=tenant.account, tunnel_id=tunnel.id, resources=["logs"]
        )
    assert token is not None
    claims = jwt.decode(token, options={"verify_signature": False})
    assert claims["tun"] == {"id": tunnel.id, "account_tag": tenant.account}
    by_path = tenant.ask("POST", f"{tenant.tunnels}/{tunnel.id}/management/host_details").json()["result"]
    assert jwt.decode(by_path, options={"verify_signature": False})["res"] == ["host_details"]
    for_nothing = tenant.ask("POST", f"{tenant.tunnels}/{tunnel.id}/management", json={"resources": []})
    assert for_nothing.status_code == 400


@pytest.mark.parametrize(("method", "path", "body", "status", "code", "words"), [
    ("POST", "", {"name": ""}, 400, 1001, "name:"),
    ("POST", "", {"name": "x" * 101}, 400, 1001, "1 to 100 printable characters"),
    ("POST", "", {"name": "1bedc50d-42b3-473c-b108-ff3d10c0d925"}, 400, 1001, "a name; clients take a UUID for an id"),
    ("POST", "", {"name": "  "}, 400, 1001, "not only spaces"),
    ("POST", "", {}, 400, 1001, "name"),
    ("POST", "", [], 400, 1001, "body"),
    ("POST", "", {"name": 5}, 400, 1001, "$.name"),
    ("POST", "", {"name": "a", "config_src": "moon"}, 400, 1001, "$.config_src"),
    ("POST", "", {"name": "a", "tunnel_secret": "c2hvcnQ="}, 400, 1001, "base64 of 32 to 1,024 bytes"),
    ("POST", "", {"name": "taken"}, 409, 1013, "You already have a tunnel with this name"),
    ("GET", "/1bedc50d-42b3-473c-b108-ff3d10c0d925", None, 404, 1003, "Tunnel not found"),
    ("GET", "/1bedc50d-42b3-473c-b108-ff3d10c0d925/connections", None, 404, 1003, "Tunnel not found"),
    ("DELETE", "/1bedc50d-42b3-473c-b108-ff3d10c0d925/connections", None, 404, 1003, "Tunnel not found"),
    ("GET", "/no-uuid", None, 404, 7003, "Could not route to"),
    ("PUT", "/1bedc50d-42b3-473c-b108-ff3d10c0d925", None, 405, 10405, "Method not allowed"),
])  # fmt: skip
def test_each_fault(
    tenant: Server, method: str, path: str, body: Any, status: int, code: int, words: str
) -> None:
    made(tenant, "taken")
    answer = (
        tenant.ask(method, tenant.tunnels + path, json=body)
        if body is not None
        else tenant.ask(method, tenant.tunnels + path)
    )
    told = answer.json()
    assert (answer.status_code, told["errors"][0]["code"]) == (status, code), told
    assert words in told["errors"][0]["message"]
    assert (told["success"], told["messages"], told["result"]) == (False, [], None)
    assert answer.headers["content-type"] == "application/json"


def test_a_text_with_nul_is_refused_wherever_it_stands(tenant: Server) -> None:
    tunnel = made(tenant)
    one = f"{tenant.tunnels}/{tunnel.id}"
    asked = [
        *(
            ("GET", f"{tenant.tunnels}?{name}=%00", None)
            for name in ("name", "include_prefix", "name_prefix")
        ),
        ("GET", f"{tenant.tunnels}?exclude_prefix=a%00b", None),
        ("GET", "/accounts?name=%00", None),
        ("POST", tenant.tunnels, {"name": "a\0"}),
        ("PATCH", one, {"name": "\\\0"}),
        ("PUT", f"{one}/configurations", {"config": {"ingress": [{"service": "unix:\0"}]}}),
    ]
    for method, path, body in asked:
        answer = tenant.ask(method, path, json=body)
        assert answer.status_code == 400, path
        assert "NUL (U+0000)" in answer.json()["errors"][0]["message"]
    assert tenant.ask("PATCH", one, json={"name": r"\u0000"}).json()["result"]["name"] == r"\u0000"
    assert tenant.ask("PATCH", one, content=rb'{"name": "\ud800"}').status_code == 400  # half a character


@pytest.mark.parametrize("depth", [33, 900, 200_000])
def test_a_body_that_is_nested_too_deep_is_refused(tenant: Server, depth: int) -> None:
    one = f"{tenant.tunnels}/{made(tenant).id}/configurations"
    deep = b"[" * depth + b"]" * depth
    config = b'{"config": {"ingress": [{"service": "http_status:404"}], "x": ' + deep + b"}}"
    answer = tenant.ask("PUT", one, content=config)
    assert (answer.status_code, "nested" in answer.json()["errors"][0]["message"]) == (400, True), answer.text


def test_a_key_that_is_gone_is_told_as_what_it_is(tenant: Server) -> None:
    tunnel = made(tenant)
    with tenant.database.connection() as connection:
        connection.execute(
            update(TUNNELS).where(TUNNELS.c.id == tunnel.id).values(secret=b"sealed elsewhere")
        )
    answer = tenant.ask("GET", f"{tenant.tunnels}/{tunnel.id}/token")
    assert answer.status_code == 503
    assert answer.json()["errors"][0]["message"] == "the key of tunnels' secrets is not available"
    assert tenant.ask("DELETE", f"{tenant.tunnels}/{tunnel.id}").status_code == 200


def test_every_fault_of_a_request_is_in_one_answer(tenant: Server) -> None:
    told = tenant.ask(
        "GET", f"{tenant.tunnels}?status=sick&is_deleted=maybe&existed_at=then&per_page=0"
    ).json()
    assert [each["message"].split(":")[0] for each in told["errors"]] == [
        "is_deleted",
        "status",
        "per_page",
        "existed_at",
    ]


def test_warp_connectors_are_refused_in_words(tenant: Server) -> None:
    answer = tenant.ask("GET", f"/accounts/{tenant.account}/warp_connector")
    assert answer.status_code == 501
    assert "WARP connectors are not offered here" in answer.json()["errors"][0]["message"]
    reader = tenant.allowed("Cloudflare Tunnel Read")
    for method, status in (("GET", 501), ("POST", 403)):
        assert reader.ask(method, f"/accounts/{tenant.account}/warp_connector").status_code == status


def test_who_may_read_and_who_may_write(tenant: Server) -> None:
    tunnel = made(tenant)
    reader, stranger = tenant.allowed("Cloudflare Tunnel Read"), tenant.allowed("radar:read")
    one = f"{tenant.tunnels}/{tunnel.id}"
    for path in ("", f"/{tunnel.id}", f"/{tunnel.id}/connections", f"/{tunnel.id}/configurations"):
        assert reader.ask("GET", tenant.tunnels + path).status_code == 200
        assert stranger.ask("GET", tenant.tunnels + path).status_code == 403
    for method, path, body in (
        ("POST", tenant.tunnels, {"name": "x"}), ("PATCH", one, {"name": "x"}), ("DELETE", one, None),
        ("GET", f"{one}/token", None), ("DELETE", f"{one}/connections", None), ("POST", f"{one}/management", {}),
        ("PUT", f"{one}/configurations", {"config": {"ingress": [{"service": "http_status:404"}]}}),
    ):  # fmt: skip
        for who in (reader, stranger):
            answer = who.ask(method, path, json=body)
            assert (answer.status_code, answer.json()["errors"][0]["code"]) == (403, 10000), (method, path)


def test_an_account_has_so_many_tunnels_and_no_more(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("halfopen.tunnels.catalogue.MOST_TUNNELS", 2)
    first, _ = world.tunnel("one")
    world.tunnel("two")
    with pytest.raises(
        RefusedError, match="This account has 2 tunnels, as many as an account may"
    ) as refused:
        world.tunnel("three")
    assert refused.value.status == 400
    world.here.tunnels.delete(world.account, first.id)
    world.tunnel("three")  # deleted ones do not count
    other = world.here.accounts.create_account("Other").id
    world.here.tunnels.create(other, "one")

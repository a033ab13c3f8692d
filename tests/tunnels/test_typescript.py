"""The official TypeScript SDK on tunnels: what it reads, and what it throws."""

from __future__ import annotations

import json
import threading
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from tests.conftest import Require
from tests.tunnels.played import PlayedEdge, Server
from tests.typescript.node import told_by

SECRET = b64encode(b"s" * 32).decode()


def thrown(told: Any) -> tuple[str, int, int]:
    """Class of the exception, status and code."""
    return told["kind"], told["status"], told["errors"][0]["code"]


def made(tenant: Server, name: str) -> Any:
    return tenant.ask("POST", tenant.tunnels, json={"name": name}).json()["result"]


@contextmanager
def closing(edge: PlayedEdge) -> Iterator[None]:
    """Let the edge close at once what it is told to."""
    over = threading.Event()

    def close() -> None:
        while not over.is_set():
            if ids := edge.news(wait=0)["close"]:
                edge.depart(ids)
            over.wait(0.05)

    closer = threading.Thread(target=close)
    closer.start()
    try:
        yield
    finally:
        over.set()
        closer.join()


def test_a_tunnel_from_its_begin_to_its_end(tenant: Server, require: Require) -> None:
    zone = tenant.zone(f"{tenant.account[-8:]}.example")
    hostname = f"app.{zone.name}"
    given = {
        "account": tenant.account, "stranger": tenant.tenant().account, "secret": SECRET, "nobody": str(uuid4()),
        "zone": zone.id, "hostname": hostname,
    }  # fmt: skip
    told = told_by("tunnels.mjs", tenant.api, tenant.token, require, given)
    tunnel = told["made"]
    credentials = tunnel.pop("credentials_file")
    assert (credentials["TunnelID"], credentials["TunnelSecret"]) == (tunnel["id"], SECRET)
    assert told["token"] == tunnel.pop("token")
    assert json.loads(b64decode(told["token"])) == {"a": tenant.account, "t": tunnel["id"], "s": SECRET}
    assert told["got"] == tunnel
    assert told["renamed"] == tunnel | {"name": "shop"}
    assert len(told["management"].split(".")) == 3
    assert told["deleted"] == told["still"]
    assert told["still"]["deleted_at"] > tunnel["created_at"]

    configuration = told["configuration"]
    assert (configuration["first"]["version"], configuration["first"]["config"]) == (0, None)
    assert configuration["put"] == configuration["got"]
    assert configuration["got"]["config"]["ingress"][0]["hostname"] == hostname
    assert told["route"]["result"] == {"cname": "new", "name": f"www.{zone.name}"}
    assert [each["id"] for each in told["accounts"]] == [told["account"]["id"]] == [tenant.account]

    assert thrown(told["taken"]) == ("ConflictError", 409, 1013)
    assert thrown(told["unnamed"]) == ("BadRequestError", 400, 1001)
    for refused in ("empty", "filtered"):
        assert thrown(configuration[refused]) == ("BadRequestError", 400, 1056)
    assert {name: thrown(each) for name, each in told["gone"].items()} == {
        **dict.fromkeys(("edit", "delete", "token", "connector"), ("NotFoundError", 404, 1003)),
        "configuration": ("NotFoundError", 404, 1055),
    }
    assert thrown(told["unknown"]) == ("NotFoundError", 404, 1003)
    assert thrown(told["foreign"]) == ("PermissionDeniedError", 403, 10000)
    assert told["warp"]["kind"] == "InternalServerError"
    assert told["warp"]["status"] == 501


def test_filters_and_pages(tenant: Server, edge: PlayedEdge, require: Require) -> None:
    names = [f"api-{number}" for number in range(5)] + ["web-1", "web-2"]
    tunnels = {name: made(tenant, name) for name in names}
    edge.register(tunnels["api-3"]["token"])
    edge.register(tunnels["web-1"]["token"], [0])
    gone = made(tenant, "old")
    between = datetime.now(UTC).isoformat()
    tenant.ask("DELETE", f"{tenant.tunnels}/{gone['id']}")
    wanted: list[tuple[list[str], dict[str, Any]]] = [
        (["api-2"], {"name": "api-2"}),
        (["web-1", "web-2"], {"exclude_prefix": "api-"}),
        (["api-3"], {"include_prefix": "api-", "status": "healthy"}),
        (["web-1"], {"uuid": tunnels["web-1"]["id"], "is_deleted": False}),
        (["old"], {"is_deleted": True}),
        (["api-3", "web-1"], {"was_active_at": between}),
        (["web-2"], {"was_inactive_at": between, "include_prefix": "web"}),
        ([*names, "old"], {"existed_at": between}),
    ]
    given = {"account": tenant.account, "filters": [query for _, query in wanted]}
    told = told_by("tunnel_lists.mjs", tenant.api, tenant.token, require, given)
    assert told["found"] == [names for names, _ in wanted]
    assert told["pages"] == [names[:3], names[3:6], names[6:], []]
    assert (told["every"], told["others"]) == (names, [])
    assert thrown(told["refused"]) == ("BadRequestError", 400, 1001)
    assert [each["message"].split(":")[0] for each in told["refused"]["errors"]] == ["status", "per_page"]


def test_what_is_connected_and_its_clean_up(tenant: Server, edge: PlayedEdge, require: Require) -> None:
    tunnel = made(tenant, "blog")
    one, other = str(uuid4()), str(uuid4())
    edge.register(tunnel["token"], connector=one)
    edge.register(tunnel["token"], [0, 1], connector=other)
    given = {"account": tenant.account, "tunnel": tunnel["id"], "connector": one}
    with closing(edge):
        told = told_by("connected.mjs", tenant.api, tenant.token, require, given)
    assert told["tunnel"]["status"] == "healthy"
    first, second = told["all"]
    assert [(each["id"], len(each["conns"])) for each in (first, second)] == [(one, 4), (other, 2)]
    assert told["one"] == first
    assert told["tunnel"]["connections"] == first["conns"] + second["conns"]
    assert thrown(told["refused"]) == ("BadRequestError", 400, 1022)
    assert (told["cleaned"], told["again"], told["rest"]) == (None, None, None)
    assert (told["others"], told["none"]) == ([second], [])
    assert thrown(told["away"]) == ("NotFoundError", 404, 1003)
    assert told["deleted"]["deleted_at"] is not None
    assert edge.held == set()

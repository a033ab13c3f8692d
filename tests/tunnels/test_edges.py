"""Edges over HTTP: who may speak as one, how long, and what they are told that say nonsense."""

from __future__ import annotations

import socket
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from tests.databases.database import Database
from tests.serving import running
from tests.tunnels.played import PlayedEdge, Server


def test_only_the_key_of_an_edge_speaks_for_it(server: Server, edge: PlayedEdge) -> None:
    other = server.edge()
    for path, token in (
        (edge.here("heartbeat"), other.key),
        (edge.here("heartbeat"), server.token),
        ("/edges/none/sessions", edge.key),
    ):
        answer = server.ask("POST", path, token, json={"connections": []})
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (403, 10000)
    assert server.ask("GET", server.tunnels, edge.key).status_code == 403
    assert server.ask("GET", "/radar/tcp_resets_timeouts/summary", edge.key).status_code == 403
    assert server.ask("GET", "/accounts", edge.key).json()["result"] == []
    assert server.ask("GET", f"/accounts/{server.account}", edge.key).status_code == 403
    assert server.ask("GET", "/user/tokens/verify", edge.key).status_code == 200


def test_a_session_ends_with_the_next_and_with_the_edge(server: Server, edge: PlayedEdge) -> None:
    old, held = edge.session, edge.here("heartbeat")
    again = PlayedEdge(server, edge.name, edge.key)
    assert again.session != old
    refused = edge.ask("POST", held, json={"connections": []})
    assert (refused.status_code, refused.json()["errors"][0]["message"].split(";")[0]) == (
        409,
        "session: over",
    )
    assert again.heartbeat() == []
    server.revoke(edge.name)
    assert again.ask("POST", again.here("heartbeat"), json={"connections": []}).status_code == 403


def test_news_wait_until_there_is_some_or_the_time_is_up(tenant: Server, edge: PlayedEdge) -> None:
    routing = edge.news()["routing"]
    started = time.monotonic()
    assert edge.news(routing, wait=1) == {"close": [], "routing": routing}
    assert time.monotonic() - started >= 1


@pytest.mark.parametrize(("more", "words"), [
    ({"conn_index": 32}, "conn_index"), ({"conn_index": -1}, "conn_index"), ({"tunnel": "x"}, "tunnel"),
    ({"connector": 5}, "connector"), ({"secret": "%"}, "secret"), ({"version": "v" * 65}, "version"),
    ({"features": ["f"] * 65}, "features"), ({"origin_ip": "i" * 46}, "origin_ip"), ({"account": "a" * 33}, "account"),
    ({"origin_ip": "no address"}, "origin_ip"), ({"origin_ip": "127.0.0.1:7844"}, "origin_ip: 127.0.0.1:7844 is no address"),
    ({"version": "a\0"}, "NUL"),
])  # fmt: skip
def test_a_registration_that_cannot_be_one(edge: PlayedEdge, more: dict[str, Any], words: str) -> None:
    asked = {
        "account": "a", "tunnel": str(uuid4()), "secret": "", "connector": str(uuid4()), "conn_index": 0, "version": "1",
        "arch": "x", "features": [], "origin_ip": "192.0.2.1",
    }  # fmt: skip
    answer = edge.ask("POST", edge.here("registrations"), json={"registrations": [asked | more]})
    assert answer.status_code == 400
    assert words in answer.json()["errors"][0]["message"]


def test_registrations_of_one_request_are_answered_in_their_order(tenant: Server, edge: PlayedEdge) -> None:
    token = tenant.ask("POST", tenant.tunnels, json={"name": "blog"}).json()["result"]["token"]
    told = edge.register(token, [0, 1, 0, 2])
    assert [set(each) for each in told] == [{"connection"}] * 4
    live = tenant.ask("GET", tenant.tunnels).json()["result"][0]["connections"]
    assert {each["id"] for each in live} == {told[index]["connection"] for index in (1, 2, 3)}
    assert edge.heartbeat() == [told[0]["connection"]]


def test_a_local_configuration_and_the_version_in_use(tenant: Server, edge: PlayedEdge) -> None:
    tunnel = tenant.ask("POST", tenant.tunnels, json={"name": "blog"}).json()["result"]
    first = edge.register(tunnel["token"], [0])[0]["connection"]
    reported = {"ingress": [{"service": "http://127.0.0.1:9000"}], "warp-routing": {}}
    edge.post(edge.here("reports"), {"connection": first, "configuration": reported})
    found = tenant.ask("GET", f"{tenant.tunnels}/{tunnel['id']}/configurations").json()["result"]
    assert (found["version"], found["source"], found["config"]) == (1, "local", reported)
    (client,) = tenant.ask("GET", f"{tenant.tunnels}/{tunnel['id']}/connections").json()["result"]
    assert client["config_version"] == 1  # the version it is kept as
    edge.post(edge.here("reports"), {"connection": first, "configuration": {**reported, "ingress": []}})
    edge.post(edge.here("reports"), {"connection": first, "configuration": {**reported, "ingress": []}})
    (client,) = tenant.ask("GET", f"{tenant.tunnels}/{tunnel['id']}/connections").json()["result"]
    assert client["config_version"] == 2
    edge.post(edge.here("reports"), {"connection": first, "applied": 7})
    (client,) = tenant.ask("GET", f"{tenant.tunnels}/{tunnel['id']}/connections").json()["result"]
    assert client["config_version"] == 7


def test_the_grace_of_a_server_is_the_one_it_is_told(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    database = Database(data)
    with database.accounts() as accounts:
        token, _ = accounts.create_token(["admin"])
        account = accounts.every_account()[0].id
    with running(data, "--grace", "1s", environment=database.environment) as url:
        server = Server(database, f"{url}/client/v4", account, token)
        made = server.ask("POST", server.tunnels, json={"name": "blog"}).json()["result"]
        edge = server.edge()
        edge.register(made["token"])
        edge.depart(sorted(edge.held), lost=True)
        wait = time.monotonic() + 20
        while server.ask("GET", f"{server.tunnels}/{made['id']}").json()["result"]["connections"]:
            assert time.monotonic() < wait
            time.sleep(0.1)


def test_an_edge_asks_for_news_a_few_times_at_once_and_others_are_served_meanwhile(
    server: Server, edge: PlayedEdge
) -> None:
    others = [server.edge() for _ in range(3)]
    path = edge.here(f"news?wait=3&routing={edge.news()['routing']}")
    with ThreadPoolExecutor(20) as threads:
        many = [threads.submit(edge.ask, "GET", path) for _ in range(8)]
        time.sleep(1)
        for other in others:
            assert other.post(other.here("heartbeat"), {"connections": []}) == {"close": []}
        statuses = Counter(each.result().status_code for each in many)
    assert statuses == {200: 4, 429: 4}
    assert edge.ask("GET", edge.here("news")).status_code == 200


def test_who_holds_connections_open_holds_up_nobody(server: Server) -> None:
    address = urlsplit(server.api)
    with ExitStack() as idle:
        for number in range(300):
            idle.enter_context(
                socket.create_connection(
                    (address.hostname, address.port), source_address=(f"127.0.0.{1 + number % 200}", 0)
                )
            )
        assert server.ask("GET", "/accounts").status_code == 200


def test_edges_are_told_with_how_they_stand(tenant: Server, edge: PlayedEdge) -> None:
    """Of the installation as a whole, so to its administrators only."""
    gone = tenant.edge()
    tenant.revoke(gone.name)
    for name in ("blog", "shop"):
        token = tenant.ask("POST", tenant.tunnels, json={"name": name}).json()["result"]["token"]
        edge.register(token, [0, 1, 2])
    with tenant.database.accounts() as accounts:
        administrator, _ = accounts.create_token(["admin"])
        scoped, _ = accounts.create_token(["admin"], account=tenant.account)
    for token in (tenant.token, scoped, edge.key):
        assert tenant.ask("GET", "/edges", token).status_code == 403
    told = {each["name"]: each for each in tenant.ask("GET", "/edges", administrator).json()["result"]}
    here, there = told[edge.name], told[gone.name]
    assert (here["state"], here["connections"], here["tunnels"]) == ("there", 6, 2)
    assert here["enrolled"] < here["since"] <= here["last_heard"]
    assert (there["state"], there["connections"], there["tunnels"]) == ("revoked", 0, 0)
    assert there["since"] > there["last_heard"] >= there["enrolled"]
    assert edge.heartbeat() == []
    again = {each["name"]: each for each in tenant.ask("GET", "/edges", administrator).json()["result"]}
    assert again[edge.name]["since"] == here["since"]
    assert again[edge.name]["last_heard"] > here["last_heard"]

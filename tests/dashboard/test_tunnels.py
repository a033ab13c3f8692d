"""The pages of tunnels, of a server that runs with an edge: what they show, and what their forms do."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from halfopen.edge.trust import Trust
from halfopen.testing.connectors.connection import Exchange
from halfopen.testing.connectors.connector import Connector
from halfopen.tunnels.vault import RunToken
from halfopen.tunnelwire.exchange import Answered
from halfopen.tunnelwire.rpc.connector_control import Rejected
from tests.dashboard.pages import WITH_EDGE, Reader, connectors_of, signed_in, site, words
from tests.edge.place import until
from tests.tunnels.played import Server

LAST = {"service": "http_status:404"}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Server]]:
    with site(tmp_path_factory.mktemp("pages") / "data", *WITH_EDGE) as found:
        yield found


@pytest.fixture
def owner(served: tuple[str, Server]) -> Server:
    """An account that nobody else uses, by a token that may change its tunnels."""
    return served[1].tenant()


@pytest.fixture
def reader(served: tuple[str, Server], owner: Server) -> Iterator[Reader]:
    with signed_in(served[0], owner.token) as found:
        yield found


def made(owner: Server, name: str = "blog", config_src: str = "cloudflare") -> dict[str, Any]:
    body = {"name": name, "config_src": config_src}
    result: dict[str, Any] = owner.ask("POST", owner.tunnels, json=body).json()["result"]
    return result


def page_of(owner: Server, tunnel: dict[str, Any]) -> str:
    return f"/tunnels/{owner.account}/{tunnel['id']}"


def configured(owner: Server, tunnel: dict[str, Any], *rules: dict[str, Any]) -> dict[str, Any]:
    path = f"{owner.tunnels}/{tunnel['id']}/configurations"
    answer = owner.ask("PUT", path, json={"config": {"ingress": [*rules, LAST]}}).json()
    assert answer["success"], answer
    result: dict[str, Any] = answer["result"]
    return result


def latest(owner: Server, tunnel: dict[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = owner.ask("GET", f"{owner.tunnels}/{tunnel['id']}/configurations").json()[
        "result"
    ]
    return result


async def origin(exchange: Exchange) -> None:
    exchange.answer(Answered(200))
    await exchange.send(b"hello", end=True)


def connector(data: Path, token: str) -> Connector:
    run, (host, port) = RunToken.parse(token), connectors_of(data)
    assert run is not None
    return Connector(run, origin, host, port, Trust(data / "edge").authority())


def test_a_tunnel_is_made_and_listed(owner: Server, reader: Reader) -> None:
    assert "No tunnels yet" in reader.see("/tunnels")
    answer = reader.send("/tunnels", account=owner.account, name="blog", config_src="cloudflare")
    assert answer.status_code == 303
    told = reader.see(answer.headers["location"])
    assert "The tunnel is made." in told
    assert "None is connected." in told
    (tunnel,) = owner.ask("GET", owner.tunnels).json()["result"]
    assert (tunnel["name"], tunnel["remote_config"]) == ("blog", True)
    assert re.search(r"1 inactive .* blog inactive 0 0 made", reader.see("/tunnels"))


def test_a_name_that_is_taken_is_told_beside_what_was_typed(owner: Server, reader: Reader) -> None:
    made(owner)
    answer = reader.send("/tunnels", account=owner.account, name="blog", config_src="local")
    assert answer.status_code == 409
    told = words(answer.text)
    assert "This was not done: You already have a tunnel with this name" in told
    assert 'value="blog"' in answer.text
    assert 'value="local" checked' in answer.text


def test_the_token_is_in_no_page_before_it_is_asked_for(
    served: tuple[str, Server], owner: Server, reader: Reader
) -> None:
    tunnel = made(owner)
    page, data = page_of(owner, tunnel), served[1].database.data
    host, port = connectors_of(data)
    command = f"cloudflared tunnel --cacert {data}/edge/ca.pem {' '.join([f'--edge {host}:{port}'] * 4)}"
    hidden = reader.see(page)
    assert f"{command} run --token TOKEN" in hidden
    assert f"{command} --protocol http2 run --token TOKEN" in hidden
    assert tunnel["token"] not in reader.http.get(page).text
    assert f"{command} run --token {tunnel['token']}" in reader.see(f"{page}?token=show")
    assert f"  {command} run --token TOKEN" in (data / "log").read_text().splitlines()  # as the edge says it


def test_who_may_only_read_sees_no_forms_and_no_token(served: tuple[str, Server], owner: Server) -> None:
    tunnel = made(owner)
    page = page_of(owner, tunnel)
    with signed_in(served[0], owner.allowed("Cloudflare Tunnel Read").token) as looker:
        for path in ("/tunnels", page, f"{page}?token=show", f"{page}/configuration"):
            text = looker.http.get(path).text
            assert re.findall(r'<form[^>]*method="post"[^>]*>', text) == [
                '<form method="post" action="/sign-out">'
            ]
            assert tunnel["token"] not in text
            assert not re.search(r"/(rotate|cleanup|delete)", text)
        for path in ("rotate", "cleanup", "delete"):
            assert "may not change tunnels" in looker.see(f"{page}/{path}", 403)
        for path in ("/tunnels", f"{page}/name", f"{page}/rotate", f"{page}/delete", f"{page}/configuration"):
            answer = looker.send("/tunnels", path, name="other")
            assert (answer.status_code, "may not change tunnels" in answer.text) == (403, True)
    assert owner.ask("GET", owner.tunnels).json()["result"][0]["name"] == "blog"


def test_who_may_not_read_tunnels_is_told_so(served: tuple[str, Server]) -> None:
    _, server = served
    with signed_in(served[0], server.tenant("radar:read").token) as stranger:
        assert "may not read tunnels. One of these permissions lets it: " in stranger.see("/tunnels", 403)


def test_another_accounts_tunnel_is_not_there(served: tuple[str, Server], owner: Server) -> None:
    page = page_of(owner, made(owner))
    with signed_in(served[0], served[1].tenant().token) as stranger:
        for path in ("", "/delete", "/configuration"):
            assert "There is no such tunnel" in stranger.see(f"{page}{path}", 404)
        assert "There is no such tunnel" in stranger.see(f"/tunnels/{owner.account}/{uuid4()}", 404)
        assert "There is no such tunnel" in stranger.see("/tunnels/a/b", 404)
        assert "There is no such account" in stranger.see(f"/tunnels?account={owner.account}", 404)
        answer = stranger.send("/tunnels", f"{page}/delete", cascade="1")
        assert (answer.status_code, "There is no such tunnel" in answer.text) == (404, True)


def test_all_accounts_that_one_may_see_are_listed_or_one(served: tuple[str, Server]) -> None:
    url, server = served
    first, second = server.tenant(), server.tenant()
    made(first, "of-the-first"), made(second, "of-the-second")
    with signed_in(url, server.token) as reader:
        every = reader.see("/tunnels")
        one = reader.see(f"/tunnels?account={second.account}")
    assert ("of-the-first" in every, "of-the-second" in every) == (True, True)
    assert ("of-the-first" in one, "of-the-second" in one) == (False, True)


def test_a_name_with_markup_is_shown_as_it_is(owner: Server, reader: Reader) -> None:
    name = "<script>alert(1)</script>"
    page = page_of(owner, made(owner, name))
    for path in ("/tunnels", page, f"{page}/delete", f"{page}/rotate", f"{page}/configuration"):
        assert "<script>alert" not in reader.http.get(path).text
        assert name in words(reader.http.get(path).text)


def test_another_name(owner: Server, reader: Reader) -> None:
    tunnel = made(owner)
    page = page_of(owner, tunnel)
    assert reader.send(page, f"{page}/name", name="diary").headers["location"] == f"{page}?done=renamed"
    assert owner.ask("GET", f"{owner.tunnels}/{tunnel['id']}").json()["result"]["name"] == "diary"
    answer = reader.send(page, f"{page}/name", name=str(uuid4()))
    assert answer.status_code == 400
    assert "a name; clients take a UUID for an id" in words(answer.text).partition("This was not done:")[2]


def test_a_form_of_elsewhere_does_nothing(owner: Server, reader: Reader) -> None:
    tunnel = made(owner)
    page = page_of(owner, tunnel)
    for path in (
        "/tunnels",
        f"{page}/name",
        f"{page}/rotate",
        f"{page}/cleanup",
        f"{page}/delete",
        f"{page}/configuration",
    ):
        answer = reader.http.post(path, data={"form_token": "0" * 32, "name": "x", "account": owner.account})
        assert (answer.status_code, "This form is out of date" in answer.text) == (403, True)
    assert [each["name"] for each in owner.ask("GET", owner.tunnels).json()["result"]] == ["blog"]


def test_another_secret_refuses_the_old_token_and_closes_what_is_connected(
    served: tuple[str, Server], owner: Server, reader: Reader
) -> None:
    tunnel = made(owner)
    page, data = page_of(owner, tunnel), served[1].database.data

    async def scene() -> None:
        async with connector(data, tunnel["token"]).connected(2):
            shown = await asyncio.to_thread(reader.see, f"{page}/rotate")
            assert "start each connector anew with the new one" in shown
            assert "Connected at this moment: 2 live connections" in shown
            answer = await asyncio.to_thread(reader.send, f"{page}/rotate", close="1")
            assert answer.headers["location"] == f"{page}?done=rotated"
            assert "None is connected." in await asyncio.to_thread(reader.see, page)
        refused = await connector(data, tunnel["token"]).connect()
        assert isinstance(await refused.outcome, Rejected)
        refused.close()
        fresh = owner.ask("GET", f"{owner.tunnels}/{tunnel['id']}/token").json()["result"]
        assert fresh != tunnel["token"]
        async with connector(data, fresh).connected(1):
            pass

    asyncio.run(scene())


def test_connections_are_shown_and_closed_for_one_connector_or_all(
    served: tuple[str, Server], owner: Server, reader: Reader
) -> None:
    tunnel = made(owner)
    number = configured(owner, tunnel, {"hostname": "a.example", "service": "http://localhost:1"})["version"]
    page, data = page_of(owner, tunnel), served[1].database.data

    def see(wanted: str, path: str = page) -> None:
        until(lambda: wanted in reader.see(path), lambda: reader.see(path))

    async def scene() -> None:
        first, second = (connector(data, tunnel["token"]) for _ in range(2))
        async with first.connected(4), second.connected(2):
            shown = await asyncio.to_thread(reader.see, page)
            assert "healthy 6 live connections of 2 connectors." in shown
            assert f"{first.id} cloudflared 2026.8.2 on linux_amd64, started" in shown
            assert "live local 127.0.0.1" in shown
            await asyncio.to_thread(see, f"It uses version {number} of the configuration, the latest.")
            await asyncio.to_thread(see, "blog healthy 6 2 local", "/tunnels")
            only = f"{page}/cleanup?connector={second.id}"
            assert (
                f"of the connector {second.id} at this moment: 2 live connections"
                in await asyncio.to_thread(reader.see, only)
            )
            answer = await asyncio.to_thread(reader.send, only, connector=second.id)
            assert answer.headers["location"] == f"{page}?done=cleaned"
            shown = await asyncio.to_thread(reader.see, page)
            assert "healthy 4 live connections of 1 connector." in shown
            assert second.id not in shown
            await asyncio.to_thread(reader.send, f"{page}/cleanup")
            assert "down Nothing is connected any more." in await asyncio.to_thread(reader.see, page)

    asyncio.run(scene())


def test_what_broke_off_is_called_pending(owner: Server, reader: Reader) -> None:
    tunnel = made(owner)
    edge = owner.edge()
    told = edge.register(tunnel["token"])
    edge.depart([told[0]["connection"]], lost=True)
    shown = reader.see(page_of(owner, tunnel))
    assert "degraded 3 live connections of 1 connector, and 1 that broke off and is waited for." in shown
    assert "pending broke off, waited for" in shown
    assert "blog degraded 3 and 1 pending 1" in reader.see("/tunnels")


def test_traffic_is_shown_by_hostname(owner: Server, reader: Reader) -> None:
    tunnel = made(owner)
    zone = f"{uuid4().hex[:12]}.example"
    owner.zone(zone)
    configured(
        owner,
        tunnel,
        *({"hostname": f"{name}.{zone}", "service": "http://localhost:1"} for name in ("www", "api")),
    )
    page = page_of(owner, tunnel)
    assert f"www.{zone} 0.0 0 no request yet api.{zone} 0.0 0 no request yet" in reader.see(page)
    sums = {"statuses": {"2xx": 1190, "5xx": 10}, "bytes_in": 2048, "bytes_out": 3 << 20, "seconds": 60.0}
    passed = [{"tunnel": tunnel["id"], "hostname": f"www.{zone}", "sums": sums, "ago": 1.0}]
    edge = owner.edge()
    edge.post(edge.here("traffic"), {"passed": passed})
    told = reader.see(page)
    assert re.search(rf"www\.{zone} [0-9.]+ 1,200 1,190 10 2\.0 KiB 3\.0 MiB 50 ms ", told), told
    assert f"api.{zone} 0.0 0 no request yet" in told


def test_a_tunnel_with_connections_is_deleted_only_with_them(owner: Server, reader: Reader) -> None:
    tunnel = made(owner)
    page, edge = page_of(owner, tunnel), owner.edge()
    edge.register(tunnel["token"])
    assert "This cannot be taken back." in reader.see(f"{page}/delete")
    answer = reader.send(f"{page}/delete")
    assert (answer.status_code, "This was not done:" in words(answer.text)) == (400, True)
    edge.depart(sorted(edge.held))
    answer = reader.send(f"{page}/delete", cascade="1")
    assert "The tunnel is deleted." in reader.see(answer.headers["location"])
    assert "There is no such tunnel" in reader.see(page, 404)
    assert owner.ask("GET", owner.tunnels).json()["result"] == []

"""The pages of tunnels, of a server that runs with an edge: what they show, and what their forms do."""

from __future__ import annotations

import asyncio
import re
from typing import Any
from uuid import uuid4

from halfopen.edge.trust import Trust
from halfopen.testing.connectors.connection import Exchange
from halfopen.testing.connectors.connector import Connector
from halfopen.tunnels.vault import RunToken
from halfopen.tunnelwire.exchange import Answered
from halfopen.tunnelwire.rpc.connector_control import Rejected
from tests.dashboard.accounts import administrator, see, send, visiting, words
from tests.dashboard.site import Site, Visitor
from tests.edge.place import until
from tests.tunnels.played import Server

LAST = {"service": "http_status:404"}


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


def connector(site: Site, token: str) -> Connector:
    run, (host, _, port) = RunToken.parse(token), site.connectors.rpartition(":")
    assert run is not None
    return Connector(run, origin, host, int(port), Trust(site.data / "edge").authority())


def test_a_tunnel_is_made_and_listed(owner: Server, reader: Visitor) -> None:
    assert "No tunnels yet" in see(reader, "/tunnels")
    answer = send(reader, "/tunnels", account=owner.account, name="blog", config_src="cloudflare")
    assert answer.status_code == 303
    told = see(reader, answer.headers["location"])
    assert "The tunnel is made." in told
    assert "None is connected." in told
    (tunnel,) = owner.ask("GET", owner.tunnels).json()["result"]
    assert (tunnel["name"], tunnel["remote_config"]) == ("blog", True)
    assert re.search(r"1 inactive .* blog inactive 0 0 made", see(reader, "/tunnels"))


def test_a_name_that_is_taken_is_told_beside_what_was_typed(owner: Server, reader: Visitor) -> None:
    made(owner)
    answer = send(reader, "/tunnels", account=owner.account, name="blog", config_src="local")
    assert answer.status_code == 409
    told = words(answer.text)
    assert "This was not done: You already have a tunnel with this name" in told
    assert 'value="blog"' in answer.text
    assert 'value="local" checked' in answer.text


def test_the_token_is_in_no_page_before_it_is_asked_for(site: Site, owner: Server, reader: Visitor) -> None:
    tunnel = made(owner)
    page = page_of(owner, tunnel)
    command = (
        f"cloudflared tunnel --cacert {site.data}/edge/ca.pem {' '.join([f'--edge {site.connectors}'] * 4)}"
    )
    hidden = see(reader, page)
    assert f"{command} run --token TOKEN" in hidden
    assert f"{command} --protocol http2 run --token TOKEN" in hidden
    assert tunnel["token"] not in reader.get(page).text
    assert f"{command} run --token {tunnel['token']}" in see(reader, f"{page}?token=show")
    assert (
        f"  {command} run --token TOKEN" in (site.data / "log").read_text().splitlines()
    )  # as the edge says it


def test_who_may_only_read_sees_no_forms_and_no_token(site: Site, owner: Server) -> None:
    tunnel = made(owner)
    page = page_of(owner, tunnel)
    with visiting(owner.allowed("Cloudflare Tunnel Read")) as looker:
        for path in ("/tunnels", page, f"{page}?token=show", f"{page}/configuration"):
            text = looker.get(path).text
            assert re.findall(r'<form[^>]*method="post"[^>]*>', text) == [
                '<form method="post" action="/sign-out">'
            ]
            assert tunnel["token"] not in text
            assert not re.search(r"/(rotate|cleanup|delete)", text)
        for path in ("rotate", "cleanup", "delete"):
            assert "may not change tunnels" in see(looker, f"{page}/{path}", 403)
        for path in ("/tunnels", f"{page}/name", f"{page}/rotate", f"{page}/delete", f"{page}/configuration"):
            answer = send(looker, path, name="other")
            assert (answer.status_code, "may not change tunnels" in answer.text) == (403, True)
    assert owner.ask("GET", owner.tunnels).json()["result"][0]["name"] == "blog"


def test_who_may_not_read_tunnels_is_told_so(site: Site) -> None:
    with visiting(administrator(site).tenant("radar:read")) as stranger:
        assert "may not read tunnels. One of these permissions lets it: " in see(stranger, "/tunnels", 403)


def test_another_accounts_tunnel_is_not_there(site: Site, owner: Server) -> None:
    page = page_of(owner, made(owner))
    with visiting(administrator(site).tenant()) as stranger:
        for path in ("", "/delete", "/configuration"):
            assert "There is no such tunnel" in see(stranger, f"{page}{path}", 404)
        assert "There is no such tunnel" in see(stranger, f"/tunnels/{owner.account}/{uuid4()}", 404)
        assert "There is no such tunnel" in see(stranger, "/tunnels/a/b", 404)
        assert "There is no such account" in see(stranger, f"/tunnels?account={owner.account}", 404)
        answer = send(stranger, f"{page}/delete", cascade="1")
        assert (answer.status_code, "There is no such tunnel" in answer.text) == (404, True)


def test_all_accounts_that_one_may_see_are_listed_or_one(site: Site) -> None:
    server = administrator(site)
    first, second = server.tenant(), server.tenant()
    made(first, "of-the-first"), made(second, "of-the-second")
    with visiting(server) as reader:
        every = see(reader, "/tunnels")
        one = see(reader, f"/tunnels?account={second.account}")
    assert ("of-the-first" in every, "of-the-second" in every) == (True, True)
    assert ("of-the-first" in one, "of-the-second" in one) == (False, True)


def test_a_name_with_markup_is_shown_as_it_is(owner: Server, reader: Visitor) -> None:
    name = "<script>alert(1)</script>"
    page = page_of(owner, made(owner, name))
    for path in ("/tunnels", page, f"{page}/delete", f"{page}/rotate", f"{page}/configuration"):
        assert "<script>alert" not in reader.get(path).text
        assert name in words(reader.get(path).text)


def test_another_name(owner: Server, reader: Visitor) -> None:
    tunnel = made(owner)
    page = page_of(owner, tunnel)
    assert send(reader, f"{page}/name", name="diary").headers["location"] == f"{page}?done=renamed"
    assert owner.ask("GET", f"{owner.tunnels}/{tunnel['id']}").json()["result"]["name"] == "diary"
    answer = send(reader, f"{page}/name", name=str(uuid4()))
    assert answer.status_code == 400
    assert "a name; clients take a UUID for an id" in words(answer.text).partition("This was not done:")[2]


def test_a_form_of_elsewhere_does_nothing(owner: Server, reader: Visitor) -> None:
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
        answer = reader.client.post(
            path, data={"form_token": "0" * 32, "name": "x", "account": owner.account}
        )
        assert (answer.status_code, "This form is out of date" in answer.text) == (403, True)
    assert [each["name"] for each in owner.ask("GET", owner.tunnels).json()["result"]] == ["blog"]


def test_another_secret_refuses_the_old_token_and_closes_what_is_connected(
    site: Site, owner: Server, reader: Visitor
) -> None:
    tunnel = made(owner)
    page = page_of(owner, tunnel)

    async def scene() -> None:
        async with connector(site, tunnel["token"]).connected(2):
            shown = await asyncio.to_thread(see, reader, f"{page}/rotate")
            assert "start each connector anew with the new one" in shown
            assert "Connected at this moment: 2 live connections" in shown
            answer = await asyncio.to_thread(send, reader, f"{page}/rotate", close="1")
            assert answer.headers["location"] == f"{page}?done=rotated"
            assert "None is connected." in await asyncio.to_thread(see, reader, page)
        refused = await connector(site, tunnel["token"]).connect()
        assert isinstance(await refused.outcome, Rejected)
        refused.close()
        fresh = owner.ask("GET", f"{owner.tunnels}/{tunnel['id']}/token").json()["result"]
        assert fresh != tunnel["token"]
        async with connector(site, fresh).connected(1):
            pass

    asyncio.run(scene())


def test_connections_are_shown_and_closed_for_one_connector_or_all(
    site: Site, owner: Server, reader: Visitor
) -> None:
    tunnel = made(owner)
    number = configured(owner, tunnel, {"hostname": "a.example", "service": "http://localhost:1"})["version"]
    page = page_of(owner, tunnel)

    def shows(wanted: str, path: str = page) -> None:
        until(lambda: wanted in see(reader, path), lambda: see(reader, path))

    async def scene() -> None:
        first, second = (connector(site, tunnel["token"]) for _ in range(2))
        async with first.connected(4), second.connected(2):
            shown = await asyncio.to_thread(see, reader, page)
            assert "healthy 6 live connections of 2 connectors." in shown
            assert f"{first.id} cloudflared 2026.8.2 on linux_amd64, started" in shown
            assert "live local 127.0.0.1" in shown
            await asyncio.to_thread(shows, f"It uses version {number} of the configuration, the latest.")
            await asyncio.to_thread(shows, "blog healthy 6 2 local", "/tunnels")
            only = f"{page}/cleanup?connector={second.id}"
            assert (
                f"of the connector {second.id} at this moment: 2 live connections"
                in await asyncio.to_thread(see, reader, only)
            )
            answer = await asyncio.to_thread(send, reader, only, connector=second.id)
            assert answer.headers["location"] == f"{page}?done=cleaned"
            assert "No connection that was there is left." in see(reader, f"{page}?done=cleaned")
            shown = await asyncio.to_thread(see, reader, page)
            assert "healthy 4 live connections of 1 connector." in shown
            assert second.id not in shown
            await asyncio.to_thread(send, reader, f"{page}/cleanup")
            assert "down Nothing is connected any more." in await asyncio.to_thread(see, reader, page)

    asyncio.run(scene())


def test_what_broke_off_is_called_pending(owner: Server, reader: Visitor) -> None:
    tunnel = made(owner)
    edge = owner.edge()
    told = edge.register(tunnel["token"])
    edge.depart([told[0]["connection"]], lost=True)
    shown = see(reader, page_of(owner, tunnel))
    assert "degraded 3 live connections of 1 connector, and 1 that broke off and is waited for." in shown
    assert "pending broke off, waited for" in shown
    assert "blog degraded 3 and 1 pending 1" in see(reader, "/tunnels")


def test_traffic_is_shown_by_hostname(owner: Server, reader: Visitor) -> None:
    tunnel = made(owner)
    zone = f"{uuid4().hex[:12]}.example"
    owner.zone(zone)
    configured(
        owner,
        tunnel,
        *({"hostname": f"{name}.{zone}", "service": "http://localhost:1"} for name in ("www", "api")),
    )
    page = page_of(owner, tunnel)
    assert f"www.{zone} 0.0 0 no request yet api.{zone} 0.0 0 no request yet" in see(reader, page)
    sums = {"statuses": {"2xx": 1190, "5xx": 10}, "bytes_in": 2048, "bytes_out": 3 << 20, "seconds": 60.0}
    passed = [{"tunnel": tunnel["id"], "hostname": f"www.{zone}", "sums": sums, "ago": 1.0}]
    edge = owner.edge()
    edge.post(edge.here("traffic"), {"passed": passed, "within": 10.0})
    told = see(reader, page)
    assert re.search(rf"www\.{zone} [0-9.]+ 1,200 1,190 10 2\.0 KiB 3\.0 MiB 50 ms ", told), told
    assert f"api.{zone} 0.0 0 no request yet" in told


def test_a_tunnel_with_connections_is_deleted_only_with_them(owner: Server, reader: Visitor) -> None:
    tunnel = made(owner)
    page, edge = page_of(owner, tunnel), owner.edge()
    edge.register(tunnel["token"])
    assert "This cannot be taken back." in see(reader, f"{page}/delete")
    answer = send(reader, f"{page}/delete")
    assert (answer.status_code, "This was not done:" in words(answer.text)) == (400, True)
    edge.depart(sorted(edge.held))
    answer = send(reader, f"{page}/delete", cascade="1")
    assert "The tunnel is deleted." in see(reader, answer.headers["location"])
    assert "There is no such tunnel" in see(reader, page, 404)
    assert owner.ask("GET", owner.tunnels).json()["result"] == []

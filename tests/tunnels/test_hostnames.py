"""Which hostname leads to which tunnel: inside a zone of the account, by a claim or a configuration set here, and never twice."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from halfopen.errors import ConflictError, InvalidError, MissingError, RefusedError, UsageError
from halfopen.tunnels import hostnames
from halfopen.tunnels.hostnames import Claimed, Leading
from halfopen.tunnels.records import Tunnel
from tests.tunnels.played import PlayedEdge, Server
from tests.tunnels.world import World


def config(*hostnames: str) -> dict[str, Any]:
    rules: list[Any] = [{"hostname": name, "service": "http://localhost"} for name in hostnames]
    return {"ingress": [*rules, {"service": "http_status:404"}]}


def put(world: World, tunnel: Tunnel, *hostnames: str) -> None:
    world.here.configurations.put(tunnel.account, tunnel.id, config(*hostnames))


def test_a_configuration_routes_inside_the_accounts_zones_and_nowhere_else(world: World) -> None:
    tunnel, _ = world.tunnel()
    other = world.here.accounts.create_account("Other").id
    world.here.hostnames.add_zone(world.account, "Example.com")
    world.here.hostnames.add_zone(other, "other.example")
    put(
        world,
        tunnel,
        "app.example.com",
        "*.example.com",
        "example.com",
        "app.other.example",
        "nowhere.example",
    )
    names = ("app.example.com", "*.example.com", "example.com")
    assert world.here.hostnames.routing() == dict.fromkeys(names, tunnel.id)
    put(world, tunnel, "app.example.com")
    assert world.here.hostnames.routing() == {"app.example.com": tunnel.id}
    world.here.tunnels.delete(world.account, tunnel.id)
    assert world.here.hostnames.routing() == {}


def test_a_zone_that_comes_later_lets_configurations_route_and_its_end_ends_it(world: World) -> None:
    tunnel, _ = world.tunnel()
    put(world, tunnel, "app.example.com")
    assert world.here.hostnames.routing() == {}
    world.here.hostnames.add_zone(world.account, "example.com")
    assert world.here.hostnames.routing() == {"app.example.com": tunnel.id}
    world.here.hostnames.remove_zone("EXAMPLE.com")
    assert world.here.hostnames.routing() == {}
    assert world.here.hostnames.zones() == []


def test_what_a_connector_reports_never_routes(world: World) -> None:
    session = world.edge()
    tunnel, token = world.tunnel()
    world.here.hostnames.add_zone(world.account, "example.com")
    (connected,) = world.connect(session, token, [0])
    reported = world.here.registry.report(session, connected)
    assert reported == tunnel.id
    world.here.configurations.report(reported, config("app.example.com"), connected)
    found = world.here.configurations.get(world.account, tunnel.id)
    assert (found.version, found.source, found.config) == (1, "local", config("app.example.com"))
    world.here.configurations.report(tunnel.id, config("app.example.com"), connected)
    assert world.here.configurations.get(world.account, tunnel.id).version == 1  # nothing new
    assert world.here.hostnames.routing() == {}
    put(world, tunnel, "www.example.com")
    world.here.configurations.report(
        tunnel.id, config("app.example.com"), connected
    )  # it is configured here now
    assert world.here.configurations.get(world.account, tunnel.id).version == 2
    assert world.here.hostnames.routing() == {"www.example.com": tunnel.id}


def test_claims_are_new_unchanged_and_updated_and_stay_when_the_configuration_changes(world: World) -> None:
    blog, _ = world.tunnel("blog")
    shop, _ = world.tunnel("shop")
    zone = world.here.hostnames.add_zone(world.account, "example.com")
    claim = world.here.hostnames.claim
    assert claim(zone, blog.id, "App.example.com.") == Claimed("app.example.com", "new")
    assert claim(zone, blog.id, "app") == Claimed("app.example.com", "unchanged")
    with pytest.raises(ConflictError, match=r"app\.example\.com leads to the tunnel blog already"):
        claim(zone, shop.id, "app")
    assert claim(zone, shop.id, "app", overwrite=True) == Claimed("app.example.com", "updated")
    put(world, shop, "www.example.com")
    put(world, shop)
    assert world.here.hostnames.routing() == {"app.example.com": shop.id}
    assert world.here.hostnames.of_tunnel(shop.id) == {"app.example.com": True}
    for text in ("app.other.com", "a..b", "", "badexample.com"):
        with pytest.raises(InvalidError, match=r"a hostname in example\.com"):
            claim(zone, blog.id, text)
    world.here.tunnels.delete(world.account, blog.id)
    with pytest.raises(MissingError):
        claim(zone, blog.id, "late")


def test_a_hostname_that_leads_elsewhere_is_refused_in_words_and_nothing_changes(world: World) -> None:
    blog, _ = world.tunnel("blog")
    shop, _ = world.tunnel("shop")
    world.here.hostnames.add_zone(world.account, "example.com")
    put(world, blog, "app.example.com")
    put(world, shop, "shop.example.com")
    with pytest.raises(
        RefusedError, match=r"Bad Configuration: app\.example\.com leads to the tunnel blog already"
    ):
        put(world, shop, "new.example.com", "app.example.com")
    assert world.here.configurations.get(world.account, shop.id).version == 1
    assert world.here.hostnames.routing() == {"app.example.com": blog.id, "shop.example.com": shop.id}


def test_a_hostname_that_is_free_again_leads_to_the_oldest_tunnel_whose_configuration_names_it(
    world: World,
) -> None:
    oldest, older, owner = (world.tunnel(name)[0] for name in ("oldest", "older", "owner"))
    zone = world.here.hostnames.add_zone(world.account, "example.com")
    named = ("app.example.com", "bücher.example.com")
    ascii_ = ("app.example.com", "xn--bcher-kva.example.com")
    routing = world.here.hostnames.routing
    put(world, older, *named)
    for name in named:
        world.here.hostnames.claim(zone, owner.id, name, overwrite=True)
    assert routing() == dict.fromkeys(ascii_, owner.id)
    put(world, older, *named)  # a claim beats it and is no reason to refuse what it named before
    assert routing() == dict.fromkeys(ascii_, owner.id)
    with pytest.raises(RefusedError):
        put(world, oldest, named[0])  # it is new here
    world.here.hostnames.release(named[0])
    assert routing() == {ascii_[0]: older.id, ascii_[1]: owner.id}
    with pytest.raises(UsageError, match="one that was claimed"):
        world.here.hostnames.release(named[0])
    world.here.tunnels.delete(world.account, owner.id)
    assert routing() == dict.fromkeys(ascii_, older.id)
    world.here.hostnames.remove_zone("example.com")
    put(world, oldest, *named)  # outside of any zone nobody is asked
    world.here.hostnames.add_zone(world.account, "example.com")
    assert routing() == dict.fromkeys(ascii_, oldest.id)
    put(world, oldest)
    assert routing() == dict.fromkeys(ascii_, older.id)


def test_claims_of_a_zone_are_listed_given_back_and_not_endless(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hostnames, "MOST_CLAIMS", 2)
    tunnel, _ = world.tunnel("blog")
    here = world.here.hostnames
    zone = here.add_zone(world.account, "example.com")
    put(world, tunnel, "b.example.com", "c.example.com")
    for name in ("a", "b", "a"):
        here.claim(zone, tunnel.id, name)
    for name in ("c", "d"):
        with pytest.raises(
            RefusedError, match=r"example\.com has 2 claimed hostnames, as many as a zone may"
        ):
            here.claim(zone, tunnel.id, name)
    assert here.in_zone("Example.com") == [
        Leading(f"{name}.example.com", tunnel.id, "blog", name != "c") for name in "abc"
    ]
    here.release("A.example.com")
    here.release("b.example.com")
    assert [(each.hostname, each.claimed) for each in here.in_zone("example.com")] == [
        ("b.example.com", False),
        ("c.example.com", False),
    ]
    with pytest.raises(UsageError, match="halfopen zone list"):
        here.in_zone("other.example")


@pytest.mark.parametrize("name", ["example.com", "a.example.com", "com.", "x y.org", "nodot"])
def test_zones_do_not_overlap_and_are_domains(world: World, name: str) -> None:
    world.here.hostnames.add_zone(world.account, "example.com")
    other = world.here.accounts.create_account("Other").id
    for account in (world.account, other):
        with pytest.raises(UsageError):
            world.here.hostnames.add_zone(account, name)
    with pytest.raises(UsageError, match="the identifier of an account"):
        world.here.hostnames.add_zone("none", "free.example")
    with pytest.raises(UsageError, match="halfopen zone list"):
        world.here.hostnames.remove_zone("free.example")


def test_an_edge_hears_of_it_and_gets_what_it_routes_and_pushes_by(tenant: Server, edge: PlayedEdge) -> None:
    zone = tenant.zone(f"{tenant.account[-8:]}.example")
    tunnel = tenant.ask("POST", tenant.tunnels, json={"name": "blog"}).json()["result"]
    edge.register(tunnel["token"])
    before = edge.news()["routing"]
    wanted = config(f"app.{zone.name}")
    answer = tenant.ask("PUT", f"{tenant.tunnels}/{tunnel['id']}/configurations", json={"config": wanted})
    assert answer.status_code == 200
    assert edge.news(before, wait=20)["routing"] > before
    found = edge.routing()
    assert found["hostnames"][f"app.{zone.name}"] == tunnel["id"]
    assert found["configurations"][tunnel["id"]] == {
        "version": 1,
        "config": wanted | {"warp-routing": {"enabled": False}},
    }
    claimed = tenant.ask(
        "PUT",
        f"/zones/{zone.id}/tunnels/{tunnel['id']}/routes",
        json={"type": "dns", "user_hostname": "www", "overwrite_existing": False},
    )
    assert claimed.json()["result"] == {"cname": "new", "name": f"www.{zone.name}"}
    stranger = tenant.tenant()
    for zone_id in (zone.id, "none"):
        refused = stranger.ask(
            "PUT", f"/zones/{zone_id}/tunnels/{tunnel['id']}/routes", json={"user_hostname": "x"}
        )
        assert (refused.status_code, refused.json()["errors"]) == (
            404,
            [{"code": 1001, "message": "Zone not found"}],
        )


def test_only_what_changes_is_news_and_is_told_since_a_number(tenant: Server, edge: PlayedEdge) -> None:
    zone = tenant.zone(f"{tenant.account[-8:]}.example")
    first, second = (
        tenant.ask("POST", tenant.tunnels, json={"name": name}).json()["result"] for name in ("a", "b")
    )

    def configure(tunnel: Any, *hostnames: str) -> int:
        wanted = {"config": config(*(f"{name}.{zone.name}" for name in hostnames))}
        answer = tenant.ask("PUT", f"{tenant.tunnels}/{tunnel['id']}/configurations", json=wanted)
        assert answer.status_code == 200
        version: int = answer.json()["result"]["version"]
        return version

    def claim(tunnel: Any) -> str:
        asked = {"type": "dns", "user_hostname": "claimed", "overwrite_existing": True}
        answer = tenant.ask("PUT", f"/zones/{zone.id}/tunnels/{tunnel['id']}/routes", json=asked)
        change: str = answer.json()["result"]["cname"]
        return change

    def told(since: int) -> Any:
        return edge.ask("GET", edge.here("routing"), params={"since": since}).json()["result"]

    for tunnel in (first, second):
        edge.register(tunnel["token"], [0])
    assert (configure(first, "x", "y"), configure(second, "z"), claim(first)) == (1, 1, "new")
    everything = edge.routing()
    number = everything["routing"]
    assert everything["complete"]
    nothing = {"routing": number, "hostnames": {}, "configurations": {}, "complete": False}
    assert told(number) == nothing
    assert (configure(first, "x", "y"), claim(first)) == (1, "unchanged")
    assert told(number) == nothing
    assert (configure(first, "y"), claim(second)) == (2, "updated")
    since = told(number)
    assert since["hostnames"] == {f"x.{zone.name}": None, f"claimed.{zone.name}": second["id"]}
    assert {name: each["version"] for name, each in since["configurations"].items()} == {first["id"]: 2}
    assert told(since["routing"])["hostnames"] == {}
    assert told(since["routing"] + 1)["complete"]  # a number that never was
    some = edge.post(edge.here("configurations"), {"tunnels": [second["id"], str(uuid4())]})
    assert {name: each["version"] for name, each in some.items()} == {second["id"]: 1}
    edge.depart(sorted(edge.held))
    assert edge.post(edge.here("configurations"), {"tunnels": [second["id"]]}) == {}


def test_what_is_too_long_ago_to_tell_is_told_whole(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("halfopen.tunnels.rows.REMEMBERED", 3)
    tunnel, _ = world.tunnel()
    world.here.hostnames.add_zone(world.account, "example.com")
    put(world, tunnel, "app.example.com")
    for number in range(3):
        put(world, tunnel, f"app{number}.example.com")
    assert world.here.hostnames.changed(0) is None
    # By the numbers of its routing: the first configuration made 1.
    assert world.here.hostnames.changed(2) == {
        "app0.example.com": None, "app1.example.com": None, "app2.example.com": tunnel.id
    }  # fmt: skip
    assert world.here.hostnames.changed(4) == {}
    world.here.hostnames.remove_zone("example.com")
    assert world.here.hostnames.changed(4) == {"app2.example.com": None}

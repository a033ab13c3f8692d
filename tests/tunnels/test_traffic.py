"""What edges tell of traffic, and what the API makes of it: sums that a report said twice, or lost, does not change."""

from __future__ import annotations

import random
from collections import defaultdict
from typing import Any
from uuid import uuid4

import pytest

from halfopen.tunnels.sessions import SessionError
from halfopen.tunnels.traffic import NOTHING, STALE, Passed, Rate, Sums
from tests.tunnels.played import PlayedEdge, Server
from tests.tunnels.world import World


def routed(tenant: Server, *names: str) -> tuple[str, list[str]]:
    """A tunnel to which hostnames of a zone of its own lead."""
    tunnel: str = tenant.ask(
        "POST", tenant.tunnels, json={"name": "blog", "config_src": "cloudflare"}
    ).json()["result"]["id"]
    zone = tenant.zone(f"z{uuid4().hex}.example")
    hostnames = [f"{name}.{zone.name}" for name in names]
    rules = [{"hostname": each, "service": "http://127.0.0.1:1"} for each in hostnames]
    config = {"config": {"ingress": [*rules, {"service": "http_status:404"}]}}
    assert tenant.ask("PUT", f"{tenant.tunnels}/{tunnel}/configurations", json=config).status_code == 200
    return tunnel, hostnames


def passed(tunnel: str, hostname: str, ok: int, failed: int = 0, ago: float = 0.0) -> dict[str, Any]:
    sums = {"statuses": {"2xx": ok, "5xx": failed}, "bytes_in": ok, "bytes_out": 10 * ok, "seconds": ok / 4}
    return {"tunnel": tunnel, "hostname": hostname, "sums": sums, "ago": ago}


def tell(edge: PlayedEdge, *told: dict[str, Any]) -> None:
    edge.post(edge.here("traffic"), {"passed": told, "within": 10.0})


def traffic(tenant: Server, tunnel: str) -> dict[str, Any]:
    found = tenant.ask("GET", f"{tenant.tunnels}/{tunnel}/traffic")
    assert found.status_code == 200, found.text
    return {each["hostname"]: each for each in found.json()["result"]}


def test_sums_are_of_all_sessions_of_all_edges(tenant: Server, edge: PlayedEdge) -> None:
    tunnel, (app, www) = routed(tenant, "app", "www")
    assert traffic(tenant, tunnel) == {}
    other = tenant.edge()
    tell(edge, passed(tunnel, app, 4, 1), passed(tunnel, www, 2))
    tell(edge, passed(tunnel, app, 8, 2))
    tell(edge, passed(tunnel, app, 8, 2))
    tell(other, passed(tunnel, app, 12))
    again = PlayedEdge(tenant, edge.name, edge.key)
    tell(again, passed(tunnel, app, 4))
    found = traffic(tenant, tunnel)
    assert list(found) == [app, www]
    told = found[app]
    assert (told["requests"], told["statuses"]) == (26, {"2xx": 24, "5xx": 2})
    assert (told["bytes_in"], told["bytes_out"], told["seconds"]) == (24, 240, 6.0)
    assert found[www]["requests"] == 2
    assert told["rate"]["requests"] > 0
    late = {"passed": [passed(tunnel, app, 99)], "within": 10.0}
    assert edge.ask("POST", edge.here("traffic"), json=late).status_code == 409
    assert traffic(tenant, tunnel)[app]["requests"] == 26


def test_a_report_that_comes_late_takes_nothing_back(tenant: Server, edge: PlayedEdge) -> None:
    tunnel, (app,) = routed(tenant, "app")
    tell(edge, passed(tunnel, app, 8))
    tell(edge, passed(tunnel, app, 5))
    assert traffic(tenant, tunnel)[app]["requests"] == 8


def test_what_leads_nowhere_is_left_aside(tenant: Server, edge: PlayedEdge) -> None:
    tunnel, (app,) = routed(tenant, "app")
    tell(edge, passed(tunnel, "made.up.example", 1), passed(str(uuid4()), app, 1), passed(tunnel, app, 1))
    tell(edge)
    assert list(traffic(tenant, tunnel)) == [app]


def test_traffic_goes_with_the_tunnel(tenant: Server, edge: PlayedEdge) -> None:
    tunnel, (app,) = routed(tenant, "app")
    tell(edge, passed(tunnel, app, 3))
    assert tenant.ask("DELETE", f"{tenant.tunnels}/{tunnel}").status_code == 200
    tell(edge, passed(tunnel, app, 5))
    assert traffic(tenant, tunnel) == {}


def test_nobody_else_reads_it(tenant: Server, server: Server, edge: PlayedEdge) -> None:
    tunnel, _ = routed(tenant, "app")
    stranger = server.tenant()
    answer = stranger.ask("GET", f"{stranger.tunnels}/{tunnel}/traffic")
    assert (answer.status_code, answer.json()["errors"][0]["message"]) == (404, "Tunnel not found")
    assert tenant.ask("GET", f"{tenant.tunnels}/{tunnel}/traffic", edge.key).status_code == 403
    reader = tenant.allowed("Cloudflare Tunnel Read")
    assert reader.ask("GET", f"{tenant.tunnels}/{tunnel}/traffic").json()["result"] == []


@pytest.mark.parametrize("bad", [
    {"tunnel": "x"}, {"hostname": "h" * 254}, {"ago": -1}, {"sums": {}},
    {"sums": {"statuses": {"teapot": 1}, "bytes_in": 0, "bytes_out": 0, "seconds": 0}},
    {"sums": {"statuses": {"2xx": -1}, "bytes_in": 0, "bytes_out": 0, "seconds": 0}},
    {"sums": {"statuses": {"2xx": 2**60}, "bytes_in": 0, "bytes_out": 0, "seconds": 0}},
])  # fmt: skip
def test_what_cannot_be_is_refused_as_a_whole(edge: PlayedEdge, bad: dict[str, Any]) -> None:
    one = passed(str(uuid4()), "app.example.com", 1)
    refused = edge.ask("POST", edge.here("traffic"), json={"passed": [one | bad], "within": 10.0})
    assert refused.status_code == 400, refused.text
    for whole in ({"passed": [one] * 1001, "within": 10.0}, {"passed": [one], "within": -1.0}):
        assert edge.ask("POST", edge.here("traffic"), json=whole).status_code == 400


def sums(requests: int) -> Sums:
    return Sums({"2xx": requests}, requests, 2 * requests, requests / 2)


@pytest.fixture
def led(world: World) -> str:
    """A tunnel to which three hostnames lead."""
    world.here.hostnames.add_zone(world.account, "example.com")
    tunnel, _ = world.tunnel(config_src="cloudflare")
    rules = [{"hostname": f"{name}.example.com", "service": "http://127.0.0.1:1"} for name in "abc"]
    world.here.configurations.put(
        world.account, tunnel.id, {"ingress": [*rules, {"service": "http_status:404"}]}
    )
    return tunnel.id


def test_rates_are_those_between_two_reports_and_end(world: World, led: str) -> None:
    session = world.edge()
    report, of = world.here.traffic.report, world.here.traffic.of
    world.later(10)
    report(session, [Passed(led, "a.example.com", sums(20), 3.0)], 10.0)
    (told,) = of(led)
    assert told.rate.requests == pytest.approx(2, abs=1e-4)
    assert told.last == pytest.approx(world.time - 3_000_000, abs=100)
    world.later(20)
    report(session, [Passed(led, "a.example.com", sums(120), 0.0)], 25.0)
    (told,) = of(led)
    assert told.rate.requests == pytest.approx(5, abs=1e-4)
    assert told.rate.bytes_out == pytest.approx(10, abs=1e-3)
    world.later(STALE + 1)
    (told,) = of(led)
    assert (told.rate, told.sums) == (Rate(), sums(120))


def test_who_was_quiet_for_long_has_the_rate_of_what_came_then(world: World, led: str) -> None:
    session = world.edge()
    world.later(3600)
    for requests in (50, 100):
        world.here.traffic.report(session, [Passed(led, "a.example.com", sums(requests), 0.0)], 10.0)
        (told,) = world.here.traffic.of(led)
        assert told.rate.requests == pytest.approx(5)
        world.later(7200)


@pytest.mark.parametrize("seed", range(3))
def test_whatever_comes_twice_late_or_never_sums_are_what_passed(world: World, led: str, seed: int) -> None:
    chance = random.Random(seed)
    names = [f"{name}.example.com" for name in "abc"]
    true: dict[tuple[str, str], int] = defaultdict(int)  # by edge and hostname, in its session
    ended: dict[str, int] = defaultdict(int)  # what was told of sessions that are over
    told: dict[tuple[str, str], int] = defaultdict(int)
    earlier: dict[str, list[list[Passed]]] = defaultdict(list)
    sessions = {edge: world.edge(edge) for edge in ("ams-1", "bru-1")}
    for _ in range(60):
        edge = chance.choice(list(sessions))
        match chance.choice(["passes", "passes", "tells", "tells", "again", "ends"]):
            case "passes":
                true[edge, chance.choice(names)] += chance.randrange(1, 9)
            case "tells":
                some = chance.sample(names, 2)
                earlier[edge].append(
                    [Passed(led, name, sums(true[edge, name]), 0.0) for name in some if true[edge, name]]
                )
                world.here.traffic.report(sessions[edge], earlier[edge][-1], 10.0)
                told |= {(edge, name): true[edge, name] for name in some}
            case "again" if earlier[edge]:
                world.here.traffic.report(sessions[edge], chance.choice(earlier[edge]), 10.0)
            case "ends":
                over, sessions[edge] = sessions[edge], world.edge(edge)
                for name in names:
                    ended[name] += told.pop((edge, name), 0)
                    true.pop((edge, name), None)
                earlier[edge].clear()
                with pytest.raises(SessionError):
                    world.here.traffic.report(over, [Passed(led, names[0], sums(99), 0.0)], 10.0)
        found = {each.hostname: each.sums for each in world.here.traffic.of(led)}
        for name in names:
            assert (
                found.get(name, NOTHING).requests == ended[name] + told["ams-1", name] + told["bru-1", name]
            )

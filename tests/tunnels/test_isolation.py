"""No sequence of calls with one account's token reads or changes anything of another's; its tunnels are as if there were none."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.tunnels.played import PlayedEdge, Server

GOOD = {"config": {"ingress": [{"service": "http_status:404"}]}}
CALLS: tuple[tuple[str, str, Any], ...] = (
    ("GET", "", None), ("GET", "/connections", None), ("DELETE", "/connections", None), ("GET", "/token", None),
    ("PATCH", "", {"name": "stolen"}), ("PATCH", "", {"tunnel_secret": "eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHg="}),
    ("DELETE", "", None), ("DELETE", "?cascade=true", None), ("GET", "/configurations", None), ("PUT", "/configurations", GOOD),
    ("POST", "/management", {}), ("POST", "/management/logs", None), ("GET", f"/connectors/{uuid4()}", None), ("GET", "/traffic", None),
)  # fmt: skip


def state(owner: Server) -> Any:
    """Everything there is to be read of an account."""
    told = []
    for query in ("", "?is_deleted=true"):
        for tunnel in owner.ask("GET", f"{owner.tunnels}{query}").json()["result"]:
            one = f"{owner.tunnels}/{tunnel['id']}"
            told.append(
                [
                    tunnel,
                    *(
                        owner.ask("GET", one + below).json()
                        for below in ("/token", "/connections", "/configurations")
                    ),
                ]
            )
    return told


def test_no_sequence_of_calls_crosses_the_border(server: Server, edge: PlayedEdge) -> None:
    owner, stranger = server.tenant(), server.tenant()
    tunnel = owner.ask("POST", owner.tunnels, json={"name": "blog"}).json()["result"]
    owner.ask("PUT", f"{owner.tunnels}/{tunnel['id']}/configurations", json=GOOD)
    edge.register(tunnel["token"])
    gone = owner.ask("POST", owner.tunnels, json={"name": "old"}).json()["result"]
    owner.ask("DELETE", f"{owner.tunnels}/{gone['id']}")
    zone = owner.zone(f"{owner.account[-8:]}.example")
    before = state(owner)
    theirs = st.sampled_from([tunnel["id"], gone["id"]])

    @given(st.lists(st.tuples(st.sampled_from(CALLS), theirs, st.booleans()), min_size=1, max_size=6))
    @settings(max_examples=15, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    def holds(calls: list[tuple[tuple[str, str, Any], str, bool]]) -> None:
        for (method, below, body), identifier, in_their_account in calls:
            base = owner.tunnels if in_their_account else stranger.tunnels
            told = stranger.ask(method, f"{base}/{identifier}{below}", json=body)
            nobodys = stranger.ask(method, f"{base}/{uuid4()}{below}", json=body)
            assert (told.status_code, told.content) == (nobodys.status_code, nobodys.content)
            assert told.status_code == (403 if in_their_account else 404)
        assert stranger.ask("GET", stranger.tunnels).json()["result"] == []
        for query in (f"uuid={tunnel['id']}", "name=blog", "is_deleted=true"):
            assert stranger.ask("GET", f"{stranger.tunnels}?{query}").json()["result"] == []
        claimed = stranger.ask(
            "PUT", f"/zones/{zone.id}/tunnels/{tunnel['id']}/routes", json={"user_hostname": "x"}
        )
        assert claimed.status_code == 404

    holds()
    assert state(owner) == before
    assert edge.heartbeat() == []

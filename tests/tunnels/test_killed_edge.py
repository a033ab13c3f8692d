"""A clean-up while the edge's process is killed and what it is told gets lost: over HTTP, with real processes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.tunnels import edge_process
from tests.tunnels.played import PlayedEdge, Server


def listed(tenant: Server, tunnel: str) -> list[set[str]]:
    """The ids of connections in each place that lists them."""
    found: Any = tenant.ask("GET", tenant.tunnels).json()["result"]
    one = tenant.ask("GET", f"{tenant.tunnels}/{tunnel}").json()["result"]
    clients = tenant.ask("GET", f"{tenant.tunnels}/{tunnel}/connections").json()["result"]
    lists = (each["connections"] for each in (*found, one)), (each["conns"] for each in clients)
    return [{link["id"] for link in links} for some in lists for links in some]


def test_what_was_cleaned_up_is_never_listed_again(tenant: Server, edge: PlayedEdge) -> None:
    tunnel = tenant.ask("POST", tenant.tunnels, json={"name": "blog"}).json()["result"]
    with edge_process.running(edge, tenant.api, tunnel["token"]) as first, ThreadPoolExecutor(1) as aside:
        assert first.heartbeat() == []
        assert listed(tenant, tunnel["id"]) == [first.held] * 3
        connector = tenant.ask("GET", f"{tenant.tunnels}/{tunnel['id']}/connections").json()["result"][0][
            "id"
        ]
        cleaning = aside.submit(tenant.ask, "DELETE", f"{tenant.tunnels}/{tunnel['id']}/connections")
        # It has heard of it, and closes nothing: the clean-up waits for it.
        while set(first.heartbeat()) != first.held:
            assert not cleaning.done()
        assert listed(tenant, tunnel["id"]) == [set(), set()]
        first.kill()
        answer = cleaning.result()
    assert (answer.status_code, answer.json()["result"]) == (200, None)
    assert listed(tenant, tunnel["id"]) == [set(), set()]
    gone = tenant.ask("GET", f"{tenant.tunnels}/{tunnel['id']}/connectors/{connector}")
    assert gone.status_code == 404
    assert tenant.ask("GET", f"{tenant.tunnels}/{tunnel['id']}").json()["result"]["status"] == "down"

    # The next process still speaks of them, and has others.
    with edge_process.running(edge, tenant.api, tunnel["token"], first.held) as second:
        for _ in range(3):
            assert set(second.heartbeat()) == first.held
            assert listed(tenant, tunnel["id"]) == [second.held - first.held] * 3

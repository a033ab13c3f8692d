"""The page of health: what is wrong comes first, in words; and who may not see a part is told so."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from halfopen.dashboard.health import _of_store
from halfopen.store.committer import Batch
from halfopen.store.store import Store
from tests.dashboard.accounts import administrator, see, visiting
from tests.dashboard.site import Site, Visitor
from tests.serving import running
from tests.store.rows import row, table
from tests.tunnels.played import Server

HOUR = 3600


def fill(folder: Path) -> None:
    """What sensors have delivered: one that lost packets, one that is silent, one that is behind, and one that runs twice."""
    now = int(time.time())
    clock = [0]
    with closing(Store(folder, create=True, threads=1, clock=lambda: clock[0])) as store:
        committer = store.committer()

        def heard(ago: int, sensor: str, life: str, number: int, behind: int = 60, **more: Any) -> None:
            clock[0] = now - ago
            committer.commit(
                [Batch(sensor, life, number, clock[0] - behind, table([row(clock[0] - behind)]), **more)]
            )

        heard(2 * HOUR, "<i>lyon</i>", "one", 1, drops=100, counters={"received": 1000, "no_match": 50})
        heard(
            10,
            "<i>lyon</i>",
            "one",
            2,
            rate=0.25,
            drops=100,
            counters={"received": 5000, "no_match": 90, "post_syn": 10},
        )
        heard(10, "oslo", "one", 1, behind=3 * HOUR)
        heard(5 * HOUR, "bonn", "one", 1)
        for life, since in (("first", 3 * HOUR), ("second", 2 * HOUR)):
            heard(20, "rome", life, 1, since=now - since)
        committer.ingest("a" * 64, "lab", "", [table([row(now - 9 * HOUR)] * 3)])
        committer.follow()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    data = tmp_path_factory.mktemp("health") / "data"
    data.mkdir(mode=0o700)
    fill(data / "store")
    with running(data) as url:
        yield administrator(Site(url, data, ""))


@pytest.fixture
def reader(server: Server) -> Iterator[Visitor]:
    with visiting(server) as found:
        yield found


def test_what_is_wrong_with_sensors_is_said_first(reader: Visitor) -> None:
    told = see(reader, "/health")
    assert told.startswith("Health 4 things to look at")
    assert "Sensor bonn has been silent for 5 hours: what happens to its connections is not seen." in told
    assert "Sensor oslo is 3 hours behind: it still delivers what waits in its spool" in told
    assert "Sensor rome runs twice, and what both see is counted twice." in told
    assert "Sensor <i>lyon</i> lost up to 10.0 % in the last day" in told
    assert "<i>lyon" not in reader.get("/health").text


def test_sensors_stand_in_a_table_with_their_counters(reader: Visitor) -> None:
    told = see(reader, "/health")
    assert "<i>lyon</i> reports" in told
    assert "Connections since its start Packets lost since its start" in told
    assert "one in 4 100 100 2.0 %" in told
    assert "post_syn 10 connections cut after the SYN" in told
    assert "bonn is silent" in told
    assert "lab 1 3" in told


def test_the_store_and_edges_are_shown(server: Server, reader: Visitor) -> None:
    told = see(reader, "/health")
    assert f"Place {server.database.data}/store Size " in told
    assert "Kept single connections for 30 days, what they add up to for 400 days" in told
    day = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
    assert re.search(f"Days single connections of {day}( to {day})? Upkeep", told)
    assert "There is none: halfopen serve --edge makes this server one" in told
    edge = server.edge("ams01")
    edge.register(
        server.ask("POST", server.tunnels, json={"name": "blog"}).json()["result"]["token"], range(3)
    )
    assert "ams01 is there ams01 3 1" in see(reader, "/health")
    server.revoke("ams01")
    assert "ams01 was revoked" in see(reader, "/health")


def test_who_may_see_less_is_told_of_what_they_may_not(server: Server) -> None:
    with visiting(server.tenant("radar:read")) as reader:
        told = see(reader, "/health")
        assert "Sensor bonn has been silent" in told
        assert told.count("may not see this") == 2
        assert str(server.database.data) not in told
    with visiting(server.tenant("Cloudflare Tunnel Read")) as reader:
        told = see(reader, "/health")
        assert told.startswith("Health Nothing that this token may see")
        assert "bonn" not in told


def test_a_disk_that_is_nearly_full_rollups_that_stay_behind_and_upkeep_that_fails_are_told() -> None:
    store = {"disk": {"free": 9, "total": 100}, "rollups_behind": 3600, "upkeep": {"failures": 2}}
    full, behind, failing = _of_store(store)
    assert full.startswith("The disk of the store has 9 B left of 100 B.")
    assert behind.startswith("Connections that came 1 hour ago are not in the charts yet")
    assert failing.startswith("Upkeep of the store failed 2 times")
    well = {"rollups_behind": 2, "upkeep": {"failures": 0}}
    assert list(_of_store({"disk": {"free": 10, "total": 100}, **well})) == []
    assert list(_of_store({"disk": None, **well})) == []
    (once,) = _of_store({"disk": None, "rollups_behind": None, "upkeep": {"failures": 1}})
    assert "failed 1 time since" in once

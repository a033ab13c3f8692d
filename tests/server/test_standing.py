"""How sensors and the store stand, told over HTTP: as plain Python has it from what was delivered."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from halfopen.accounts import Accounts
from halfopen.server.storage import _told
from halfopen.store.committer import Batch
from halfopen.store.place import Place
from halfopen.store.query import QUARTER
from halfopen.store.store import Store
from tests.server.inside import serving
from tests.store.rows import row, table

NOW = int(time.time())
HOUR = 3600


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What three sensors have delivered, one of them a life ago and one in two lives at once, and two captures."""
    data = tmp_path_factory.mktemp("data")
    clock = [0]
    with closing(Store(data / "store", create=True, threads=1, clock=lambda: clock[0])) as store:
        committer = store.committer()

        def heard(
            ago: int, sensor: str, incarnation: str, number: int, behind: int = 60, **more: Any
        ) -> None:
            clock[0] = NOW - ago
            rows = table([row(clock[0] - behind)])
            committer.commit([Batch(sensor, incarnation, number, clock[0] - behind, rows, **more)])

        heard(40 * HOUR, "lyon", "old", 1, since=NOW - 60 * HOUR)
        counted = {"received": 1000, "packets": 900, "no_match": 50}
        heard(30 * HOUR, "lyon", "new", 1, since=NOW - 31 * HOUR, drops=100, counters=counted)
        heard(
            10,
            "lyon",
            "new",
            2,
            rate=0.25,
            drops=100,
            counters={"received": 5000, "packets": 4900, "no_match": 90},
        )
        heard(10, "oslo", "one", 1, behind=HOUR)
        heard(5 * HOUR, "bonn", "one", 1)
        for life, since in (("first", 3 * HOUR), ("second", 2 * HOUR)):
            heard(20, "rome", life, 1, since=NOW - since)
        for digest, rows in (("a" * 64, 3), ("b" * 64, 2)):
            clock[0] = NOW - rows * HOUR
            committer.ingest(digest, "lab", "", [table([row(NOW - 9 * HOUR)] * rows)])
        committer.follow()
    return data


@pytest.fixture
def client(data: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[httpx.Client]:
    with serving(data, monkeypatch) as found:
        yield found


def as_administrator(client: httpx.Client, data: Path) -> dict[str, str]:
    with closing(Accounts.open(data)) as accounts:
        token, _ = accounts.create_token(["admin"])
    return {"Authorization": f"Bearer {token}"}


def seconds(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())


def test_sensors_are_told_with_how_far_they_have_come(client: httpx.Client) -> None:
    told = client.get("/client/v4/sensors").json()["result"]
    assert [(each["kind"], each["name"]) for each in told] == [
        *(("live", name) for name in ("bonn", "lyon", "oslo", "rome")),
        ("captures", "lab"),
    ]
    by_name = {each["name"]: each for each in told}
    states = {name: each["state"] for name, each in by_name.items() if "state" in each}
    assert states == {"bonn": "silent", "lyon": "on_time", "oslo": "late", "rome": "running_twice"}
    lyon = by_name["lyon"]
    assert [each["id"] for each in lyon["incarnations"]] == ["new", "old"]
    newest = lyon["incarnations"][0]
    assert (newest["sampling_rate"], newest["drops"]) == (0.25, 100)
    assert newest["counters"] == {"received": 5000, "packets": 4900, "no_match": 90}
    assert seconds(lyon["first_heard"]) == NOW - 60 * HOUR
    assert seconds(newest["first_heard"]) == NOW - 31 * HOUR
    assert (seconds(lyon["last_heard"]), seconds(lyon["watermark"])) == (NOW - 10, NOW - 70)
    assert time.time() - NOW + 70 - 2 < lyon["lag"] + 1 <= time.time() - NOW + 72
    assert seconds(by_name["oslo"]["watermark"]) == NOW - 10 - HOUR
    assert by_name["lab"] == {
        "kind": "captures", "name": "lab", "captures": 2, "connections": 5,
        "first_ingested": by_name["lab"]["first_ingested"], "last_ingested": by_name["lab"]["last_ingested"],
    }  # fmt: skip
    assert seconds(by_name["lab"]["first_ingested"]) == NOW - 3 * HOUR
    assert seconds(by_name["lab"]["last_ingested"]) == NOW - 2 * HOUR


def test_sensors_are_told_with_what_they_missed_and_lost(client: httpx.Client) -> None:
    by_name = {each["name"]: each for each in client.get("/client/v4/sensors").json()["result"]}
    (gap,) = by_name["lyon"]["gaps"]
    assert (seconds(gap["start"]), seconds(gap["end"])) == (NOW - 40 * HOUR - 60, NOW - 31 * HOUR)
    (loss,) = by_name["lyon"]["losses"]
    begin = NOW - 30 * HOUR - 61
    assert seconds(loss.pop("start")) == begin - begin % QUARTER
    assert seconds(loss.pop("end")) == begin - begin % QUARTER + QUARTER
    assert loss == {"received": 1000, "dropped": 100, "connections": 50, "evicted": 0}
    (silence,) = by_name["bonn"]["gaps"]
    assert seconds(silence["start"]) == NOW - 5 * HOUR - 60
    assert by_name["oslo"]["losses"] == []


def test_who_may_read_no_shares_learns_no_names_of_sensors(client: httpx.Client, data: Path) -> None:
    with closing(Accounts.open(data)) as accounts:
        token, _ = accounts.create_token(["connections:read"])
    refused = client.get("/client/v4/sensors", headers={"Authorization": f"Bearer {token}"})
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (403, 10000)


def test_the_store_is_told_with_its_disk_to_administrators(client: httpx.Client, data: Path) -> None:
    assert client.get("/client/v4/store").status_code == 403
    told = client.get("/client/v4/store", headers=as_administrator(client, data)).json()["result"]
    with closing(Store(data / "store")) as store:
        facts = store.info()
    assert told["place"] == str(data / "store") == facts.place
    assert [(each["name"], each["rows"], each["bytes"]) for each in told["tables"]] == [
        (each.name, each.rows, each.bytes) for each in facts.tables
    ]
    assert told["tables"][0]["rows"] == 12
    assert (told["format"], told["captures"]) == (1, 2)
    assert told["retention"] == {"connections": 30 * 86400, "rollups": 400 * 86400}
    assert told["upkeep"] == {"every": 900.0, "last": None, "failures": 0}
    assert told["disk"]["total"] == shutil.disk_usage(data).total
    assert 0 < told["disk"]["free"] < told["disk"]["total"]


def test_it_is_told_for_how_long_rollups_lack_connections(client: httpx.Client, data: Path) -> None:
    def behind() -> int | None:
        told = client.get("/client/v4/store", headers=as_administrator(client, data)).json()["result"]
        found: int | None = told["rollups_behind"]
        return found

    assert behind() is None
    with closing(Store(data / "store", threads=1)) as store:
        committer = store.committer()
        committer.commit([Batch("rome", "third", 1, NOW, table([row(NOW - 60)]))])
        since = behind()
        assert since is not None
        assert 0 <= since < 600
        committer.follow()
    assert behind() is None


@pytest.mark.parametrize(("where", "told"), [
    ("s3://bucket/prefix/", "s3://bucket/prefix"), ("s3://key:secret@bucket/prefix?token=x", "s3://bucket/prefix"),
])  # fmt: skip
def test_no_secret_of_a_store_is_told(where: str, told: str) -> None:
    assert _told(Place(where)) == told

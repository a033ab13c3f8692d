"""Annotations over HTTP: the list beside the answers, and the page for readers."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest

from halfopen.radar.annotations import Annotation
from halfopen.radar.notes import NAME, Notes
from halfopen.store.committer import Batch
from halfopen.store.store import Store
from tests.radar.memory import at
from tests.server.inside import sdk, serving
from tests.store.rows import row, table

LIST = "/client/v4/radar/annotations"
DATES = {"dateStart": "2026-08-10T00:00:00Z", "dateEnd": "2026-08-11T00:00:00Z"}


@pytest.fixture
def notes(tmp_path: Path) -> Notes:
    return Notes(tmp_path)


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[httpx.Client]:
    with serving(tmp_path, monkeypatch) as found:
        yield found


def listed(client: httpx.Client, **asked: str) -> list[Any]:
    answer = client.get(LIST, params=asked)
    assert answer.status_code == 200, answer.text
    found: list[Any] = answer.json()["result"]["annotations"]
    return found


def test_the_list_has_the_shape_that_the_sdk_reads(client: httpx.Client, notes: Notes) -> None:
    notes.add(
        Annotation("Cut", at("2026-08-10"), at("2026-08-11"), locations=("PT",), asns=(64500,), tags=("a",))
    )
    (found,) = (
        sdk(client)
        .radar.annotations.list(date_start=DATES["dateStart"], date_end=DATES["dateEnd"])
        .annotations
    )
    assert (found.id, found.asns, found.locations, found.tags) == ("1", [64500], ["PT"], ["a"])
    assert (found.start_date, found.end_date) == ("2026-08-10T00:00:00Z", "2026-08-11T00:00:00Z")
    assert found.linked_url == "http://testserver/annotations"
    assert [each.name for each in found.locations_details if each] == ["Portugal"]
    assert [each.asn for each in found.asns_details] == ["64500"]


def test_what_is_asked_for(client: httpx.Client, notes: Notes) -> None:
    notes.add(Annotation("old", 0, 10))
    notes.add(Annotation("event", at("2026-08-10"), at("2026-08-11"), "HTTP", "EVENT", locations=("PT",)))
    notes.add(Annotation("open", at("2026-08-10T12:00:00Z"), data_source="ALL", asns=(64500,)))

    def told(**asked: str) -> list[str]:
        return [one["description"] for one in listed(client, **asked)]

    assert told() == ["open", "event", "old"]
    assert told(limit="1", offset="1") == ["event"]
    assert told(**DATES) == ["open", "event"]
    assert told(**DATES, asn="64501") == ["event"]
    assert told(**DATES, location="us") == ["open"]
    assert told(dataSource="HTTP") == ["open", "event"]
    assert told(dataSource="ALL") == ["open", "event", "old"]
    assert told(eventType="GENERAL") == ["open", "event", "old"]
    assert told(eventType="OUTAGE") == []


def test_what_the_sdk_can_ask_for_beyond(client: httpx.Client, notes: Notes) -> None:
    notes.add(
        Annotation("A cable was cut", at("2026-08-10"), at("2026-08-11"), locations=("PT",), tags=("a", "b"))
    )
    notes.add(Annotation("Maintenance", at("2026-08-10T12:00:00Z"), asns=(64500,), tags=("LOCATION",)))
    radar = sdk(client).radar.annotations

    def told(**asked: Any) -> list[str | None]:
        return [one.description for one in radar.list(**asked).annotations]

    assert told() == ["Maintenance", "A cable was cut"]
    assert told(query="Cut") == told(query="portugal") == told(query="pt") == ["A cable was cut"]
    assert told(query="as64500") == told(query="64500") == told(tags=["LOCATION", "AS"]) == ["Maintenance"]
    assert told(tags=["AS"]) == told(query="nothing of this") == []
    for name in ("bot", "ca", "geo_id", "log", "origin", "outage_cause", "outage_type", "tld"):
        assert told(**{name: "DNS"}) == []


def test_every_fault_is_named_once(client: httpx.Client) -> None:
    asked = "dateRange=7x&asn=-1&location=XX&dataSource=PHONE&limit=0&offset=-1&format=CSV&eventType=a"
    answer = client.get(f"{LIST}?{asked}")
    assert answer.status_code == 400
    names = [error["message"].partition(":")[0] for error in answer.json()["errors"]]
    assert sorted(names) == sorted(part.partition("=")[0] for part in asked.split("&"))
    assert "2 times" in client.get(f"{LIST}?asn=1&asn=2").text
    twice = client.get(
        "/client/v4/radar/tcp_resets_timeouts/summary?format=XML&format=csv&location=XX&location=YY"
    )
    assert [error["message"] for error in twice.json()["errors"]] == [
        "format: given 2 times, accepted is one",
        'location: "XX" is not an ISO 3166-1 alpha-2 code',
        'location: "YY" is not an ISO 3166-1 alpha-2 code',
    ]


def test_an_answer_tells_what_was_written_a_moment_ago(client: httpx.Client, notes: Notes) -> None:
    def told() -> list[str]:
        path = "/client/v4/radar/tcp_resets_timeouts/summary"
        meta = client.get(path, params=DATES).json()["result"]["meta"]
        return [one["description"] for one in meta["confidenceInfo"]["annotations"]]

    assert told() == []
    note = notes.add(Annotation("Cut", at("2026-08-10"), at("2026-08-11")))
    assert told() == ["Cut"]
    notes.remove(note.id)
    assert told() == []


def test_the_page_is_open_whole_and_without_scripts(client: httpx.Client, notes: Notes) -> None:
    evil = "</p><script>alert('1')</script>"
    link = "https://x.example/?a='&c"
    notes.add(Annotation(evil, at("2026-08-10"), linked_url=link, tags=("secret-sensor",), locations=("PT",)))
    del client.headers["Authorization"]
    answer = client.get("/annotations")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "<script" not in answer.text
    assert "<b>" not in answer.text
    assert "&lt;script&gt;" in answer.text
    assert "https://x.example/?a=&#x27;&amp;c" in answer.text
    assert "since 2026-08-10T00:00:00Z" in answer.text
    assert "secret-sensor" not in answer.text
    policy = answer.headers["content-security-policy"]
    (style,) = re.findall("<style>(.*?)</style>", answer.text)
    assert f"style-src 'sha256-{b64encode(sha256(style.encode()).digest()).decode()}'" in policy
    assert policy.startswith("default-src 'none'; ")
    assert "script-src" not in policy


def test_the_page_tells_what_befell_a_sensor_but_not_which(client: httpx.Client, tmp_path: Path) -> None:
    begin = at("2026-08-10")
    sensor = Batch("secret-sensor", "one", 1, begin + 900, table([row(begin)]))
    later = Batch("secret-sensor", "one", 2, begin + 7200, table([row(begin + 3700)]), since=begin + 3600)
    with closing(Store(tmp_path / "store", threads=1)) as store:
        store.committer().commit([sensor, later])
    answers = client.get("/annotations").text, client.get(LIST).text
    assert "A sensor did not report." in answers[0]
    assert "2026-08-10T00:15:00Z to 2026-08-10T01:00:00Z" in answers[0]
    assert ["secret-sensor" in each for each in answers] == [False, True]


def test_a_damaged_file_is_a_fault_of_ours(client: httpx.Client, tmp_path: Path) -> None:
    (tmp_path / NAME).write_text("{")
    assert client.get(LIST).status_code == 500

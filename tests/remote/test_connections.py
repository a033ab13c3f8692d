"""Single connections over HTTP: pages, filters, who may see them."""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import httpx
import pytest

from halfopen.arrow import SCHEMA
from halfopen.store.committer import Batch
from halfopen.store.store import Store
from halfopen.store.told import TOLD
from tests.remote.conftest import Serving, serving
from tests.store.rows import row, table

PATH = "/radar/tcp_resets_timeouts/connections"
COUNT = 250
PACKETS = struct.pack("<qiiHHHBB", 0, 0, -(2**31), 0, 0, 7, 0x02, 57) + struct.pack(
    "<qiiHHHBB", 1_500_000_001, 1, -5, 9, 0, 0, 0x14, 255
)
NOW = int(time.time())


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    data = tmp_path_factory.mktemp("filled") / "data"
    data.mkdir(mode=0o700)
    first = NOW - 2 * 86400
    rows = [
        row(first + 97 * index, client_port=index, location="DE" if index % 2 else None, resets=index % 3)
        for index in range(COUNT - 1)
    ]
    rows.append(
        row(first - 86400, client=None, stage=5, left_out="evicted", trigger_kind="sni", trigger="a.example")
    )
    with closing(Store(data / "store", create=True)) as store:
        committer = store.committer()
        committer.commit([Batch("web-1", "one", 1, NOW, table(rows))])
        committer.ingest("digest", "captures", "", [table([row(first - 2 * 86400, first_packets=PACKETS)])])
    with serving(data) as found:
        yield found


def pages(server: Serving, size: int, **query: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for number in range(1, 1000):
        answer = server.ask("GET", PATH, "connections", params={"page": number, "per_page": size, **query})
        assert answer.status_code == 200, answer.text
        shown, info = answer.json()["result"], answer.json()["result_info"]
        assert info["count"] == len(shown)
        assert (info["page"], info["per_page"]) == (number, size)
        if not shown:
            assert info["total_count"] == len(found)
            return found
        found += shown
    raise AssertionError("no end")


def test_the_columns_are_those_of_every_output() -> None:
    assert [*SCHEMA.names, "sensor", "weight", "first_packets"] == TOLD.names
    for name in ("evidence", "trigger"):
        assert [each.name for each in SCHEMA.field(name).type] == [
            each.name for each in TOLD.field(name).type
        ]


@pytest.mark.parametrize("size", [7, 100, 1000])
def test_pages_are_the_whole_newest_first(filled: Serving, size: int) -> None:
    found = pages(filled, size)
    assert len(found) == COUNT + 1
    assert [each["start"] for each in found] == sorted((each["start"] for each in found), reverse=True)
    assert {each["client_port"] for each in found} >= set(range(COUNT - 1))


def test_a_connection_is_told_with_its_evidence(filled: Serving) -> None:
    *_, live, captured = pages(filled, 1000)
    assert list(live) == TOLD.names
    assert (live["client"], live["stage"], live["sensor"], live["file"]) == (None, "undecided", "web-1", None)
    assert live["evidence"]["left_out"] == "evicted"
    assert live["trigger"] == {"kind": "sni", "name": "a.example", "port": 443}
    assert captured["file"] == "digest"
    assert captured["tags"] == ["timeout"]
    assert captured["start"].endswith(".000000000Z")
    assert captured["end"].endswith(".000000001Z")
    start = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(NOW - 4 * 86400))
    assert captured["start"].startswith(start)


def test_a_connection_is_told_with_its_first_packets_where_they_were_kept(filled: Serving) -> None:
    *_, live, captured = pages(filled, 1000)
    assert live["first_packets"] is None
    assert captured["first_packets"] == [
        {"time": 0, "flags": "SYN", "seq": 0, "ack": None, "length": 0, "window": None, "ttl": 57, "ip_id": 7},
        {
            "time": 1.500000001, "flags": "RST+ACK", "seq": 1, "ack": -5, "length": 9, "window": 0,
            "ttl": 255, "ip_id": 0,
        },
    ]  # fmt: skip


def test_windows_and_filters_narrow(filled: Serving) -> None:
    assert len(pages(filled, 1000, location="DE")) == COUNT // 2 - 1 + COUNT % 2
    assert len(pages(filled, 1000, sensor="-web-1")) == 1
    start, end = NOW - 2 * 86400 - 900, NOW - 2 * 86400 + 9000
    found = pages(
        filled, 1000,
        dateStart=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(start)),
        dateEnd=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(end)),
    )  # fmt: skip
    floor = end - end % 900
    assert len(found) == len([i for i in range(COUNT - 1) if NOW - 2 * 86400 + 97 * i < floor])


def test_only_its_own_permission_opens_it(filled: Serving) -> None:
    assert filled.ask("GET", PATH, "radar").status_code == 403
    assert filled.ask("GET", PATH, "web-1").status_code == 403
    assert filled.ask("GET", PATH, "admin").status_code == 200
    assert filled.ask("GET", "/radar/tcp_resets_timeouts/summary", "connections").status_code == 403


def test_what_costs_too_much_is_refused(filled: Serving) -> None:
    answer = filled.ask("GET", PATH, "connections", params={"page": 1002, "per_page": 1000})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["code"] == 2002
    last = filled.ask("GET", PATH, "connections", params={"page": 1001, "per_page": 1000})
    assert (last.status_code, last.json()["result"]) == (200, [])


def test_every_fault_is_named(filled: Serving) -> None:
    query = [("asn", "x"), ("per_page", "1001"), ("dateRange", "7d"), ("dateRange", "8d"), ("tag", "y")]
    answer = filled.ask("GET", PATH, "connections", params=query)
    assert answer.status_code == 400
    words = [each["message"].partition(":")[0] for each in answer.json()["errors"]]
    assert sorted(words) == ["asn", "dateRange", "per_page", "tag"]
    assert answer.json()["result"] == {}


def test_the_document_has_it(filled: Serving) -> None:
    answer = httpx.get(f"{filled.url}/openapi.json")
    operation = answer.json()["paths"][PATH]["get"]
    assert "connections:read" in operation["description"]


def test_times_are_those_of_the_rows(filled: Serving) -> None:
    newest = pages(filled, 1000)[0]
    assert newest["start"][:19] == time.strftime(
        "%Y-%m-%dT%H:%M:%S", time.gmtime((NOW - 2 * 86400) + 97 * (COUNT - 2))
    )

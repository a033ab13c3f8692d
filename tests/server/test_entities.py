"""Networks, addresses and countries over HTTP, and the search: with places files, without, and of what only the dataset
knows."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import cloudflare
import httpx
import pytest

from halfopen.places.countries import COUNTRIES
from halfopen.server import PLACES
from halfopen.store.committer import Batch
from halfopen.store.store import Store
from tests.places.files import asn, country, write
from tests.server.inside import sdk, serving
from tests.store.rows import row, table

API = "/client/v4/radar"
NETWORKS = {
    "192.0.2.0/24": asn(64496, "Example Access") | country("DE"),
    "198.51.100.0/24": asn(64497, "Example Telecom") | country("BR"),
    "2001:db8::/32": asn(64498) | country("DE"),
    "203.0.113.0/24": country("PT"),
}
SEEN = {64496: 300, 64999: 3, 64497: 1, None: 5}
"""Connections by network; places files do not know one of them, and the dataset not another."""


def fill(data: Path) -> None:
    now = int(time.time())
    rows = [
        row(now - 3600, asn=number, location="DE" if number == 64496 else None)
        for number, count in SEEN.items()
        for _ in range(count)
    ]
    with closing(Store(data / "store", create=True, threads=1)) as store:
        committer = store.committer()
        committer.commit([Batch("lyon", "one", 1, now, table(rows))])
        committer.follow()


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[httpx.Client]:
    fill(tmp_path)
    monkeypatch.setenv(PLACES, json.dumps([str(write(tmp_path / "own.mmdb", NETWORKS))]))
    with serving(tmp_path, monkeypatch) as found:
        yield found


@pytest.fixture
def without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[httpx.Client]:
    """A server without places files."""
    fill(tmp_path)
    monkeypatch.delenv(PLACES, raising=False)  # a server that ran in this process may have left it
    with serving(tmp_path, monkeypatch) as found:
        yield found


def asked(client: httpx.Client, path: str, **parameters: Any) -> Any:
    answer = client.get(f"{API}{path}", params=parameters)
    assert answer.status_code == 200, answer.text
    return answer.json()["result"]


def numbers(client: httpx.Client, **parameters: Any) -> list[int]:
    return [each["asn"] for each in asked(client, "/entities/asns", **parameters)["asns"]]


def test_the_list_has_what_files_and_dataset_know(client: httpx.Client) -> None:
    found = sdk(client).radar.entities.asns.list().asns
    assert [(each.asn, each.name, each.country, each.country_name) for each in found] == [
        (64496, "Example Access", "DE", "Germany"),
        (64497, "Example Telecom", "BR", "Brazil"),
        (64498, "", "DE", "Germany"),
        (64999, "", "", ""),
    ]
    assert [each.org_name for each in found] == [each.name for each in found]
    assert {each.estimated_users.estimated_users for each in found} == {None}


def test_what_the_list_can_be_asked(client: httpx.Client) -> None:
    assert numbers(client, asn="64999, 64497,1") == [64497, 64999]
    assert numbers(client, location="de") == [64496, 64498]
    assert numbers(client, location="PT") == []
    assert numbers(client, location="DE", asn="64498,64497") == [64498]
    assert numbers(client, orderBy="ASN") == [64496, 64497, 64498, 64999]
    assert numbers(client, orderBy="population") == [64496, 64999, 64497, 64498]
    assert numbers(client, orderBy="POPULATION", limit=2, offset=1) == [64999, 64497]
    assert numbers(client, limit=3, offset=3) == [64999]
    assert numbers(client, offset=4) == numbers(client, offset=1_000_000) == []


def test_one_network(client: httpx.Client) -> None:
    found = sdk(client).radar.entities.asns.get(64496).asn
    assert (found.asn, found.name, found.org_name) == (64496, "Example Access", "Example Access")
    assert (found.country, found.country_name, found.source) == ("DE", "Germany", "own.mmdb")
    assert (found.related, found.estimated_users.locations, found.website) == ([], [], "")
    summary = asked(client, "/tcp_resets_timeouts/summary", asn="64496")
    assert found.confidence_level == summary["meta"]["confidenceInfo"]["level"] > 1
    other = sdk(client).radar.entities.asns.get(64999).asn
    assert (other.asn, other.name, other.country, other.source) == (64999, "", "", "")
    assert other.confidence_level == 1
    assert sdk(client).radar.entities.asns.get(64498).asn.source == "own.mmdb"


@pytest.mark.parametrize("ip", ["192.0.2.9", "::ffff:192.0.2.9", " 192.0.2.9 "])
def test_one_address(client: httpx.Client, ip: str) -> None:
    found = sdk(client).radar.entities.get(ip=ip).ip
    assert (found.ip, found.ip_version, found.asn, found.location) == ("192.0.2.9", "IPv4", "64496", "DE")
    assert (found.asn_name, found.asn_org_name, found.asn_location) == (
        "Example Access",
        "Example Access",
        "DE",
    )
    assert found.location_name == "Germany"
    assert sdk(client).radar.entities.asns.ip(ip=ip).asn.asn == 64496


def test_an_address_of_which_little_is_known(client: httpx.Client) -> None:
    found = asked(client, "/entities/ip", ip="203.0.113.7")["ip"]
    assert (found["asn"], found["asnName"], found["asnLocation"], found["location"]) == ("", "", "", "PT")
    assert client.get(f"{API}/entities/asns/ip", params={"ip": "203.0.113.7"}).status_code == 404
    found = asked(client, "/entities/ip", ip="2001:DB8::1")["ip"]
    assert (found["ip"], found["ipVersion"], found["asn"], found["asnName"]) == (
        "2001:db8::1", "IPv6", "64498", "",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/entities/asns/64500", "AS64500"),
        ("/entities/asns/0", "AS0"),
        ("/entities/asns/4294967296", "AS4294967296"),
        ("/entities/asns/ip?ip=10.0.0.1", "10.0.0.1"),
        ("/entities/ip?ip=2001:dead::1", "2001:dead::1"),
        ("/entities/locations/QQ", "QQ"),
    ],
)
def test_what_is_not_known(client: httpx.Client, path: str, words: str) -> None:
    with pytest.raises(cloudflare.NotFoundError) as failed:
        sdk(client).get(f"/radar{path}", cast_to=object)
    (error,) = failed.value.errors
    assert error.code == 7003
    assert str(error.message).endswith(words)
    assert failed.value.response.json()["result"] is None


@pytest.mark.parametrize(
    "path", ["/entities/asns/x", "/entities/asns/-1", "/entities/locations/GER", "/entities"]
)
def test_what_is_no_route(client: httpx.Client, path: str) -> None:
    answer = client.get(f"{API}{path}")
    assert answer.status_code == 404
    assert [error["code"] for error in answer.json()["errors"]] == [7003, 7000]


@pytest.mark.parametrize(
    ("path", "query", "named"),
    [
        ("asns", "asn=0,x,-174&location=QQ&orderBy=SIZE&limit=0&offset=-1&format=CSV", "asn asn asn format limit location offset orderBy"),
        ("asns", "limit=1001&location=DE,PT", "limit location"),
        ("asns", f"asn={','.join(map(str, range(1, 300)))}", "asn"),
        ("asns/64496", "format=CSV", "format"),
        ("asns/ip", "", "ip"),
        ("asns/ip", "ip=192.0.2", "ip"),
        ("ip", "ip=fe80::1%25eth0&format=x", "format ip"),
        ("ip", "ip=192.0.2.1&ip=192.0.2.2", "ip"),
        ("locations", "location=DE,QQ,x&continent=XX", "continent location location"),
        ("locations/DE", "format=CSV", "format"),
    ],
)  # fmt: skip
def test_every_fault_is_named(client: httpx.Client, path: str, query: str, named: str) -> None:
    answer = client.get(f"{API}/entities/{path}?{query}")
    assert answer.status_code == 400
    assert answer.json()["result"] == {}
    errors = answer.json()["errors"]
    assert {error["code"] for error in errors} == {2001}
    assert sorted(error["message"].partition(":")[0] for error in errors) == named.split()


def test_locations(client: httpx.Client) -> None:
    locations = sdk(client).radar.entities.locations
    every = locations.list().locations
    assert [each.alpha2 for each in every] == list(COUNTRIES)
    assert [each.alpha2 for each in locations.list(location="pt, DE").locations] == ["DE", "PT"]
    assert [each.alpha2 for each in locations.list(limit=2, offset=248).locations] == ["ZM", "ZW"]
    assert locations.list(offset=250).locations == []
    assert locations.list(region="Middle East").locations == []  # a region of Radar's
    south = locations.list(continent="SA", region="americas", subregion="South America").locations
    assert {each.continent for each in south} == {"SA"}
    assert [each.alpha2 for each in south] == [
        code for code, one in COUNTRIES.items() if one.continent == "SA"
    ]
    found = locations.get("de").location
    assert (found.alpha2, found.name, found.region, found.subregion) == (
        "DE",
        "Germany",
        "Europe",
        "Western Europe",
    )
    assert (found.continent, round(float(found.latitude)), round(float(found.longitude))) == ("EU", 51, 10)
    summary = asked(client, "/tcp_resets_timeouts/summary", location="DE")
    assert found.confidence_level == summary["meta"]["confidenceInfo"]["level"] > 1


def found(client: httpx.Client, **parameters: Any) -> list[tuple[str, str, str]]:
    search = sdk(client).radar.search.global_(**parameters).search
    return [(each.type, each.code, each.name) for each in search]


def test_the_search(client: httpx.Client) -> None:
    access, telecom = ("asn", "64496", "Example Access"), ("asn", "64497", "Example Telecom")
    unnamed, germany = ("asn", "64498", ""), ("location", "DE", "Germany")
    assert found(client, query="example") == [access, telecom]
    assert found(client, query="EXAMPLE tele") == [telecom]
    assert found(client, query="germ") == [germany]
    assert found(client, query="de", limit=1) == [germany]
    assert (
        found(client, query="64498")
        == found(client, query="AS64498")
        == found(client, query="as 064498")
        == [unnamed]
    )
    assert found(client, query="64999") == [("asn", "64999", "")]
    assert found(client, query="64500") == []
    assert found(client, query="6449", include=["ASNS"]) == [unnamed, access, telecom]
    assert found(client, query="6449", include=["ASNS"], limit_per_group=1) == [unnamed]
    assert found(client, query="6449", include=["ASNS"], limit_per_group=0) == []
    assert found(client, query="ex", include=["ASNS", "BOTS"]) == [access, telecom]
    assert found(client, query="ex", exclude=["ASNS"]) == [("location", "MX", "Mexico")]
    assert found(client, query="ex") == [access, telecom, ("location", "MX", "Mexico")]
    assert found(client, query="ex", include=["ASNS"], exclude=["ASNS"]) == found(client, query="!") == []
    assert len(found(client, query="a")) == 10
    assert len(found(client, query="a", limit=1000)) > 200


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("", "query"),
        ("query=&include=NETS&exclude=ASNS&exclude=X&limit=0&limitPerGroup=x&format=CSV", "exclude format include limit limitPerGroup query"),
        (f"query={'a' * 201}", "query"),
        ("query=a%0Ab", "query"),
    ],
)  # fmt: skip
def test_every_fault_of_a_search_is_named(client: httpx.Client, query: str, named: str) -> None:
    answer = client.get(f"{API}/search/global?{query}")
    assert answer.status_code == 400
    assert sorted(error["message"].partition(":")[0] for error in answer.json()["errors"]) == named.split()


def test_names_stand_in_the_other_answers(client: httpx.Client, tmp_path: Path) -> None:
    top = asked(client, "/tcp_resets_timeouts/top/ases")["top_0"]
    assert [(each["clientASN"], each["clientASName"]) for each in top] == [
        (64496, "Example Access"), (64999, ""), (64497, "Example Telecom"),
    ]  # fmt: skip
    answer = client.get(f"{API}/tcp_resets_timeouts/top/ases", params={"format": "CSV"})
    assert "\r\n64496,Example Access," in answer.text
    write(tmp_path / "new.mmdb", {"192.0.2.0/24": asn(64496, "Renamed")}).replace(tmp_path / "own.mmdb")
    top = asked(client, "/tcp_resets_timeouts/top/ases")["top_0"]
    assert top[0]["clientASName"] == "Renamed"


def test_without_places_files(without: httpx.Client) -> None:
    assert [each["name"] for each in asked(without, "/entities/asns")["asns"]] == ["", "", ""]
    assert numbers(without) == [64496, 64497, 64999]
    assert numbers(without, location="DE") == []
    assert asked(without, "/entities/asns/64496")["asn"]["source"] == ""
    assert without.get(f"{API}/entities/ip", params={"ip": "192.0.2.1"}).status_code == 404
    assert len(asked(without, "/entities/locations")["locations"]) == 250
    assert found(without, query="64496") == [("asn", "64496", "")]
    assert found(without, query="germany") == [("location", "DE", "Germany")]
    assert asked(without, "/tcp_resets_timeouts/top/ases")["top_0"][0]["clientASName"] == ""


def test_who_may_not_ask(client: httpx.Client) -> None:
    del client.headers["Authorization"]
    for path in (
        "/entities/asns",
        "/entities/ip?ip=192.0.2.1",
        "/entities/locations",
        "/search/global?query=a",
    ):
        assert client.get(f"{API}{path}").status_code == 400

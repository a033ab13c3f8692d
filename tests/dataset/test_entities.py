"""Networks, addresses, countries and the search by the official SDK, strict, from a server that has places files."""

from __future__ import annotations

import asyncio
import runpy
from ipaddress import ip_network
from typing import Any

import cloudflare
import httpx
import pytest

from tests.dataset.conftest import CAPTURES, PLACES, Installation

NETWORKS: Any = runpy.run_path(str(CAPTURES.parent / "scripts" / "make_demo_places.py"))["NETWORKS"]
"""Network, AS number, organisation, country, continent."""

OWNERS = {asn: (name, country) for _, asn, name, country, _ in NETWORKS}


def test_networks_are_those_of_the_places_files(installation: Installation) -> None:
    with installation.client() as client:
        found = client.radar.entities.asns.list()
    assert {each.asn: (each.name, each.country) for each in found.asns} == OWNERS


@pytest.mark.parametrize(("network", "asn", "name", "country", "continent"), NETWORKS)
def test_addresses_are_where_the_places_files_say(
    installation: Installation, network: str, asn: int, name: str, country: str, continent: str
) -> None:
    address = ip_network(network)[5]
    with installation.client() as client:
        entities = client.radar.entities
        ip = entities.get(ip=str(address)).ip
        of_address = entities.asns.ip(ip=str(address)).asn
        by_number = entities.asns.get(asn).asn
        location = entities.locations.get(ip.location).location
    assert (ip.ip, ip.ip_version) == (str(address), f"IPv{address.version}")
    assert (ip.asn, ip.asn_name, ip.asn_location, ip.location) == (str(asn), name, country, country)
    assert (of_address.asn, of_address.name) == (by_number.asn, by_number.name) == (asn, name)
    assert by_number.source == next(PLACES.glob("*.mmdb")).name
    assert (location.alpha2, location.continent) == (country, continent)
    assert location.name == ip.location_name == by_number.country_name


def test_the_most_seen_come_first(installation: Installation) -> None:
    counts: dict[int, int] = dict.fromkeys(OWNERS, 0)
    for row in installation.connections:
        if row.asn:
            counts[row.asn] += 1
    expected = sorted(OWNERS, key=lambda asn: (-counts[asn], asn))
    with installation.client() as client:
        asns = client.radar.entities.asns
        assert [each.asn for each in asns.list(order_by="POPULATION").asns] == expected
        page = asns.list(order_by="POPULATION", limit=4, offset=2).asns
        assert [each.asn for each in page] == expected[2:6]
        assert asns.list(offset=len(OWNERS)).asns == []


def test_tops_name_networks_and_countries(installation: Installation) -> None:
    ases, locations = (installation.get(f"top/{kind}")["top_0"] for kind in ("ases", "locations"))
    assert len(ases) > 3
    assert all(each["clientASName"] == OWNERS[each["clientASN"]][0] for each in ases)
    names = {each["clientCountryAlpha2"]: each["clientCountryName"] for each in locations}
    assert names["DE"] == "Germany"
    assert all(names.values())


def test_confidence_is_that_of_the_last_week(installation: Installation) -> None:
    with installation.client() as client:
        for asn in OWNERS:
            summary = client.radar.tcp_resets_timeouts.summary(asn=[str(asn)])
            level = client.radar.entities.asns.get(asn).asn.confidence_level
            assert level == summary.meta.confidence_info.level


def test_the_asynchronous_client_and_the_search(installation: Installation) -> None:
    async def ask() -> None:
        async with installation.async_client(httpx.AsyncClient()) as client:
            radar = client.radar
            networks, found, countries = await asyncio.gather(
                radar.entities.asns.list(
                    asn="64496,64510", location="NL", format="JSON", order_by="ASN", limit=5
                ),
                radar.search.global_(query="example ho", include=["ASNS"], limit=1, limit_per_group=1),
                radar.entities.locations.list(location="NL,PE", continent="SA", limit=1, offset=0),
            )
            assert [each.asn for each in networks.asns] == [64510]
            assert [(each.type, each.code, each.name) for each in found.search] == [
                ("asn", "64510", "Example Hosting")
            ]
            assert [each.name for each in countries.locations] == ["Peru"]

    asyncio.run(ask())


def test_errors_have_their_exceptions(installation: Installation) -> None:
    with installation.client() as client:
        with pytest.raises(cloudflare.NotFoundError) as missing:
            client.radar.entities.asns.get(65551)
        with pytest.raises(cloudflare.BadRequestError) as wrong:
            client.radar.entities.get(ip="localhost")
    assert [error.code for error in missing.value.errors] == [7003]
    assert [error.code for error in wrong.value.errors] == [2001]
    with installation.client("other") as client, pytest.raises(cloudflare.PermissionDeniedError):
        client.radar.search.global_(query="DE")

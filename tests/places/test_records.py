"""What the records of each layout say."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halfopen.places.countries import CONTINENTS, continent_of
from halfopen.places.records import Answer, read_record

MAXMIND_CITY = {
    "city": {"geoname_id": 2925533, "names": {"en": "Frankfurt am Main"}},
    "continent": {"code": "EU", "geoname_id": 6255148, "names": {"en": "Europe"}},
    "country": {"geoname_id": 2921044, "iso_code": "DE", "names": {"en": "Germany"}},
    "location": {"latitude": 50.1, "longitude": 8.6},
    "registered_country": {"geoname_id": 6252001, "iso_code": "US"},
}
ANYCAST = {"registered_country": {"geoname_id": 2077456, "iso_code": "AU", "names": {"en": "Australia"}}}
ASN = {"autonomous_system_number": 64496, "autonomous_system_organization": "Example Access"}
DBIP_COUNTRY = {
    "continent": {"code": "NA", "geoname_id": 6255149, "names": {"en": "North America"}},
    "country": {"is_in_european_union": False, "iso_code": "MX", "names": {"en": "Mexico"}},
}
IPINFO_LITE = {
    "as_domain": "example.net",
    "as_name": "Example Access",
    "asn": "AS64496",
    "continent": "South America",
    "continent_code": "SA",
    "country": "Brazil",
    "country_code": "BR",
}
IPINFO_COUNTRY_ASN = {
    "as_domain": "example.net",
    "as_name": "Example Access",
    "asn": "AS64496",
    "continent": "AF",
    "continent_name": "Africa",
    "country": "KE",
    "country_name": "Kenya",
}
IPINFO_ASN = {"asn": "AS64496", "domain": "example.net", "name": "Example Access"}


@pytest.mark.parametrize(
    ("record", "answer"),
    [
        pytest.param(MAXMIND_CITY, Answer(0, "DE", "EU"), id="MaxMind City"),
        pytest.param(ANYCAST, Answer(0, "AU", "OC"), id="MaxMind, registered country only"),
        pytest.param(ASN, Answer(64496, "", "", "Example Access"), id="MaxMind ASN"),
        pytest.param(DBIP_COUNTRY | ASN, Answer(64496, "MX", "NA", "Example Access"), id="DB-IP"),
        pytest.param(IPINFO_LITE, Answer(64496, "BR", "SA", "Example Access"), id="IPinfo Lite"),
        pytest.param(IPINFO_COUNTRY_ASN, Answer(64496, "KE", "AF", "Example Access"), id="IPinfo older"),
        pytest.param(IPINFO_ASN, Answer(64496, "", "", "Example Access"), id="IPinfo ASN"),
        pytest.param({"country_code": "ID"}, Answer(0, "ID", "AS"), id="ip-location-db country"),
        pytest.param({"continent": {"code": "EU"}}, Answer(0, "", "EU"), id="continent only"),
        pytest.param(
            {"asn": "as64496", "as_domain": "a.example"}, Answer(64496, "", "", "a.example"), id="domain"
        ),
    ],
)
def test_layouts(record: dict[str, Any], answer: Answer) -> None:
    assert read_record(record) == answer


@pytest.mark.parametrize(
    "record",
    [
        None,
        "DE",
        {},
        {"country_code": "ZZ"},
        {"country_code": ""},
        {"country_code": "D1"},
        {"country": "Germany", "continent": "Europe"},
        {"country": {"iso_code": 49}, "continent": {"code": "XX"}},
        {"country": {"iso_code": "ÄÖ"}},
        {"asn": ""},
        {"asn": "AS"},
        {"asn": "AS4294967296"},
        {"asn": "ASN12"},
        {"autonomous_system_number": -1},
        {"autonomous_system_number": 0, "autonomous_system_organization": "Nobody"},
        {"autonomous_system_number": [1]},
    ],
)
def test_what_cannot_be_meant_is_unknown(record: object) -> None:
    assert read_record(record) == Answer()


values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.binary(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["iso_code", "code"]), inner),
    max_leaves=4,
)
keys = st.sampled_from(
    [
        "country",
        "registered_country",
        "continent",
        "country_code",
        "continent_code",
        "asn",
        "as_name",
        "name",
        "as_domain",
        "autonomous_system_number",
        "autonomous_system_organization",
    ]
)


@given(st.dictionaries(keys, values))
def test_any_record_gives_values_that_fit_a_row(record: dict[str, Any]) -> None:
    answer = read_record(record)
    assert 0 <= answer.asn < 2**32
    assert answer.location == "" or (len(answer.location) == 2 and answer.location.isascii())
    assert answer.continent == "" or answer.continent in CONTINENTS


def test_continents() -> None:
    assert {continent_of(country) for country in ("KE", "AQ", "IN", "DE", "MX", "NZ", "BR")} == CONTINENTS
    assert continent_of("QQ") == ""

"""The table of countries: whole, and true in samples; the script that makes it reads its sources as they are."""

from __future__ import annotations

import csv
import json
import runpy
from pathlib import Path
from typing import Any

import pytest

from halfopen.places.countries import CONTINENTS, COUNTRIES, continent_of, country_name

ROOT = Path(__file__).resolve().parents[2]

REGIONS = {
    "Africa": {"Northern Africa", "Eastern Africa", "Middle Africa", "Southern Africa", "Western Africa"},
    "Americas": {"Caribbean", "Central America", "South America", "Northern America"},
    "Antarctica": {"Antarctica"},
    "Asia": {"Central Asia", "Eastern Asia", "South-eastern Asia", "Southern Asia", "Western Asia"},
    "Europe": {"Eastern Europe", "Northern Europe", "Southern Europe", "Western Europe"},
    "Oceania": {"Australia and New Zealand", "Melanesia", "Micronesia", "Polynesia"},
}
"""As UN M49 has them, and Antarctica."""


def test_every_country_is_there_once_and_whole() -> None:
    assert len(COUNTRIES) == 250  # the 249 of ISO 3166-1, and Kosovo
    assert list(COUNTRIES) == sorted(COUNTRIES)
    assert len({country.name for country in COUNTRIES.values()}) == 250
    for code, country in COUNTRIES.items():
        assert code == country.code
        assert len(code) == 2
        assert country.subregion in REGIONS[country.region]
        assert all(country)
        assert -90 <= float(country.latitude) <= 90
        assert -180 <= float(country.longitude) <= 180
    assert {country.subregion for country in COUNTRIES.values()} == set().union(*REGIONS.values())
    assert len({(country.latitude, country.longitude) for country in COUNTRIES.values()}) == 250


def test_continents_follow_regions_but_where_geonames_chooses_otherwise() -> None:
    continent = {"Africa": "AF", "Asia": "AS", "Europe": "EU", "Oceania": "OC"}
    others = {
        code: country.continent
        for code, country in COUNTRIES.items()
        if country.continent
        != continent.get(country.region, "SA" if country.subregion == "South America" else "NA")
    }
    assert others == {
        "AQ": "AN", "BV": "AN", "CC": "AS", "CY": "EU", "GS": "AN", "HM": "AN", "IO": "AS", "TF": "AN", "TL": "OC",
    }  # fmt: skip
    assert {"AF", "AN", "AS", "EU", "NA", "OC", "SA"} == CONTINENTS


@pytest.mark.parametrize(
    ("code", "row"),
    [
        ("CI", ("Côte d'Ivoire", "AF", "Africa", "Western Africa", (7, -6))),
        ("DE", ("Germany", "EU", "Europe", "Western Europe", (51, 10))),
        ("FR", ("France", "EU", "Europe", "Western Europe", (47, 3))),
        ("GF", ("French Guiana", "SA", "Americas", "South America", (5, -52))),
        ("HK", ("Hong Kong", "AS", "Asia", "Eastern Asia", (22, 114))),
        ("NZ", ("New Zealand", "OC", "Oceania", "Australia and New Zealand", (-40, 173))),
        ("US", ("United States", "NA", "Americas", "Northern America", (40, -97))),
        ("XK", ("Kosovo", "EU", "Europe", "Southern Europe", (43, 21))),
    ],
)
def test_samples(code: str, row: tuple[str, str, str, str, tuple[int, int]]) -> None:
    country = COUNTRIES[code]
    point = round(float(country.latitude)), round(float(country.longitude))
    assert (country.name, country.continent, country.region, country.subregion, point) == row


def test_what_is_no_country() -> None:
    assert (continent_of("QQ"), country_name("QQ"), country_name("")) == ("", "", "")


@pytest.fixture
def script() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "scripts" / "make_countries.py"))


def test_the_script_makes_a_table_from_its_sources(script: dict[str, Any], tmp_path: Path) -> None:
    contained = {"001": ["019", "150", "009"], "019": ["005"], "005": ["GF"], "150": ["155"], "155": ["FR"]}
    contained |= {"009": ["053", "QO"], "053": ["NF", "ZZ"], "QO": ["AQ"]}
    territories = {code: {"_contains": members} for code, members in contained.items()}
    supplemental = {"supplemental": {"territoryContainment": territories}}
    (tmp_path / "territoryContainment.json").write_text(json.dumps(supplemental))
    names = {
        "AQ": "Antarctica",
        "FR": "St. France & Isles",
        "GF": "French Guiana",
        "NF": "Norfolk\N{RIGHT SINGLE QUOTATION MARK}s",
    }
    names |= {"019": "Americas", "005": "South America", "150": "Europe", "155": "Western Europe"}
    names |= {"009": "Oceania", "053": "Australasia"}
    display = {"main": {"en": {"localeDisplayNames": {"territories": names}}}}
    (tmp_path / "territories.json").write_text(json.dumps(display))
    (tmp_path / "zone.tab").write_text(
        "# a comment\nAQ\t-7750+16636\tA/M\tsome\nAQ\t+0000+00000\tA/O\nGF\t+0456-05220\tA/C\nNF\t-290330+1675800\tP/N\n"
    )
    (tmp_path / "ne_10m_admin_0_countries_deu.dbf").write_bytes(
        dbf(
            ["ISO_A2_EH", "LABELRANK", "LABEL_X", "LABEL_Y"],
            [["FR", "2", "2.55", "46.696"], ["FR", "6", "-109.2", "10.3"], ["-99", "5", "1", "1"]],
        )
    )
    assert script["make"](tmp_path, tmp_path / "made.csv") == 4
    with (tmp_path / "made.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [
            ["code", "name", "continent", "region", "subregion", "latitude", "longitude"],
            ["AQ", "Antarctica", "AN", "Antarctica", "Antarctica", "-77.83", "166.6"],
            ["FR", "Saint France and Isles", "EU", "Europe", "Western Europe", "46.7", "2.55"],
            ["GF", "French Guiana", "SA", "Americas", "South America", "4.93", "-52.33"],
            ["NF", "Norfolk's", "OC", "Oceania", "Australia and New Zealand", "-29.06", "167.97"],
        ]


def dbf(fields: list[str], rows: list[list[str]]) -> bytes:
    """A dBase III file, every field of 10 characters."""
    begin, length = 33 + 32 * len(fields), 1 + 10 * len(fields)
    described = [
        name.encode().ljust(11, b"\0") + b"C" + bytes([0, 0, 0, 0, 10]).ljust(20, b"\0") for name in fields
    ]
    head = b"\x03" + bytes(3) + len(rows).to_bytes(4, "little")
    head += begin.to_bytes(2, "little") + length.to_bytes(2, "little")
    told = [b" " + b"".join(value.encode().ljust(10, b"\0") for value in row) for row in rows]
    return head.ljust(32, b"\0") + b"".join(described) + b"\r" + b"".join(told) + b"\x1a"

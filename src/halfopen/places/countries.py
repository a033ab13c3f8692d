"""The countries of the world: one table, ``countries.csv``, which scripts/make_countries.py makes.

Codes are ISO 3166-1 alpha-2 and XK (Kosovo); names are the short ones in common English use. Where a country touches
two continents, the choice is that of GeoNames, whose continent codes MaxMind and others use; regions are those of UN M49.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple


class Country(NamedTuple):
    """One row of the table; `latitude` and `longitude` are degrees, as text, of a point for its name on a map."""

    code: str
    name: str
    continent: str
    region: str
    subregion: str
    latitude: str
    longitude: str


def _table() -> Mapping[str, Country]:
    with Path(__file__).with_name("countries.csv").open(encoding="utf-8", newline="") as file:
        return {row["code"]: Country(**row) for row in csv.DictReader(file)}


COUNTRIES: Final = _table()
"""By code, in the order of the codes."""

CONTINENTS: Final = frozenset(country.continent for country in COUNTRIES.values())
"""Africa, Antarctica, Asia, Europe, North America, Oceania, South America."""


def continent_of(code: str) -> str:
    """The continent of a country code; empty where the code is not known."""
    return COUNTRIES[code].continent if code in COUNTRIES else ""


def country_name(code: str) -> str:
    """The name of a country code; empty where the code is not known."""
    return COUNTRIES[code].name if code in COUNTRIES else ""

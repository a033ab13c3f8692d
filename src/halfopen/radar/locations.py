"""``/radar/entities/locations``: the countries of the world, from the table that is shipped (A10)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final

import msgspec

from halfopen.accounts.permissions import RADAR
from halfopen.api.errors import RADAR as RADAR_SERVICE
from halfopen.api.errors import Answer
from halfopen.api.parameters import Parameter
from halfopen.api.routes import Call, Route, answered
from halfopen.errors import MissingError, Rejected
from halfopen.places.countries import CONTINENTS, COUNTRIES
from halfopen.radar.answers import confidence
from halfopen.radar.lists import FORMAT, NOT_FOUND, OFFSET, faults, limit, stretch, values
from halfopen.radar.shapes import Number
from halfopen.radar.vocabulary import LOCATION, list_pattern
from halfopen.store.query import Dataset


class RadarLocation(msgspec.Struct, frozen=True):
    """A country."""

    alpha2: str
    name: str
    continent: str
    region: str
    subregion: str
    latitude: Number
    longitude: Number


class RadarLocations(msgspec.Struct, frozen=True):
    """Countries in the order of their codes."""

    locations: list[RadarLocation]


class RadarLocationDetails(RadarLocation, frozen=True, rename="camel"):
    """A country, and how far the shares of its connections in the last week can be trusted."""

    confidence_level: int


class RadarOneLocation(msgspec.Struct, frozen=True):
    """One country."""

    location: RadarLocationDetails


_ALL: Final = len(COUNTRIES)
_CODE: Final = Parameter(
    "location", "Code of the country.", "an ISO 3166-1 alpha-2 code", pattern="^[A-Za-z]{2}$"
)


_COLUMNS: Final = (
    Parameter(
        "continent", "Only those of this continent.", f"one of {', '.join(sorted(CONTINENTS))}",
        values=tuple(sorted(CONTINENTS)), any_case=True,
    ),
    Parameter("region", "Only those of this region of UN M49; other words find nothing.", "a name"),
    Parameter("subregion", "Only those of this subregion of UN M49; other words find nothing.", "a name"),
)  # fmt: skip


def location_routes(dataset: Dataset, clock: Callable[[], float] = time.time) -> Iterator[Route]:
    """The list of countries, and each by itself."""
    tags = ("Radar Entities",)
    yield Route(
        "GET", "/radar/entities/locations", _list, "Countries", RadarLocations, RADAR, service=RADAR_SERVICE,
        parameters=(
            Parameter(
                "location", "Only these countries, separated by commas.", "ISO 3166-1 alpha-2 codes",
                pattern=list_pattern(LOCATION), checked=False,
            ),
            *_COLUMNS, limit(_ALL), OFFSET, FORMAT,
        ),
        check=_rejected, tags=tags,
    )  # fmt: skip
    yield Route(
        "GET", "/radar/entities/locations/{location}", partial(_get, dataset, clock), "One country",
        RadarOneLocation, RADAR, service=RADAR_SERVICE, path_parameters=(_CODE,), parameters=(FORMAT,),
        tags=tags,
    )  # fmt: skip


def _rejected(call: Call) -> Sequence[Rejected]:
    return faults(call, LOCATION)


def _list(call: Call) -> Answer:
    codes = set(values(call, LOCATION))
    asked = {each.name: (call.one(each.name) or "").casefold() for each in _COLUMNS}
    found = [
        country
        for country in COUNTRIES.values()
        if (not codes or country.code in codes)
        and all(not word or word == getattr(country, name).casefold() for name, word in asked.items())
    ]
    return answered(RadarLocations([RadarLocation(*country) for country in stretch(call, found, _ALL)]))


def _get(dataset: Dataset, clock: Callable[[], float], call: Call) -> Answer:
    code = call.path["location"].upper()
    if code not in COUNTRIES:
        raise MissingError(NOT_FOUND, f"location: there is no country {code}")
    trust = confidence(dataset, "location", code, int(clock()))
    return answered(RadarOneLocation(RadarLocationDetails(*COUNTRIES[code], confidence_level=trust)))

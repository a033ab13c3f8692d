"""``/radar/search/global``: networks and countries, by code and by name (A10)."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

import msgspec

from halfopen.accounts.permissions import RADAR
from halfopen.api.errors import RADAR as RADAR_SERVICE
from halfopen.api.errors import Answer
from halfopen.api.parameters import Parameter
from halfopen.api.routes import Call, Route, answered
from halfopen.places.countries import COUNTRIES
from halfopen.places.networks import Networks
from halfopen.radar.atlas import Atlas
from halfopen.radar.index import Index, Match
from halfopen.radar.lists import FORMAT, limit
from halfopen.radar.networks import connections_by_network
from halfopen.store.query import Choice, Dataset, Filters

_FEW: Final = 10
_NUMBER: Final = re.compile(r"(?:as ?)?([0-9]{1,10})", re.IGNORECASE)
_TYPES: Final = (
    "ADM1S", "ASNS", "BOTS", "CERTIFICATE_AUTHORITIES", "CERTIFICATE_LOGS", "ORIGINS", "ORIGIN_REGIONS", "INDUSTRIES",
    "LOCATIONS", "NOTEBOOKS", "TLDS", "VERTICALS",
)  # fmt: skip
"""Radar's names; of ASNS and LOCATIONS something is found here."""


class RadarFound(msgspec.Struct, frozen=True):
    """A network (`type` asn) or a country (location)."""

    code: str
    name: str
    type: str


class RadarSearch(msgspec.Struct, frozen=True):
    """What was found, best first."""

    search: list[RadarFound]


def search_routes(dataset: Dataset, atlas: Atlas, clock: Callable[[], float] = time.time) -> Iterator[Route]:
    """The one search."""
    types = "one of " + ", ".join(_TYPES)
    yield Route(
        "GET", "/radar/search/global", _Search(dataset, atlas, clock).answer, "Networks and countries by code or name",
        RadarSearch, RADAR, service=RADAR_SERVICE,
        parameters=(
            Parameter("query", "Code or part of a name.", "a line of at most 200 characters", pattern="^.{1,200}$", required=True),
            Parameter("include", "Only these types.", types, values=_TYPES, any_case=True, repeated=True),
            Parameter("exclude", "All but these types.", types, values=_TYPES, any_case=True, repeated=True),
            limit(_FEW),
            replace(
                limit(_FEW), name="limitPerGroup", description="How many of a type are shown; by default as many as of all.",
                accepted="a number from 0 to 1000", least=0, default=None,
            ),
            FORMAT,
        ),
        tags=("Radar Search",),
    )  # fmt: skip


class _Search:
    """Countries and networks with what finds them; the networks' index is made when they are first searched."""

    def __init__(self, dataset: Dataset, atlas: Atlas, clock: Callable[[], float]) -> None:
        self._dataset, self._atlas, self._clock = dataset, atlas, clock
        self._countries = list(COUNTRIES.values())
        self._by_country = Index((country.code, country.name) for country in self._countries)
        self._lock = threading.Lock()
        self._by_network: tuple[Networks, Index] | None = None

    def answer(self, call: Call) -> Answer:
        included, excluded = (
            {each.upper() for each in call.every(name) if each} for name in ("include", "exclude")
        )
        types = (included or set(_TYPES)) - excluded
        text, most = call.one("query") or "", call.number("limit", _FEW)
        each = min(call.number("limitPerGroup", most), most)
        found: list[tuple[Match, RadarFound]] = []
        if "LOCATIONS" in types:
            found += self._locations(text, each)
        if "ASNS" in types:
            found += self._asns(text, each)
        found.sort(key=lambda pair: (pair[0].rank, pair[0].length))
        return answered(RadarSearch([shown for _, shown in found[:most]]))

    def _locations(self, text: str, most: int) -> Iterator[tuple[Match, RadarFound]]:
        for match in self._by_country.find(text, most):
            country = self._countries[match.entry]
            yield match, RadarFound(country.code, country.name, "location")

    def _asns(self, text: str, most: int) -> Iterator[tuple[Match, RadarFound]]:
        number = _NUMBER.fullmatch(text.strip())
        sought = str(int(number[1])) if number else text
        networks, index = self._searched()
        if number and networks.get(int(sought)) is None and self._counted(int(sought)):
            yield Match(0, 0, 0), RadarFound(sought, "", "asn")
            most -= 1
        for match in index.find(sought, most):
            network = networks[match.entry]
            yield match, RadarFound(str(network.asn), network.name, "asn")

    def _counted(self, asn: int) -> bool:
        """Whether the dataset has connections of a network, which the places files do not know."""
        only = Filters(asn=Choice(frozenset({asn})))
        return bool(connections_by_network(self._dataset, int(self._clock()), only))

    def _searched(self) -> tuple[Networks, Index]:
        networks = self._atlas.networks()
        with self._lock:
            if self._by_network is None or self._by_network[0] is not networks:
                index = Index((str(network.asn), network.name) for network in networks)
                self._by_network = networks, index
            return self._by_network

"""``/radar/entities/asns`` and ``/radar/entities/ip``: networks and addresses, by the places files and the dataset (A10).

A network is known if a places file has it, or if the dataset has connections of it. Who stands behind it beyond its
name, and how many use it, nobody here knows: such fields are empty.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

import msgspec
import numpy as np

from halfopen.accounts.permissions import RADAR
from halfopen.api.errors import RADAR as RADAR_SERVICE
from halfopen.api.errors import Answer
from halfopen.api.parameters import Parameter
from halfopen.api.routes import Call, Route, answered
from halfopen.errors import MissingError, Rejected
from halfopen.places.countries import country_name
from halfopen.places.networks import Network
from halfopen.places.records import Answer as PlacesAnswer
from halfopen.radar.answers import confidence
from halfopen.radar.atlas import Atlas
from halfopen.radar.lists import FORMAT, NOT_FOUND, OFFSET, faults, limit, stretch, values
from halfopen.radar.vocabulary import ASN, LOCATION, list_pattern
from halfopen.store.query import QUARTER, Choice, Dataset, Dimension, Filters

_FEW: Final = 100
_ADDRESS: Final = "an IPv4 or IPv6 address"
_TAGS: Final = ("Radar Entities",)


class RadarNetwork(msgspec.Struct, frozen=True, rename="camel"):
    """A network as lists have it; nothing stands in `estimated_users`."""

    asn: int
    name: str
    org_name: str
    country: str
    country_name: str
    estimated_users: dict[str, int]


class RadarNetworks(msgspec.Struct, frozen=True):
    """A list of networks."""

    asns: list[RadarNetwork]


class RadarUsersOf(msgspec.Struct, frozen=True, rename="camel"):
    """A country in which a network has users."""

    location_alpha2: str
    location_name: str


class RadarUsers(msgspec.Struct, frozen=True):
    """The users of a network, by country."""

    locations: list[RadarUsersOf]


class RadarRelative(msgspec.Struct, frozen=True):
    """A network that belongs to another."""

    asn: int
    name: str


class RadarNetworkDetails(msgspec.Struct, frozen=True, rename="camel"):
    """A network by itself: `source` names places files, users, relatives and website are not known.

    `confidence_level` says how far the shares of its connections in the last week can be trusted.
    """

    asn: int
    name: str
    org_name: str
    country: str
    country_name: str
    confidence_level: int
    estimated_users: RadarUsers
    related: list[RadarRelative]
    source: str
    website: str


class RadarOneNetwork(msgspec.Struct, frozen=True):
    """One network."""

    asn: RadarNetworkDetails


class RadarAddress(msgspec.Struct, frozen=True, rename="camel"):
    """An address with its network and country, empty where no places file says."""

    ip: str
    ip_version: str
    asn: str
    asn_name: str
    asn_org_name: str
    asn_location: str
    location: str
    location_name: str


class RadarOneAddress(msgspec.Struct, frozen=True):
    """One address."""

    ip: RadarAddress


def network_routes(dataset: Dataset, atlas: Atlas, clock: Callable[[], float] = time.time) -> Iterator[Route]:
    """The list of networks, each by itself, and what is known of an address."""
    shelf = _Shelf(dataset, atlas, clock)
    path = "/radar/entities/asns"
    number = Parameter(
        "asn", "Number of the network.", ASN.accepted, "integer", pattern="^[0-9]{1,10}$",
        least=1, most=2**32 - 1,
    )  # fmt: skip
    address = Parameter("ip", "The address.", _ADDRESS, formats=("ipv4", "ipv6"), required=True)
    yield Route(
        "GET", path, shelf.networks, "Networks", RadarNetworks, RADAR, service=RADAR_SERVICE,
        parameters=(
            Parameter(
                "asn", "Only these networks, separated by commas.", "AS numbers", pattern=list_pattern(ASN), checked=False
            ),
            Parameter(
                "location", "Only those of this country.", LOCATION.accepted, pattern=f"^({LOCATION.pattern})$", any_case=True
            ),
            Parameter(
                "orderBy", "By number, or by connections in the dataset, most first: nobody here knows of users.",
                "ASN or POPULATION", values=("ASN", "POPULATION"), any_case=True, default="ASN",
            ),
            limit(_FEW), OFFSET, FORMAT,
        ),
        check=lambda call: faults(call, ASN) + faults(call, LOCATION), tags=_TAGS,
    )  # fmt: skip
    yield Route(
        "GET", f"{path}/{{asn}}", shelf.network, "One network", RadarOneNetwork, RADAR, service=RADAR_SERVICE,
        path_parameters=(number,), parameters=(FORMAT,), tags=_TAGS,
    )  # fmt: skip
    yield Route(
        "GET", f"{path}/ip", shelf.network_of_address, "The network of an address", RadarOneNetwork, RADAR,
        service=RADAR_SERVICE, parameters=(address, FORMAT), check=_rejected, tags=_TAGS,
    )  # fmt: skip
    yield Route(
        "GET", "/radar/entities/ip", shelf.address, "Network and country of an address", RadarOneAddress, RADAR,
        service=RADAR_SERVICE, parameters=(address, FORMAT), check=_rejected, tags=_TAGS,
    )  # fmt: skip


def connections_by_network(dataset: Dataset, now: int, filters: Filters | None = None) -> Mapping[int, float]:
    """The networks that the dataset has connections of, whenever that was, and how many up to `now` (s)."""
    end = now - now % QUARTER + QUARTER
    cells = dataset.still(lambda now: now.counts(filters or Filters(), 0, end, None, Dimension.asn))
    return {int(cell.key): cell.weight for cell in cells if cell.key}


@dataclass(frozen=True)
class _Shelf:
    """What is known of networks and addresses, and the answers made of it."""

    dataset: Dataset
    atlas: Atlas
    clock: Callable[[], float]

    def networks(self, call: Call) -> Answer:
        known = self.atlas.networks()
        counted = connections_by_network(self.dataset, int(self.clock()))
        if location := call.one("location"):
            numbers = known.of(location.upper())
        else:
            numbers = np.union1d(known.asns, np.array(list(counted), np.uint32))
        if asked := values(call, ASN):
            numbers = numbers[np.isin(numbers, asked)]
        found: list[int] = numbers.tolist()
        if (call.one("orderBy") or "").upper() == "POPULATION":
            found.sort(key=lambda asn: -counted.get(asn, 0.0))
        shown = [known.get(asn) or Network(asn) for asn in stretch(call, found, _FEW)]
        return answered(RadarNetworks([RadarNetwork(*_told(each), estimated_users={}) for each in shown]))

    def network(self, call: Call) -> Answer:
        asn = int(call.path["asn"])
        network = self.atlas.networks().get(asn)
        if network is None:
            only = Filters(asn=Choice(frozenset({asn})))
            if not connections_by_network(self.dataset, int(self.clock()), only):
                raise MissingError(NOT_FOUND, f"asn: neither places files nor connections know of AS{asn}")
        return self._one(network or Network(asn))

    def network_of_address(self, call: Call) -> Answer:
        address = _address(call)
        answer = self.atlas.answer(address)
        if not answer.asn:
            raise MissingError(NOT_FOUND, f"ip: no places file knows the network of {address}")
        return self._one(self._of(answer))

    def address(self, call: Call) -> Answer:
        address = _address(call)
        answer = self.atlas.answer(address)
        if not (answer.asn or answer.location):
            raise MissingError(NOT_FOUND, f"ip: no places file knows {address}")
        network = self._of(answer)
        told = RadarAddress(
            ip=str(address),
            ip_version=f"IPv{address.version}",
            asn=str(answer.asn or ""),
            asn_name=network.name,
            asn_org_name=network.name,
            asn_location=network.country,
            location=answer.location,
            location_name=country_name(answer.location),
        )
        return answered(RadarOneAddress(told))

    def _of(self, answer: PlacesAnswer) -> Network:
        return self.atlas.networks().get(answer.asn) or Network(answer.asn, answer.organisation)

    def _one(self, network: Network) -> Answer:
        known = self.atlas.networks()
        details = RadarNetworkDetails(
            *_told(network),
            confidence_level=confidence(self.dataset, "asn", str(network.asn), int(self.clock())),
            estimated_users=RadarUsers([]),
            related=[],
            source=known.source if known.get(network.asn) else "",
            website="",
        )
        return answered(RadarOneNetwork(details))


def _told(network: Network) -> tuple[int, str, str, str, str]:
    """The fields that all answers begin with; the places files know one name, which is the organisation's."""
    return network.asn, network.name, network.name, network.country, country_name(network.country)


def _rejected(call: Call) -> Sequence[Rejected]:
    try:
        _address(call)
    except ValueError:
        return [Rejected("ip", call.one("ip") or "", _ADDRESS)] if call.one("ip") else []
    return ()


def _address(call: Call) -> IPv4Address | IPv6Address:
    """The address that is asked for, an IPv4-mapped one as IPv4; ValueError where it is none."""
    text = call.one("ip") or ""
    if "%" in text:
        raise ValueError(text)  # a zone means something on one machine only
    address = ip_address(text.strip())
    return getattr(address, "ipv4_mapped", None) or address

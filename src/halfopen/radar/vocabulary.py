"""The words that a request may use: endpoints, formats, and the values of each filter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Generic

from halfopen.connections.rules import SIGNATURES, Tag, signature_id
from halfopen.places.continents import CONTINENTS, continent_of
from halfopen.store.query import Dimension, Value


class Form(StrEnum):
    """What an answer looks like."""

    summary = "summary"
    timeseries_groups = "timeseries_groups"
    top = "top"


class Format(StrEnum):
    """In what an answer is written."""

    JSON = "JSON"
    CSV = "CSV"


class Normalization(StrEnum):
    """What the numbers are (Radar's names)."""

    PERCENTAGE = "PERCENTAGE"
    RAW_VALUES = "RAW_VALUES"
    OVERLAPPED_PERCENTAGE = "OVERLAPPED_PERCENTAGE"  # said of tags; cannot be asked for


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A path below ``/radar/tcp_resets_timeouts/``."""

    form: Form
    by: Dimension = Dimension.stage


ENDPOINTS: Final = {
    "summary": Endpoint(Form.summary),
    "timeseries_groups": Endpoint(Form.timeseries_groups),
    **{
        f"{form}/{by}": Endpoint(form, by)
        for form in (Form.summary, Form.timeseries_groups)
        for by in Dimension
    },
    "top/ases": Endpoint(Form.top, Dimension.asn),
    "top/locations": Endpoint(Form.top, Dimension.location),
}
"""Every path that `answers.answer` serves."""


@dataclass(frozen=True, slots=True)
class Filter(Generic[Value]):
    """A filter: its parameter, what is accepted, and how one value is read (None: it is not accepted)."""

    name: str
    accepted: str
    read: Callable[[str], Value | None]


_IP_VERSIONS: Final = {"4": 4, "IPV4": 4, "6": 6, "IPV6": 6}
_SIGNATURES: Final = frozenset(signature_id(number) for number in range(len(SIGNATURES) + 1))
_TAGS: Final = frozenset(tag.name for tag in Tag)


def _number(text: str, least: int, most: int) -> int | None:
    if not (text.isascii() and text.isdigit() and len(text) <= 10):
        return None
    return int(text) if least <= int(text) <= most else None


def _one_of(words: frozenset[str]) -> Callable[[str], str | None]:
    return lambda text: text if text in words else None


def _lower(read: Callable[[str], str | None]) -> Callable[[str], str | None]:
    return lambda text: read(text.lower())


def _location(text: str) -> str | None:
    code = text.upper()
    return code if continent_of(code) else None


ASN: Final = Filter("asn", "an AS number from 1 to 4294967295", lambda text: _number(text, 1, 2**32 - 1))
LOCATION: Final = Filter("location", "an ISO 3166-1 alpha-2 code", _location)
CONTINENT: Final = Filter(
    "continent",
    f"one of {', '.join(sorted(CONTINENTS))}",
    lambda text: text.upper() if text.upper() in CONTINENTS else None,
)
IP_VERSION: Final = Filter("ipVersion", "one of IPv4, IPv6", lambda text: _IP_VERSIONS.get(text.upper()))
SERVER_PORT: Final = Filter("serverPort", "a port from 0 to 65535", lambda text: _number(text, 0, 65535))
SIGNATURE: Final = Filter(
    "signature", f"one of {', '.join(sorted(_SIGNATURES))}", _lower(_one_of(_SIGNATURES))
)
TAG: Final = Filter("tag", f"one of {', '.join(sorted(_TAGS))}", _lower(_one_of(_TAGS)))
SENSOR: Final = Filter(
    "sensor",
    "the name of a sensor, at most 64 printable characters",
    lambda text: text if 0 < len(text) <= 64 and text.isprintable() else None,
)

"""What the records of the known layouts say, told apart by their keys and not by the file's name.

===============  =====================================================  ==============================
Layout           Location and continent                                 Network
===============  =====================================================  ==============================
MaxMind, DB-IP   ``country.iso_code`` (or ``registered_country``),      ``autonomous_system_number``,
                 ``continent.code``                                     ``autonomous_system_organization``
IPinfo           ``country_code`` or ``country``,                       ``asn`` as ``AS64496``,
                 ``continent_code`` or ``continent``                    ``as_name``, ``name``, ``as_domain``
ip-location-db   ``country_code``                                       as MaxMind
===============  =====================================================  ==============================
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from halfopen.places.countries import CONTINENTS, continent_of

_NOWHERE: Final = {"XX", "ZZ"}
"""User-assigned codes that files write for "no country known"."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What one record says; 0 and empty where it says nothing."""

    asn: int = 0
    location: str = ""
    continent: str = ""
    organisation: str = ""


def read_record(record: object) -> Answer:
    """The fields of one decoded record, of whatever layout; what cannot be meant is left unknown."""
    if not isinstance(record, dict):
        return Answer()
    get = record.get
    asn = _as_number(get("autonomous_system_number") or get("asn"))
    organisation = get("autonomous_system_organization") or get("as_name") or get("name") or get("as_domain")
    location = (
        _country(_inner(get("country"), "iso_code"))
        or _country(_inner(get("registered_country"), "iso_code"))
        or _country(get("country_code"))
        or _country(get("country"))
    )
    continent = (
        _continent(_inner(get("continent"), "code"))
        or _continent(get("continent_code"))
        or _continent(get("continent"))
        or continent_of(location)
    )
    return Answer(asn, location, continent, organisation if asn and isinstance(organisation, str) else "")


def _inner(value: object, key: str) -> object:
    return value.get(key) if isinstance(value, dict) else None


def _as_number(value: object) -> int:
    if isinstance(value, str):
        digits = value.upper().removeprefix("AS")
        value = int(digits) if digits.isdecimal() and len(digits) <= 10 else 0
    return value if isinstance(value, int) and 0 < value < 2**32 else 0


def _country(value: object) -> str:
    if not isinstance(value, str) or len(value) != 2 or not value.isascii() or not value.isalpha():
        return ""
    code = value.upper()
    return code if code not in _NOWHERE else ""


def _continent(value: object) -> str:
    return value if isinstance(value, str) and value in CONTINENTS else ""

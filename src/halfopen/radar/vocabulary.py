"""The words that a request may use: endpoints, formats, windows, filters and their values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Generic

from halfopen.api.parameters import Parameter
from halfopen.connections.rules import SIGNATURES, Tag, signature_id
from halfopen.model import STAGES, Stage
from halfopen.places.countries import CONTINENTS, COUNTRIES, continent_of
from halfopen.store.query import Dimension, Value

MOST_SERIES: Final = 10
MOST_VALUES: Final = 200
"""Values in one comma list."""
MOST_NAME: Final = 100
"""Characters of a series' name."""

RANGE: Final = "^((([1-9]|[1-9][0-9]|[1-2][0-9][0-9]|3[0-5][0-9]|36[0-4])[d](control)?)|(([1-9]|[1-4][0-9]|5[0-2])[w](control)?))$"
"""A relative window, as Radar's document has it; the case does not matter."""


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
    """A filter: its parameter, what it chooses, what is accepted, and how one value is read (None: it is not).

    `pattern` is what is accepted as a regular expression, words in the case in which they are written down.
    """

    name: str
    words: str
    accepted: str
    read: Callable[[str], Value | None]
    pattern: str


def _number(least: int, most: int) -> Callable[[str], int | None]:
    def read(text: str) -> int | None:
        if not (text.isascii() and text.isdigit() and len(text) <= 10):
            return None
        return int(text) if least <= int(text) <= most else None

    return read


def _word(words: Mapping[str, Value]) -> Callable[[str], Value | None]:
    """Reads a word in any case; the keys are in upper case."""
    # Without this some letters of other scripts become ASCII in upper case.
    return lambda text: words.get(text.upper()) if text.isascii() else None


def _location(text: str) -> str | None:
    code = text.upper()
    return code if text.isascii() and continent_of(code) else None


def _sensor(text: str) -> str | None:
    return text if 0 < len(text) <= 64 and text.isprintable() else None


def _listed(words: Iterable[str]) -> str:
    return f"one of {', '.join(words)}"


_CONTINENTS: Final = {code: code for code in sorted(CONTINENTS)}
_SIGNATURES: Final = {text.upper(): text for text in map(signature_id, range(len(SIGNATURES) + 1))}
_TAGS: Final = {tag.name.upper(): tag.name for tag in Tag}
_CUT: Final = {stage.name.upper(): stage.name for stage in STAGES if stage is not Stage.no_match}

# Numbers of 32 and of 16 bits: regular expressions know no size.
_UP_TO_4294967295: Final = (
    "[1-9][0-9]{0,8}|[1-3][0-9]{9}|4[01][0-9]{8}|42[0-8][0-9]{7}|429[0-3][0-9]{6}|4294[0-8][0-9]{5}|"
    "42949[0-5][0-9]{4}|429496[0-6][0-9]{3}|4294967[01][0-9]{2}|42949672[0-8][0-9]|429496729[0-5]"
)
_UP_TO_65535: Final = "[0-9]{1,4}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]"

ASN: Final = Filter(
    "asn", "Networks", "an AS number from 1 to 4294967295", _number(1, 2**32 - 1), _UP_TO_4294967295
)
LOCATION: Final = Filter(
    "location", "Countries", "an ISO 3166-1 alpha-2 code", _location, "|".join(sorted(COUNTRIES))
)
CONTINENT: Final = Filter(
    "continent", "Continents", _listed(_CONTINENTS), _word(_CONTINENTS), "|".join(_CONTINENTS)
)
IP_VERSION: Final = Filter(
    "ipVersion", "IP versions", _listed(("IPv4", "IPv6")), _word({"4": 4, "IPV4": 4, "6": 6, "IPV6": 6}),
    "IPv4|IPv6|4|6",
)  # fmt: skip
SERVER_PORT: Final = Filter(
    "serverPort", "Ports of the servers", "a port from 0 to 65535", _number(0, 65535), _UP_TO_65535
)
SIGNATURE: Final = Filter(
    "signature", "Signatures", _listed(_SIGNATURES.values()), _word(_SIGNATURES),
    "|".join(_SIGNATURES.values()),
)  # fmt: skip
TAG: Final = Filter(
    "tag", "Tags, any of them", _listed(_TAGS.values()), _word(_TAGS), "|".join(_TAGS.values())
)
SENSOR: Final = Filter(
    "sensor", "Sensors", "the name of a sensor, at most 64 printable characters", _sensor,
    r"[!-+.-~][!-+\--~]{0,63}",
)  # fmt: skip
STAGE: Final = Filter(
    "stage", "Stages that count as cut", _listed(_CUT.values()), _word(_CUT), "|".join(_CUT.values())
)
"""What a share is made of, no filter of what is counted."""
FILTERS: Final[tuple[Filter[Any], ...]] = (
    ASN,
    LOCATION,
    CONTINENT,
    IP_VERSION,
    SERVER_PORT,
    SIGNATURE,
    TAG,
    SENSOR,
)


def window_parameters(*, each_series: bool) -> tuple[Parameter, ...]:
    """What says a window, as the document tells it: one for each series, or a single one."""
    of, most = (" of each series", MOST_SERIES) if each_series else ("", None)
    return (
        Parameter(
            "dateRange", f"Window{of}, ending now; with `control` that of the weeks before.",
            "a range such as 7d, 52w or 7dcontrol", repeated=each_series, most=most, pattern=RANGE, checked=False,
        ),
        Parameter(
            "dateStart", f"Begin of the window{of} (ISO 8601).", "a time", repeated=each_series, most=most, formats=("date-time",)
        ),
        Parameter(
            "dateEnd", f"End of the window{of} (ISO 8601).", "a time", repeated=each_series, most=most, formats=("date-time",)
        ),
    )  # fmt: skip


def filter_parameters(*, each_series: bool) -> tuple[Parameter, ...]:
    """The filters, as the document tells them: one of a kind for each series, or a single one."""
    of, most = (" of each series", MOST_SERIES) if each_series else ("", None)
    return tuple(
        Parameter(
            kind.name, f"{kind.words}{of}; several separated by commas, - excludes.", kind.accepted,
            repeated=each_series, most=most, pattern=list_pattern(kind, "-?"), checked=False,
        )
        for kind in FILTERS
    )  # fmt: skip


def list_pattern(kind: Filter[Any], sign: str = "") -> str:
    """What a comma list of values looks like, each behind a `sign` (a regular expression); an empty one filters nothing."""
    one = f"{sign}({kind.pattern})"
    return f"^({one}(, ?{one}){{0,{MOST_VALUES - 1}}})?$"


GROUPS: Final = {
    Dimension.stage: len(STAGES),
    Dimension.signature: len(_SIGNATURES),
    Dimension.tag: len(_TAGS),
    Dimension.continent: len(_CONTINENTS),
    Dimension.ip_version: 2,
}
"""How many values there are of the dimensions that have an end."""

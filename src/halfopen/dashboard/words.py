"""Numbers, times and labels as the pages say them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlencode

from halfopen.connections.rules import SIGNATURES, TAGS
from halfopen.model import STAGE_WORDS as _OF_STAGES
from halfopen.model import STAGES, Stage
from halfopen.places.countries import country_name
from halfopen.radar.windows import stamp
from halfopen.store.query import QUARTER
from halfopen.store.schema import EVIDENCE

STAGE_WORDS: Final[Mapping[str, str]] = {stage.name: _OF_STAGES[stage] for stage in STAGES}
"""Each stage in words, in the order in which they are shown."""

SIGNATURE_WORDS: Final[Mapping[str, str]] = {each.id: each.words for each in SIGNATURES}
EVIDENCE_WORDS: Final[Mapping[str, str]] = {
    column.name: re.sub(r"[,;] null.*", "", column.words) for column in EVIDENCE
}
"""Each fact in words; those that are null are not shown."""
TAG_WORDS: Final[Mapping[str, str]] = {
    tag.name: re.sub(r" \(D\d+\)", "", words) for tag, words in TAGS.items()
}
"""Each tag in words, without the number of the decision that it comes from."""

CUT: Final = tuple(stage.name for stage in STAGES if stage is not Stage.no_match)
"""The stages in which a connection was cut."""

CONFIDENCE: Final[Mapping[int, str]] = {
    5: "These numbers are steady: many connections, nothing missed.",
    3: "Something is odd: a sensor missed part of the time, or the shares jump about.",
    2: "Read these shares as rough: they may be some points off.",
    1: "There are hardly any connections: these shares may be chance.",
}
"""How sure the numbers are, by level."""

_MINUTE: Final = 60
_HOUR: Final = 3600
_DAY: Final = 86_400


def number(value: float | str) -> str:
    """A count with separators; one of a sample is rounded."""
    return f"{round(float(value)):,}"


def percent(value: float | str) -> str:
    """A share in percent, with as many digits as say something."""
    share = float(value)
    return f"{share:.1f} %" if share == 0 or share >= 0.1 else "< 0.1 %"


def points(value: float) -> str:
    """A difference of shares, with its sign."""
    return f"{value:+.1f}".replace("-", "\N{MINUS SIGN}")


def size(value: float) -> str:
    """Bytes in the unit that suits them."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(value) < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"


def moment(text: str) -> datetime:
    """A time of the API."""
    return datetime.fromisoformat(text[:19] + "+00:00")


def clock(text: str | None) -> str:
    """A time of the API to the minute, UTC."""
    return "never" if text is None else f"{moment(text):%Y-%m-%d %H:%M}"


def age(text: str) -> str:
    """How long ago a time of the API is."""
    return lasting((datetime.now(UTC) - moment(text)).total_seconds())


def lasting(seconds: float) -> str:
    """A stretch of time in its largest unit."""
    for unit, word in ((_DAY, "day"), (_HOUR, "hour"), (_MINUTE, "minute")):
        if seconds >= unit:
            count = int(seconds // unit)
            return f"{count} {word}{'s' if count > 1 else ''}"
    count = max(int(seconds), 0)
    return f"{count} second{'' if count == 1 else 's'}"


def one(row: Mapping[str, Any]) -> str:
    """The query that finds a connection again: the quarter of an hour that it began in, what it is like, and who it is."""
    begun = int(moment(row["start"]).timestamp())
    begun -= begun % QUARTER
    like = {
        "location": row["location"], "asn": row["asn"],         "serverPort": row["server_port"], "signature": row["signature"], "sensor": row["sensor"],
    }  # fmt: skip
    whose = {"at": row["start"], **{name: row[name] for name in ("client", "client_port", "server")}}
    window = {"dateStart": stamp(begun), "dateEnd": stamp(begun + QUARTER)}
    return urlencode(
        {name: value for name, value in {**window, **like, **whose}.items() if value is not None}
    )


def pretty(value: Any) -> str:
    """JSON for people."""
    return json.dumps(value, indent=2, ensure_ascii=False)


FILTERS: Final[Mapping[str, Callable[..., str]]] = {
    "number": number,
    "percent": percent,
    "points": points,
    "size": size,
    "clock": clock,
    "age": age,
    "lasting": lasting,
    "pretty": pretty,
    "one": one,
    "country": country_name,
}
"""Filters of the templates."""

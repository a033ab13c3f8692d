"""What happened to the data, told beside an answer: by the operator, or of a sensor that fell silent, lost much, or ran twice (A20)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from halfopen.errors import UsageError
from halfopen.places.countries import continent_of
from halfopen.radar.windows import Window, stamp
from halfopen.store.query import Befallen, Choice, Filters, Gap, Loss, Value

DATA_SOURCES: Final = (
    "ALL",
    "AI_BOTS",
    "AI_GATEWAY",
    "BGP",
    "BOTS",
    "CONNECTION_ANOMALY",
    "CT",
    "DNS",
    "DNS_MAGNITUDE",
    "DNS_AS112",
    "DOS",
    "EMAIL_ROUTING",
    "EMAIL_SECURITY",
    "FW",
    "FW_PG",
    "HTTP",
    "HTTP_CONTROL",
    "HTTP_CRAWLER_REFERER",
    "HTTP_ORIGINS",
    "IQI",
    "LEAKED_CREDENTIALS",
    "NET",
    "ROBOTS_TXT",
    "SPEED",
    "WORKERS_AI",
)
"""Radar's names; CONNECTION_ANOMALY is this dataset."""

EVENT_TYPES: Final = ("GENERAL", "OUTAGE", "PARTIAL_PROJECTION", "PIPELINE", "TRAFFIC_ANOMALY", "EVENT")
"""Radar's names; clients up to cloudflare-python 5.9 reject EVENT in strict mode."""

_ESCAPED: Final = "%[0-9A-Fa-f]{2}"
_LINK: Final = re.compile(
    rf"(?i:https?)://(([\w.~!$&'()*+,;=:-]|{_ESCAPED})*@)?"
    rf"(([\w.~!$&'()*+,;=-]|{_ESCAPED})+|\[[0-9A-Fa-f:.]+\])(:[0-9]*)?"
    rf"(/([\w.~!$&'()*+,;=:@/-]|{_ESCAPED})*)?"
    rf"(\?([\w.~!$&'()*+,;=:@/?-]|{_ESCAPED})*)?(#([\w.~!$&'()*+,;=:@/?-]|{_ESCAPED})*)?",
    re.ASCII,
)
"""A URI (RFC 3986) that may stand in a page: no script, nothing relative."""


@dataclass(frozen=True, slots=True)
class Annotation:
    """One thing that happened, from `start` to `end` (s since the epoch; no end: it still goes on).

    It concerns the locations, AS numbers and sensors named; none named: all.
    """

    description: str
    start: int
    end: int | None = None
    data_source: str = "CONNECTION_ANOMALY"
    event_type: str = "GENERAL"
    is_instantaneous: bool = False
    linked_url: str = ""  # empty: this installation's own page of annotations
    tags: tuple[str, ...] = ()
    locations: tuple[str, ...] = ()
    asns: tuple[int, ...] = ()
    sensors: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.data_source not in DATA_SOURCES:
            raise UsageError("dataSource", self.data_source, ", ".join(DATA_SOURCES))
        if self.event_type not in EVENT_TYPES:
            raise UsageError("eventType", self.event_type, ", ".join(EVENT_TYPES))
        if self.linked_url and not _LINK.fullmatch(self.linked_url):
            raise UsageError(
                "linkedUrl",
                self.linked_url,
                "an absolute URL of http or https, other characters than a URL's as %XX",
            )
        if self.end is not None and self.end < self.start:
            raise UsageError("endDate", stamp(self.end), "a time not before startDate")

    def concerns(self, window: Window, filters: Filters) -> bool:
        """Whether it touches the window and anything that the filters let through."""
        ended = self.end is not None and max(self.end, self.start + 1) <= window.start
        if ended or self.start >= window.end:
            return False
        return (
            _any_chosen(filters.asn, self.asns)
            and _any_chosen(filters.sensor, self.sensors)
            and (not self.locations or any(_is_place_of(filters, code) for code in self.locations))
        )

    def record(self, closed: int, page: str) -> dict[str, object]:
        """As an answer writes it; what goes on ends with the last closed bucket (`closed`, s)."""
        return {
            "dataSource": self.data_source,
            "description": self.description,
            "startDate": stamp(self.start),
            "endDate": stamp(max(self.start, closed) if self.end is None else self.end),
            "eventType": self.event_type,
            "isInstantaneous": self.is_instantaneous,
            "linkedUrl": self.linked_url or page,
            "tags": list(self.tags),
        }


def _chosen(choice: Choice[Value], value: Value) -> bool:
    return value not in choice.exclude and (not choice.include or value in choice.include)


def _any_chosen(choice: Choice[Value], values: tuple[Value, ...]) -> bool:
    """Whether a filter lets one of the values through; no values stand for all."""
    return not values or any(_chosen(choice, value) for value in values)


def _is_place_of(filters: Filters, code: str) -> bool:
    return _chosen(filters.location, code) and _chosen(filters.continent, continent_of(code))


def sensor_annotation(found: Befallen) -> Annotation:
    """A sensor's silence, that it ran twice, or what it lost, as an annotation."""
    words, name = f"Sensor {found.sensor} {_befell(found)}", (found.sensor,)
    return Annotation(words, found.start, found.end, event_type="PIPELINE", tags=name, sensors=name)


def nameless_annotation(found: Befallen) -> Annotation:
    """The same for everybody: which sensors there are is told to those who may ask."""
    return Annotation(f"A sensor {_befell(found)}", found.start, found.end, event_type="PIPELINE")


def _befell(found: Befallen) -> str:
    if isinstance(found, Gap):
        return "did not report."
    if isinstance(found, Loss):
        lost = [_share("packets", found.dropped, found.received)] if found.dropped else []
        lost += [_share("connections", found.evicted, found.connections)] if found.evicted else []
        return f"lost {' and '.join(lost)}."
    return "ran twice: what both saw is counted twice."


def _share(what: str, lost: int, of: int) -> str:
    return f"{lost:,} of {of:,} {what} ({lost / of:.1%})" if of else f"{lost:,} {what}"


def concerning(
    annotations: Iterable[Annotation], asked: Sequence[tuple[Window, Filters]]
) -> list[Annotation]:
    """Those that concern at least one of the series asked for, each once, in the order of their start."""
    found = {one for one in annotations if any(one.concerns(window, filters) for window, filters in asked)}
    return sorted(found, key=lambda one: (one.start, one.description))

"""What happened to the data, told beside an answer: by the operator, or of a sensor that fell silent or ran twice (A20)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from halfopen.errors import UsageError
from halfopen.radar.windows import Window, stamp
from halfopen.store.query import Choice, Filters, Gap, Overlap, Value

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


@dataclass(frozen=True, slots=True)
class Annotation:
    """One thing that happened, from `start` to `end` (s since the epoch; no end: it still goes on).

    It concerns the locations and AS numbers named; none named: all.
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

    def __post_init__(self) -> None:
        if self.data_source not in DATA_SOURCES:
            raise UsageError("dataSource", self.data_source, ", ".join(DATA_SOURCES))
        if self.event_type not in EVENT_TYPES:
            raise UsageError("eventType", self.event_type, ", ".join(EVENT_TYPES))
        if self.linked_url and not _is_link(self.linked_url):
            raise UsageError("linkedUrl", self.linked_url, "an absolute URL of http or https")
        if self.end is not None and self.end < self.start:
            raise UsageError("endDate", stamp(self.end), "a time not before startDate")

    def concerns(self, window: Window, filters: Filters) -> bool:
        """Whether it touches the window and anything that the filters let through."""
        ended = self.end is not None and max(self.end, self.start + 1) <= window.start
        if ended or self.start >= window.end:
            return False
        return _any_chosen(filters.location, self.locations) and _any_chosen(filters.asn, self.asns)

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


def _any_chosen(choice: Choice[Value], values: tuple[Value, ...]) -> bool:
    """Whether a filter lets one of the values through; no values stand for all."""
    allowed = [value for value in values if value not in choice.exclude]
    return not values or any(not choice.include or value in choice.include for value in allowed)


def _is_link(text: str) -> bool:
    """Whether it may stand in a page: no script, nothing relative."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.netloc) and text.isprintable() and " " not in text


def sensor_annotation(found: Gap | Overlap) -> Annotation:
    """A sensor's silence, or that it ran twice, as an annotation."""
    words = f"Sensor {found.sensor} {_befell(found)}"
    return Annotation(words, found.start, found.end, event_type="PIPELINE", tags=(found.sensor,))


def nameless_annotation(found: Gap | Overlap) -> Annotation:
    """The same for everybody: which sensors there are is told to those who may ask."""
    return Annotation(f"A sensor {_befell(found)}", found.start, found.end, event_type="PIPELINE")


def _befell(found: Gap | Overlap) -> str:
    return "did not report." if isinstance(found, Gap) else "ran twice: what both saw is counted twice."


def concerning(
    annotations: Iterable[Annotation], asked: Sequence[tuple[Window, Filters]]
) -> list[Annotation]:
    """Those that concern at least one of the series asked for, each once, in the order of their start."""
    found = {one for one in annotations if any(one.concerns(window, filters) for window, filters in asked)}
    return sorted(found, key=lambda one: (one.start, one.description))

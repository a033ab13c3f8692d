"""``/radar/annotations``: what the operator wrote and the silences of sensors, as a list (A10)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, Final

from halfopen.accounts.permissions import RADAR
from halfopen.api.errors import RADAR as RADAR_SERVICE
from halfopen.api.errors import Answer
from halfopen.api.parameters import Parameter
from halfopen.api.routes import Call, Route, answered
from halfopen.errors import InvalidError, Rejected
from halfopen.radar.annotations import DATA_SOURCES, EVENT_TYPES, gap_annotation
from halfopen.radar.answers import Surroundings
from halfopen.radar.index import folded
from halfopen.radar.lists import FORMAT, OFFSET, limit, stretch
from halfopen.radar.notes import Note
from halfopen.radar.parameters import question_of
from halfopen.radar.vocabulary import Endpoint, Form, window_parameters
from halfopen.radar.windows import Window
from halfopen.store.query import Dataset, Dimension, Filters

_WINDOW: Final = window_parameters(each_series=False)
_DATES: Final = tuple(each.name for each in _WINDOW)
_ALWAYS: Final = 1 << 35  # s: later than anything that is written down

_FEW: Final = 100

_ELSEWHERE: Final = ("bot", "ca", "geoId", "log", "origin", "outageCause", "outageType", "tld")
"""Parameters that ask for what no annotation here concerns: with any of them nothing is found."""

_PARAMETERS: Final = (
    *_WINDOW,
    Parameter("asn", "Only what concerns this network.", "an AS number from 1 to 4294967295", "integer", least=1, most=2**32 - 1),
    Parameter("location", "Only what concerns this country.", "an ISO 3166-1 alpha-2 code", pattern="^[A-Za-z]{2}$"),
    Parameter("dataSource", "Only what concerns this data source.", f"one of {', '.join(DATA_SOURCES)}", values=DATA_SOURCES, any_case=True),
    Parameter(
        "eventType", "Only events of this type; EVENT is an older name of GENERAL.", f"one of {', '.join(EVENT_TYPES)}",
        values=EVENT_TYPES, any_case=True,
    ),
    Parameter("query", "Only with this in its description, id, networks or countries.", "a text"),
    Parameter("tags", "Only with one of these tags.", "a tag", repeated=True),
    *(Parameter(name, "Nothing here concerns any: with it the list is empty.", "a text") for name in _ELSEWHERE),
    limit(_FEW),
    OFFSET,
    FORMAT,
)  # fmt: skip

_TEXT: Final[dict[str, Any]] = {"type": "string"}
_TEXTS: Final[dict[str, Any]] = {"type": "array", "items": _TEXT}
_OBJECTS: Final[dict[str, Any]] = {"type": "array", "items": {"type": "object"}}
_FIELDS: Final[dict[str, Any]] = {
    "id": _TEXT,
    "asns": {"type": "array", "items": {"type": "integer"}},
    "asnsDetails": _OBJECTS,
    "dataSource": _TEXT,
    "description": _TEXT,
    "endDate": _TEXT,
    "entities": _OBJECTS,
    "eventType": _TEXT,
    "geoIds": _TEXTS,
    "isInstantaneous": {"type": "boolean"},
    "linkedUrl": _TEXT,
    "locations": _TEXTS,
    "locationsDetails": _OBJECTS,
    "origins": _TEXTS,
    "originsDetails": _OBJECTS,
    "startDate": _TEXT,
    "tags": _TEXTS,
}
_RESULT: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["annotations"],
    "properties": {
        "annotations": {
            "type": "array",
            "items": {"type": "object", "required": list(_FIELDS), "properties": _FIELDS},
        }
    },
}


def annotation_routes(
    dataset: Dataset,
    notes: Callable[[], Sequence[Note]],
    surroundings: Callable[[str], Surroundings],
    clock: Callable[[], float] = time.time,
) -> tuple[Route, ...]:
    """The list of annotations, the newest first."""
    return (
        Route(
            "GET", "/radar/annotations", partial(_list, dataset, notes, surroundings, clock),
            "What happened to the data", _RESULT, RADAR, service=RADAR_SERVICE, parameters=_PARAMETERS,
            check=partial(_rejected, clock), tags=("Radar Annotations",),
            description="What happened to the data, the newest first; of all times where no date is given.",
        ),
    )  # fmt: skip


def _list(
    dataset: Dataset,
    notes: Callable[[], Sequence[Note]],
    surroundings: Callable[[str], Surroundings],
    clock: Callable[[], float],
    call: Call,
) -> Answer:
    window, filters = _asked(call, clock)
    gaps = dataset.gaps(window.start, min(window.end, int(clock())))
    silences = [Note(f"{gap.sensor}-{gap.start}", gap_annotation(gap)) for gap in gaps]
    source, event = ((call.one(name) or "").upper() for name in ("dataSource", "eventType"))
    around = surroundings(call.base_url)
    text, tags = folded(call.one("query") or ""), {tag for tag in call.every("tags") if tag}
    found = [
        note
        for note in (*notes(), *silences)
        if note.annotation.concerns(window, filters)
        and not any(call.one(name) for name in _ELSEWHERE)
        and (not tags or tags & set(note.annotation.tags))
        and (not text or any(text in folded(each) for each in _words(note, around)))
        and (source in ("", "ALL") or note.annotation.data_source in (source, "ALL"))
        and (not event or _general(note.annotation.event_type) == _general(event))
    ]
    found.sort(key=lambda note: note.annotation.start, reverse=True)
    closed = dataset.state().closed
    return answered({"annotations": [_record(note, closed, around) for note in stretch(call, found, _FEW)]})


def _words(note: Note, around: Surroundings) -> Iterator[str]:
    """What a text is looked for in."""
    told = note.annotation
    yield from (told.description, note.id)
    for asn in told.asns:
        yield from (f"AS{asn}", around.name_of(Dimension.asn, str(asn)))
    for code in told.locations:
        yield from (code, around.name_of(Dimension.location, code))


def _general(event: str) -> str:
    return "GENERAL" if event == "EVENT" else event


def _record(note: Note, closed: int, around: Surroundings) -> dict[str, Any]:
    told = note.annotation
    return {
        "id": note.id,
        **told.record(closed, around.page),
        "asns": list(told.asns),
        "asnsDetails": [_network(asn, around.name_of(Dimension.asn, str(asn))) for asn in told.asns],
        "entities": [],
        "geoIds": [],
        "locations": list(told.locations),
        "locationsDetails": [
            {"code": code, "name": around.name_of(Dimension.location, code)} for code in told.locations
        ],
        "origins": [],
        "originsDetails": [],
    }


def _network(asn: int, name: str) -> dict[str, str]:
    return {"asn": str(asn)} | ({"name": name} if name else {})


def _asked(call: Call, clock: Callable[[], float]) -> tuple[Window, Filters]:
    """The window and the filters, read as those of any series; InvalidError with every fault."""
    pairs = [(name, value) for name in (*_DATES, "asn", "location") for value in call.every(name)]
    (series,) = question_of(Endpoint(Form.summary), _first_of_each(pairs), int(clock())).series
    dated = any(value.strip() for name, value in pairs if name in _DATES)
    return series.window if dated else Window(0, _ALWAYS), series.filters


def _first_of_each(pairs: Iterable[tuple[str, str]]) -> Iterable[tuple[str, str]]:
    """One value of each name; that there are more is told by the parameter."""
    found: dict[str, str] = {}
    for name, value in pairs:
        found.setdefault(name, value)
    return found.items()


def _rejected(clock: Callable[[], float], call: Call) -> Sequence[Rejected]:
    try:
        _asked(call, clock)
    except InvalidError as error:
        return error.rejected
    return ()

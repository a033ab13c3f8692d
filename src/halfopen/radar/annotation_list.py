"""``/radar/annotations``: what the operator wrote and what befell sensors, as a list (A10)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, Final

from msgspec import Struct

from halfopen.accounts.permissions import RADAR
from halfopen.api.errors import RADAR as RADAR_SERVICE
from halfopen.api.errors import Answer
from halfopen.api.parameters import Parameter
from halfopen.api.routes import Call, Route, answered
from halfopen.errors import InvalidError, Rejected
from halfopen.radar.annotations import DATA_SOURCES, EVENT_TYPES, sensor_annotation
from halfopen.radar.answers import Surroundings
from halfopen.radar.index import folded
from halfopen.radar.lists import FORMAT, OFFSET, limit, stretch
from halfopen.radar.notes import Note
from halfopen.radar.parameters import question_of
from halfopen.radar.shapes import RadarTold
from halfopen.radar.vocabulary import LOCATION, Endpoint, Form, window_parameters
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
    Parameter(
        "location", "Only what concerns this country.", LOCATION.accepted, pattern=f"^({LOCATION.pattern})$", any_case=True,
    ),
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


class RadarCountry(Struct, frozen=True):
    """A country that an annotation concerns."""

    code: str
    name: str


class RadarConcernedNetwork(Struct, frozen=True):
    """A network that an annotation concerns."""

    asn: str
    name: str | None
    location: RadarCountry | None


class RadarConcernedEntity(Struct, frozen=True, rename="camel"):
    """A bot or the like that an annotation concerns."""

    entity_type: str
    entity_value: str
    entity_name: str | None


class RadarOrigin(Struct, frozen=True):
    """A hosting region that an annotation concerns."""

    origin: str
    name: str | None


class RadarOutage(Struct, frozen=True, rename="camel"):
    """Why and how far something was out of order."""

    outage_cause: str
    outage_type: str


class RadarAnnotation(RadarTold, frozen=True, rename="camel"):
    """An annotation of the list. No entity, origin, region or outage is known here: such fields are empty."""

    id: str
    asns: list[int]
    asns_details: list[RadarConcernedNetwork]
    entities: list[RadarConcernedEntity]
    geo_ids: list[str]
    locations: list[str]
    locations_details: list[RadarCountry]
    origins: list[str]
    origins_details: list[RadarOrigin]
    outage: RadarOutage | None
    scope: str | None


class RadarAnnotations(Struct, frozen=True):
    """A list of annotations."""

    annotations: list[RadarAnnotation]


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
            "What happened to the data", RadarAnnotations, RADAR, service=RADAR_SERVICE, parameters=_PARAMETERS,
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
    span = window.start, min(window.end, int(clock()))
    gaps, overlaps, losses, state = dataset.still(
        lambda now: (now.gaps(*span), now.overlaps(*span), now.losses(*span), now.state())
    )
    of_sensors = [
        *(Note(f"{gap.sensor}-{gap.start}", sensor_annotation(gap)) for gap in gaps),
        *(Note(f"{one.sensor}-twice-{one.start}", sensor_annotation(one)) for one in overlaps),
        *(Note(f"{loss.sensor}-lost-{loss.start}", sensor_annotation(loss)) for loss in losses),
    ]
    source, event = ((call.one(name) or "").upper() for name in ("dataSource", "eventType"))
    around = surroundings(call.base_url)
    text, tags = folded(call.one("query") or ""), {tag for tag in call.every("tags") if tag}
    found = [
        note
        for note in (*notes(), *of_sensors)
        if note.annotation.concerns(window, filters)
        and not any(call.one(name) for name in _ELSEWHERE)
        and (not tags or tags & set(note.annotation.tags))
        and (not text or any(text in folded(each) for each in _words(note, around)))
        and (source in ("", "ALL") or note.annotation.data_source in (source, "ALL"))
        and (not event or _general(note.annotation.event_type) == _general(event))
    ]
    found.sort(key=lambda note: note.annotation.start, reverse=True)
    return answered(
        {"annotations": [_record(note, state.closed, around) for note in stretch(call, found, _FEW)]}
    )


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
        "asns": told.asns,
        "asnsDetails": [
            RadarConcernedNetwork(str(asn), around.name_of(Dimension.asn, str(asn)) or None, None)
            for asn in told.asns
        ],
        "entities": (),
        "geoIds": (),
        "locations": told.locations,
        "locationsDetails": [
            RadarCountry(code, around.name_of(Dimension.location, code)) for code in told.locations
        ],
        "origins": (),
        "originsDetails": (),
        "outage": None,
        "scope": None,
    }


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

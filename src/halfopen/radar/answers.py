"""The answers of ``/radar/tcp_resets_timeouts``: a question put to a dataset, in the shape of Radar's (A6)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from hashlib import sha256
from typing import Any, Final, TypeVar

from halfopen.radar.annotations import Annotation, concerning, sensor_annotation
from halfopen.radar.confidence import level
from halfopen.radar.counting import OTHER, Counted, counted
from halfopen.radar.numbers import Texts, overlapping_percentages, percentages, raw_values
from halfopen.radar.parameters import Question, Series, question_of
from halfopen.radar.table import table
from halfopen.radar.vocabulary import Endpoint, Form, Format, Normalization
from halfopen.radar.windows import stamp, stamps
from halfopen.store.query import (
    Befallen,
    Choice,
    Dataset,
    Dimension,
    Filters,
    Gap,
    Loss,
    Overlap,
    Snapshot,
    State,
)

OfSensor = TypeVar("OfSensor", Gap, Overlap, Gap | Loss)

_UNITS: Final = [{"name": "*", "value": "connections"}]
_JSON_STAGES: Final = ("no_match", "post_syn", "post_ack", "post_psh", "later_in_flow")
_RANK: Final = {
    Dimension.asn: ("clientASN", "clientASName"),
    Dimension.location: ("clientCountryAlpha2", "clientCountryName"),
}


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What an answer tells beside the counts.

    `page` is the absolute URL of this installation's page of annotations, `name_of` the name of an AS
    number or a location (by the text of it; empty where nobody knows), `country_of` the country of a
    network (as well), `names` the version of both.
    """

    annotations: Sequence[Annotation]
    page: str
    name_of: Callable[[Dimension, str], str]
    country_of: Callable[[str], str]
    names: str


@dataclass(frozen=True, slots=True)
class Answer:
    """`result` of the envelope, or the text of a CSV file; one of the two."""

    result: dict[str, Any] | None
    csv: str | None


def answer(
    endpoint: Endpoint,
    pairs: Iterable[tuple[str, str]],
    dataset: Snapshot,
    surroundings: Surroundings,
    now: int,
) -> Answer:
    """Answer a request at the time `now` (s). Raises InvalidError."""
    return reply(question_of(endpoint, pairs, now), dataset, surroundings)


def reply(question: Question, dataset: Snapshot, surroundings: Surroundings) -> Answer:
    """Answer a question that was read before, by whoever looked for its `cache_key` first."""
    state = dataset.state()
    counts = [counted(question, series, dataset, state.closed) for series in question.series]
    normalization = question.normalization
    if question.endpoint.by is Dimension.tag and normalization is Normalization.PERCENTAGE:
        normalization = Normalization.OVERLAPPED_PERCENTAGE
    shown: dict[str, Any] = {}
    for one in counts:
        shown[one.series.name] = _series(question, one, normalization, surroundings)
    result = csv = None
    if question.format is Format.CSV:
        csv = table(shown, _fields(question))
    else:
        result = shown | {"meta": meta(question, counts, normalization, dataset, state, surroundings)}
    return Answer(result, csv)


def confidence(dataset: Dataset, name: str, value: str, now: int) -> int:
    """The confidenceInfo.level of the last week (up to `now`, s) of what one filter lets through."""
    question = question_of(Endpoint(Form.summary), [(name, value)], now)
    (series,) = question.series

    def found(still: Snapshot) -> int:
        return _level(question, counted(question, series, still, still.state().closed), _gaps(still, series))

    return dataset.still(found)


def cache_key(question: Question, state: State, surroundings: Surroundings) -> str:
    """Equal for equal answers: the question, its windows, the state of the dataset, annotations and names."""
    series = [(one.name, one.window, _sorted(one.filters)) for one in question.series]
    rest = (question.endpoint, question.format, question.interval, question.normalization, question.limit)
    told = (tuple(surroundings.annotations), surroundings.page, surroundings.names)
    return sha256(repr((series, rest, state, told)).encode()).hexdigest()


def _sorted(filters: Filters) -> list[tuple[list[Any], list[Any]]]:
    choices: list[Choice[Any]] = [getattr(filters, field.name) for field in fields(filters)]
    return [(sorted(choice.include), sorted(choice.exclude)) for choice in choices]


def _fields(question: Question) -> tuple[str, ...]:
    return (*_RANK[question.endpoint.by], "value") if question.endpoint.form is Form.top else ()


def _series(
    question: Question, one: Counted, normalization: Normalization, surroundings: Surroundings
) -> dict[str, Any] | list[Any]:
    form, groups = question.endpoint.form, list(one.groups)
    if question.endpoint.by is Dimension.stage and question.format is Format.JSON:
        groups = list(_JSON_STAGES)
    if form is Form.timeseries_groups and one.empty:
        return {"timestamps": [], **{group: [] for group in groups}}
    texts = _numbers(one, normalization).T.tolist()
    columns: dict[str, list[str]] = dict(zip(one.groups, texts, strict=True))
    if form is Form.timeseries_groups:
        return {
            "timestamps": stamps(one.buckets),
            **{group: columns[group] for group in groups},
        }
    if form is Form.summary:
        return {group: columns[group][0] for group in groups}
    by = question.endpoint.by
    code, name = _RANK[by]
    return [
        {
            code: int(group) if by is Dimension.asn else group,
            name: surroundings.name_of(by, group),
            "value": columns[group][0],
        }
        for group in groups
        if group != OTHER
    ]


def _numbers(one: Counted, normalization: Normalization) -> Texts:
    match normalization:
        case Normalization.PERCENTAGE:
            return percentages(one.weights)
        case Normalization.OVERLAPPED_PERCENTAGE:
            return overlapping_percentages(one.weights, one.total)
    return raw_values(one.weights)


def meta(
    question: Question,
    counts: Sequence[Counted],
    normalization: Normalization,
    dataset: Snapshot,
    state: State,
    surroundings: Surroundings,
) -> dict[str, Any]:
    """What the numbers of an answer are about, as Radar's `meta`."""
    of_sensors: dict[Befallen, None] = {}
    levels = []
    for one in counts:
        gaps = _gaps(dataset, one.series)
        overlaps = dataset.overlaps(one.series.window.start, one.series.window.end)
        of_sensors |= dict.fromkeys([*gaps, *_counted_by(one.series, overlaps)])
        levels.append(_level(question, one, gaps))
    asked = [(series.window, series.filters) for series in question.series]
    told = concerning([*surroundings.annotations, *map(sensor_annotation, of_sensors)], asked)
    windows = [series.window for series in question.series]
    told_of: dict[str, Any] = {
        "dateRange": [{"startTime": stamp(window.start), "endTime": stamp(window.end)} for window in windows],
        "confidenceInfo": {
            "annotations": [one.record(state.closed, surroundings.page) for one in told],
            "level": min(levels),
        },
        "normalization": normalization.value,
        "lastUpdated": stamp(state.updated),
        "units": _UNITS,
    }
    if question.endpoint.form is Form.timeseries_groups:
        told_of["aggInterval"] = question.interval.name
    return told_of


def _level(question: Question, one: Counted, gaps: Sequence[Gap | Loss]) -> int:
    return level(one.stages, question.interval.seconds, one.series.window, gaps)


def _gaps(dataset: Snapshot, series: Series) -> list[Gap | Loss]:
    span = series.window.start, series.window.end
    return _counted_by(series, [*dataset.gaps(*span), *dataset.losses(*span)])


def _counted_by(series: Series, found: Iterable[OfSensor]) -> list[OfSensor]:
    """What befell the sensors that the series counts."""
    sensor = series.filters.sensor
    return [
        one
        for one in found
        if one.sensor not in sensor.exclude and (not sensor.include or one.sensor in sensor.include)
    ]

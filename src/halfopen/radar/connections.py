"""The route of ``/radar/tcp_resets_timeouts/connections``: single connections with their evidence, page by page."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, Final, Protocol

import pyarrow as pa

from halfopen.accounts.permissions import CONNECTIONS
from halfopen.api.envelope import ResultInfo
from halfopen.api.errors import RADAR, Answer
from halfopen.api.parameters import PAGE, per_page
from halfopen.api.routes import Call, Route, answered
from halfopen.errors import CostError, InvalidError, Rejected
from halfopen.model import SECOND
from halfopen.radar.parameters import Series, question_of
from halfopen.radar.vocabulary import ENDPOINTS, filter_parameters, window_parameters
from halfopen.radar.windows import stamp
from halfopen.store.query import QUARTER, Filters
from halfopen.store.told import TOLD, told

MOST_SKIPPED: Final = 1_000_000
"""Connections before the first of a page."""

_PER_PAGE: Final = 100

_ASKED: Final = (*window_parameters(each_series=False), *filter_parameters(each_series=False))


def _shape(kind: Any) -> dict[str, Any]:
    """The JSON Schema of a column of this Arrow type; any may be null."""
    if pa.types.is_struct(kind):
        return _object(kind)
    if pa.types.is_list(kind):
        return {"type": ["array", "null"], "items": _shape(kind.value_type)}
    if pa.types.is_timestamp(kind):
        return {"type": ["string", "null"], "format": "date-time"}
    if pa.types.is_string(kind):
        return {"type": ["string", "null"]}
    return {"type": ["integer" if pa.types.is_integer(kind) else "number", "null"]}


def _object(fields: Iterable[Any]) -> dict[str, Any]:
    properties = {field.name: _shape(field.type) for field in fields}
    return {"type": "object", "required": list(properties), "properties": properties}


class Single(Protocol):
    """Single connections of a dataset: halfopen.store.reader.Reader."""

    def numbers(self, filters: Filters, start: int, end: int) -> Sequence[tuple[int, int]]:
        """(bucket, connections in it) where there are any, newest first."""
        ...

    def connections(self, filters: Filters, start: int, end: int, limit: int, offset: int = 0) -> Any:
        """Connections with start <= SYN < end (s), newest first."""
        ...


def connection_routes(dataset: Single, clock: Callable[[], float] = time.time) -> Iterator[Route]:
    """The one route about single connections."""
    yield Route(
        "GET",
        "/radar/tcp_resets_timeouts/connections",
        partial(_answer, dataset, clock),
        "Single connections with their evidence",
        {"type": "array", "items": _object(TOLD)},
        CONNECTIONS,
        service=RADAR,
        parameters=(*_ASKED, PAGE, per_page(1, 1000, _PER_PAGE)),
        check=partial(_rejected, clock),
        tags=("Radar TCP Resets and Timeouts",),
        description="Single connections with their evidence, newest first; those without a stage, which no share "
        "counts, too.",
        paged=True,
    )


def _series(call: Call, clock: Callable[[], float]) -> Series:
    pairs = ((each.name, call.one(each.name) or "") for each in _ASKED)
    (series,) = question_of(ENDPOINTS["summary"], pairs, int(clock())).series
    return series


def _rejected(clock: Callable[[], float], call: Call) -> Sequence[Rejected]:
    try:
        _series(call, clock)
    except InvalidError as error:
        return error.rejected
    return ()


def _answer(dataset: Single, clock: Callable[[], float], call: Call) -> Answer:
    series = _series(call, clock)
    number, size = call.number("page", 1), call.number("per_page", _PER_PAGE)
    skipped = (number - 1) * size
    if skipped > MOST_SKIPPED:
        raise CostError(
            f"page: more than {MOST_SKIPPED:,} connections lie before it; ask for a shorter window"
        )
    window, filters = series.window, series.filters
    numbers = dataset.numbers(filters, window.start, window.end)
    shown: list[dict[str, Any]] = []
    if (span := _span(numbers, skipped, size)) is not None:
        start, end, before = span
        shown = list(_records(dataset.connections(filters, start, end, size, skipped - before)))
    return answered(shown, ResultInfo(len(shown), number, size, sum(count for _, count in numbers)))


def _span(numbers: Sequence[tuple[int, int]], skipped: int, size: int) -> tuple[int, int, int] | None:
    """The buckets in which a page lies (begin and end, s), and how many connections are newer than all of it.

    What a page costs is to sort these few buckets, not the whole window.
    """
    start = end = None
    before = seen = 0
    for bucket, count in numbers:
        if seen + count > skipped:
            if end is None:
                end, before = bucket + QUARTER, seen
            start = bucket
        seen += count
        if seen >= skipped + size:
            break
    return None if start is None or end is None else (start, end, before)


def _records(rows: Any) -> Iterator[dict[str, Any]]:
    """Connections as objects, as docs/output.md describes them."""
    plain = told(rows).drop_columns(["start", "end"]).to_pylist()
    starts, ends = (rows[name].to_pylist() for name in ("start_ns", "end_ns"))
    for record, start, end in zip(plain, starts, ends, strict=True):
        record |= {"start": _instant(start), "end": _instant(end)}
        yield {name: record[name] for name in TOLD.names}


def _instant(time: int) -> str:
    """A time (ns) in RFC 3339 with nanoseconds."""
    return f"{stamp(time // SECOND).removesuffix('Z')}.{time % SECOND:09}Z"

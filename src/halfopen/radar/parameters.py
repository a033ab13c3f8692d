"""From the query of a request to one `Question`; every fault of it is found before one error is raised."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeVar

from halfopen.errors import InvalidError, Rejected
from halfopen.radar import vocabulary
from halfopen.radar.vocabulary import (
    FILTERS,
    MOST_NAME,
    MOST_SERIES,
    MOST_VALUES,
    Endpoint,
    Filter,
    Form,
    Format,
    Normalization,
)
from halfopen.radar.windows import (
    DAY,
    INTERVALS,
    MOST_BUCKETS,
    MOST_DAYS,
    Interval,
    Window,
    buckets,
    default_interval,
    relative_window,
    time_of,
)
from halfopen.store.query import Choice, Dimension, Filters, Value

MOST_CHARACTERS: Final = 16_384
"""Of one comma list."""
MOST_GROUPS: Final = 100
AHEAD: Final = 60
"""Seconds by which a client's clock may be ahead: who asks up to now is not refused for it."""
MOST_NUMBERS: Final = 200_000
"""In one time series answer."""

_FEW: Final = 10
"""Groups shown where a dimension has no end of values and the request says nothing."""

_PER_SERIES: Final = ("name", "dateRange", "dateStart", "dateEnd", *(kind.name for kind in FILTERS))
_KEY: Final = {Form.summary: "summary_", Form.timeseries_groups: "serie_", Form.top: "top_"}
_RANGES: Final = "1d to 364d or 1w to 52w, with or without control after it"

Word = TypeVar("Word", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class Series:
    """One series: its key in the answer, its window, and what counts."""

    name: str
    window: Window
    filters: Filters


@dataclass(frozen=True, slots=True)
class Question:
    """A request, resolved: equal questions have equal answers from an unchanged dataset."""

    endpoint: Endpoint
    series: tuple[Series, ...]
    format: Format
    interval: Interval  # of a time series; else that in which the steadiness of the counts is judged
    normalization: Normalization
    limit: int | None  # groups shown; None: all


def question_of(endpoint: Endpoint, pairs: Iterable[tuple[str, str]], now: int) -> Question:
    """The question of a query, in its order, at the time `now` (s). Unknown parameters are ignored (A12).

    Raises InvalidError with every fault.
    """
    query = _Query(pairs)
    windows = _windows(query, now)
    filters = [_filters(query, index) for index in range(query.series)]
    names = _names(query, _KEY[endpoint.form])
    interval = _interval(query, endpoint, windows)
    question = Question(
        endpoint,
        tuple(Series(*parts) for parts in zip(names, windows, filters, strict=True)),
        query.word("format", (Format.JSON, Format.CSV)),
        interval,
        query.word("normalization", (Normalization.PERCENTAGE, Normalization.RAW_VALUES)),
        _limit(query, endpoint),
    )
    if endpoint.form is Form.timeseries_groups and not query.faults:
        groups = question.limit or vocabulary.GROUPS[endpoint.by]
        if groups * sum(len(buckets(window, interval)) for window in windows) > MOST_NUMBERS:
            query.fault(
                "limitPerGroup", str(groups), f"small enough: at most {MOST_NUMBERS:,} numbers in an answer"
            )
    if query.faults:
        raise InvalidError(list(query.faults))
    return question


class _Query:
    """The values by name, and the faults found so far, each once."""

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self.faults: dict[Rejected, None] = {}
        self._values: dict[str, list[str]] = {}
        for name, value in pairs:
            self._values.setdefault(name, []).append(value)
        self.series = 1
        for name in _PER_SERIES:
            count = len(self.values(name))
            if count > MOST_SERIES:
                self.fault(name, f"{count} values", f"at most {MOST_SERIES} series")
                del self._values[name][MOST_SERIES:]
            self.series = max(self.series, len(self.values(name)))

    def fault(self, name: str, value: str, accepted: str) -> None:
        self.faults[Rejected(name, value, accepted)] = None

    def values(self, name: str) -> Sequence[str]:
        values = self._values.get(name, [])
        # Dates that are all empty are as good as none.
        return values if not name.startswith("date") or any(value.strip() for value in values) else []

    def scalar(self, name: str) -> str:
        """The one value of a parameter that has no series; empty where there is none, or more than one."""
        values = sorted({value.strip() for value in self._values.get(name, []) if value.strip()})
        if len(values) > 1:
            self.fault(name, ",".join(values), "one value")
        return values[0] if len(values) == 1 else ""

    def word(self, name: str, accepted: tuple[Word, ...]) -> Word:
        """A word, of which the first is the default."""
        text = self.scalar(name)
        found = next((word for word in accepted if text.isascii() and word.value == text.upper()), None)
        if text and found is None:
            self.fault(name, text, f"one of {', '.join(accepted)}")
        return found or accepted[0]

    def number(self, name: str, most: int, default: int | None) -> int | None:
        text = self.scalar(name)
        if not text:
            return default
        if not (text.isascii() and text.isdigit() and len(text) <= 9 and 1 <= int(text) <= most):
            self.fault(name, text, f"a number from 1 to {most}")
            return default
        return int(text)


def _names(query: _Query, prefix: str) -> list[str]:
    given = [value.strip() for value in query.values("name")]
    names = []
    for index in range(query.series):
        name = (given[index] if index < len(given) else "") or f"{prefix}{index}"
        if name == "meta":
            query.fault("name", name, "a free name: the answer has a key meta of its own")
        elif name in names:
            query.fault("name", name, "a name of one series only")
        elif len(name) > MOST_NAME or not name.isprintable():
            query.fault("name", name, f"a name of at most {MOST_NAME} printable characters")
        names.append(name)
    return names


def _filters(query: _Query, index: int) -> Filters:
    def choice(kind: Filter[Value]) -> Choice[Value]:
        values = query.values(kind.name)
        return _choice(query, kind, values[index]) if index < len(values) else Choice()

    return Filters(
        asn=choice(vocabulary.ASN),
        location=choice(vocabulary.LOCATION),
        continent=choice(vocabulary.CONTINENT),
        ip_version=choice(vocabulary.IP_VERSION),
        server_port=choice(vocabulary.SERVER_PORT),
        signature=choice(vocabulary.SIGNATURE),
        tag=choice(vocabulary.TAG),
        sensor=choice(vocabulary.SENSOR),
    )


def _choice(query: _Query, kind: Filter[Value], text: str) -> Choice[Value]:
    """A comma list; each value of it is excluded by a `-` of its own."""
    if len(text) > MOST_CHARACTERS:
        query.fault(kind.name, text, f"at most {MOST_CHARACTERS} characters")
        return Choice()
    tokens = [token.strip() for token in text.split(",") if token.strip()]
    if len(tokens) > MOST_VALUES:
        query.fault(kind.name, text, f"at most {MOST_VALUES} values")
        return Choice()
    included: set[Value] = set()
    excluded: set[Value] = set()
    for token in tokens:
        value = kind.read(token.removeprefix("-").strip())
        if value is None:
            query.fault(kind.name, token, kind.accepted)
        else:
            (excluded if token.startswith("-") else included).add(value)
    return Choice(frozenset(included), frozenset(excluded))


def _windows(query: _Query, now: int) -> list[Window]:
    """One window for each series; where there are faults some window stands in."""
    ranges, starts, ends = (query.values(name) for name in ("dateRange", "dateStart", "dateEnd"))
    named = "dateEnd" if starts or ends else "dateRange"
    if ranges and (starts or ends):
        query.fault("dateRange", ",".join(ranges), "accepted together with dateStart or dateEnd")
    if bool(starts) != bool(ends):
        name, missing = ("dateStart", "dateEnd") if starts else ("dateEnd", "dateStart")
        query.fault(name, ",".join(starts or ends), f"accepted without {missing}")
    elif len(starts) != len(ends):
        query.fault("dateEnd", ",".join(ends), "as many values as dateStart has")
    read = [_relative(query, text, now) for text in ranges]
    if starts or ends:
        begins = [_time(query, "dateStart", text) for text in starts]
        stops = [_time(query, "dateEnd", text) for text in ends]
        pairs = zip(ends, begins, stops, strict=False)
        read = [_absolute(query, text, start, end, now) for text, start, end in pairs]
    week = relative_window("7d", now)
    assert week is not None
    windows = [window or week for window in read] or [week]
    given = max(len(ranges), len(starts), len(ends))
    if 1 < given < query.series:
        query.fault(
            named, f"{given} values", f"one value for all series or one for each of the {query.series}"
        )
    if len({window.duration for window in read if window}) > 1:
        texts = ",".join(ends or ranges)
        query.fault(named, texts, "of one duration: every series must be as long as the first")
    return windows + windows[:1] * (query.series - len(windows))


def _relative(query: _Query, text: str, now: int) -> Window | None:
    window = relative_window(text.strip(), now)
    if window is None:
        query.fault("dateRange", text, _RANGES)
    return window


def _time(query: _Query, name: str, text: str) -> int | None:
    time = time_of(text) if len(text) <= 64 else None
    if time is None or time < 0:
        query.fault(name, text, "an ISO 8601 time since 1970 such as 2026-08-01T00:00:00Z")
        return None
    return time


def _absolute(query: _Query, text: str, start: int | None, end: int | None, now: int) -> Window | None:
    if start is None or end is None:
        return None
    if end > now + AHEAD:
        query.fault("dateEnd", text, "a time in the past")
    elif end <= start:
        query.fault("dateEnd", text, "later than dateStart, both floored to 15 minutes")
    elif end - start > MOST_DAYS * DAY:
        query.fault("dateEnd", text, f"at most {MOST_DAYS} days after dateStart")
    else:
        return Window(start, end)
    return None


def _interval(query: _Query, endpoint: Endpoint, windows: Sequence[Window]) -> Interval:
    default = default_interval(windows[0].duration)
    if endpoint.form is not Form.timeseries_groups:
        return default
    text = query.scalar("aggInterval")
    found = next((interval for interval in INTERVALS if interval.token == text.lower()), None)
    if text and found is None:
        query.fault("aggInterval", text, f"one of {', '.join(interval.token for interval in INTERVALS)}")
    if found and any(len(buckets(window, found)) > MOST_BUCKETS for window in windows):
        query.fault(
            "aggInterval", text, f"coarse enough for so long a range: at most {MOST_BUCKETS:,} buckets"
        )
    return found or default


def _limit(query: _Query, endpoint: Endpoint) -> int | None:
    if endpoint.form is Form.top:
        return query.number("limit", MOST_GROUPS, _FEW)
    if endpoint.by is Dimension.stage:
        return None
    return query.number("limitPerGroup", MOST_GROUPS, None if endpoint.by in vocabulary.GROUPS else _FEW)

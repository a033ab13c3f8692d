"""Answers over time, read for drawing: buckets that hold something, and what stands beside them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from halfopen.radar.windows import DAY, HOUR, INTERVALS, WEEK, Interval, second_of

FINER: Final = (
    Interval("1s", 1, "ONE_SECOND"),
    Interval("10s", 10, "TEN_SECONDS"),
    Interval("1m", 60, "ONE_MINUTE"),
)
"""Intervals that the API does not know, for captures that are short."""

SECONDS: Final = {interval.name: interval.seconds for interval in (*FINER, *INTERVALS)}

_WORDS: Final = {1: "second", 60: "minute", HOUR: "hour", DAY: "day", WEEK: "week"}

_DOUBTS: Final = {
    3: "Take care: a sensor missed a part, or shares jump.",
    2: "Few connections: shares may be some points off.",
    1: "Hardly any connections: shares say little.",
}


@dataclass(frozen=True, slots=True)
class Series:
    """One series of an answer over time: where its buckets begin (s since the epoch), and their values by group."""

    name: str
    times: Sequence[int]
    groups: Mapping[str, Sequence[float]]

    def at(self, times: Collection[int]) -> Series:
        """The same without other buckets than these."""
        places = [place for place, time in enumerate(self.times) if time in times]
        groups = {group: [values[place] for place in places] for group, values in self.groups.items()}
        return Series(self.name, [self.times[place] for place in places], groups)

    def total(self, place: int) -> float:
        """What one bucket holds; nothing where nobody connected."""
        return sum(values[place] for values in self.groups.values())

    def runs(self, step: int) -> Iterator[tuple[int, int]]:
        """The buckets that hold something, each with the number of its run: of those that follow each other without a gap."""
        run, last = -1, None
        for place, time in enumerate(self.times):
            if self.total(place):
                run += last is None or time - last > step
                last = time
                yield place, run


def series_of(result: Mapping[str, Any]) -> list[Series]:
    """The series of an answer of ``timeseries_groups``, in their order, each as far as its window goes: answers have the bucket that
    begins with its end, too."""
    return list(_series(result))


def _series(result: Mapping[str, Any]) -> Iterator[Series]:
    ends = [second(window["endTime"]) for window in result["meta"]["dateRange"]]
    for (name, columns), end in zip(
        ((name, columns) for name, columns in result.items() if name != "meta"), ends, strict=True
    ):
        times = [second(text) for text in columns["timestamps"]]
        groups = {group: [*map(float, texts)] for group, texts in columns.items() if group != "timestamps"}
        yield Series(name, times, groups).at([time for time in times if time < end])


def second(text: str) -> int:
    """The time of an answer (s since the epoch)."""
    found = second_of(text)
    if found is None:
        raise ValueError(f"{text!r} is no time")
    return found


def step(result: Mapping[str, Any]) -> int:
    """The length of a bucket (s)."""
    return SECONDS[result["meta"]["aggInterval"]]


def spoken_step(seconds: int) -> str:
    """``hour``, ``15 minutes``."""
    if seconds in _WORDS:
        return _WORDS[seconds]
    unit = max(each for each in _WORDS if seconds % each == 0)
    return f"{seconds // unit} {_WORDS[unit]}s"


def spoken_time(time: int, step: int) -> str:
    """When a bucket begins, as exactly as its length asks for."""
    clock = "" if step >= DAY else " %H:%M:%S" if step < 60 else " %H:%M"
    return datetime.fromtimestamp(time, UTC).strftime(f"%a %-d %b %Y{clock}")


def doubt(result: Mapping[str, Any]) -> str:
    """What is to be said where the shares cannot be trusted well; else empty."""
    return _DOUBTS.get(result["meta"]["confidenceInfo"]["level"], "")


def percent(share: float) -> str:
    """A share (%), with two digits that count."""
    if share >= 99.95 or share == 0:
        return f"{share:.0f} %"
    return f"{share:.1f} %" if share >= 1 else f"{share:.2g} %"


def counted(count: float) -> str:
    """A count that may be a sum of fractions."""
    return f"{count:,.0f}"

"""Stretches of time that are asked for, and the buckets of a time series over them (A2, A4, A18)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import numpy as np

from halfopen.store.query import QUARTER

HOUR: Final = 3600
DAY: Final = 24 * HOUR
WEEK: Final = 7 * DAY

MOST_BUCKETS: Final = 3000
"""Buckets of one series; more is too fine an interval (A18)."""

MOST_DAYS: Final = 366
"""Longest absolute window."""


@dataclass(frozen=True, slots=True)
class Window:
    """start <= t < end (s since the epoch), both multiples of a quarter of an hour."""

    start: int
    end: int

    @property
    def duration(self) -> int:
        """How long it is (s)."""
        return self.end - self.start

    @property
    def control(self) -> Window:
        """The window of the same length before, shifted back by the duration rounded up to whole weeks."""
        back = -(-self.duration // WEEK) * WEEK
        return Window(self.start - back, self.end - back)


@dataclass(frozen=True, slots=True)
class Interval:
    """The length of a bucket (s), as requests and as answers name it."""

    token: str
    seconds: int
    name: str


INTERVALS: Final = (
    Interval("15m", QUARTER, "FIFTEEN_MINUTES"),
    Interval("1h", HOUR, "ONE_HOUR"),
    Interval("1d", DAY, "ONE_DAY"),
    Interval("1w", WEEK, "ONE_WEEK"),
)

_RANGE: Final = re.compile(r"([1-9][0-9]{0,2})([dw])(control)?")
_MOST_OF: Final = {"d": 364, "w": 52}
_TIME: Final = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})"
    r"(?:[T ]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:[.,][0-9]{1,9})?)?"
    # A "+" that was not escaped arrives as a space.
    r"(?:Z|([-+ ])([0-9]{2}):?([0-9]{2}))?)?"
)


def relative_window(text: str, now: int) -> Window | None:
    """The window of `7d`, `2w`, `7dcontrol`; it ends at `now` (s) floored to the hour. None: not such a text."""
    match = _RANGE.fullmatch(text.lower())
    if match is None or int(match[1]) > _MOST_OF[match[2]]:
        return None
    duration = int(match[1]) * (DAY if match[2] == "d" else WEEK)
    end = now - now % HOUR
    window = Window(end - duration, end)
    return window.control if match[3] else window


def time_of(text: str) -> int | None:
    """An ISO 8601 time in s, floored to 15 minutes. None: not such a text."""
    seconds = second_of(text)
    return None if seconds is None else seconds - seconds % QUARTER


def second_of(text: str) -> int | None:
    """An ISO 8601 time (UTC where no zone is given) in s. None: not such a text.

    A date alone is its midnight.
    """
    match = _TIME.fullmatch(text.strip().upper())
    if match is None:
        return None
    try:
        at = datetime(*(int(part or 0) for part in match.groups()[:6]), tzinfo=UTC)  # type: ignore[arg-type, misc]
    except ValueError:
        return None
    hours, minutes = int(match[8] or 0), int(match[9] or 0)
    if hours > 23 or minutes > 59:
        return None
    east = -1 if match[7] == "-" else 1
    return int(at.timestamp()) - east * (hours * HOUR + minutes * 60)


def default_interval(duration: int) -> Interval:
    """The interval where none is asked for, by the length of the window (s)."""
    if duration <= 2 * DAY:
        return INTERVALS[0]
    return INTERVALS[1] if duration <= 31 * DAY else INTERVALS[2]


def buckets(window: Window, interval: Interval) -> range:
    """Where the buckets begin (s): from the one that contains the start to the one that contains the end."""
    return range(_begin(window.start, interval), _begin(window.end, interval) + 1, interval.seconds)


def shown_buckets(window: Window, interval: Interval, closed: int) -> range:
    """`buckets`, less those that are not closed yet; days and weeks are shown as far as they have come."""
    every = buckets(window, interval)
    if interval.seconds >= DAY:
        return every
    return range(every.start, min(every.stop, closed - interval.seconds + 1), interval.seconds)


def stamp(seconds: int) -> str:
    """A time (s) as answers write it: ``2026-08-08T09:00:00Z``."""
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def stamps(times: Sequence[int]) -> list[str]:
    """Times (s) as `stamp` writes them, many of them at once."""
    texts: list[str] = np.datetime_as_string(np.array(times, "M8[s]"), timezone="UTC").tolist()
    return texts


def _begin(time: int, interval: Interval) -> int:
    # Weeks begin on Monday; the epoch was a Thursday.
    return time - (time + (3 * DAY if interval.seconds == WEEK else 0)) % interval.seconds

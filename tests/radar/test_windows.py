from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halfopen.radar.windows import (
    DAY,
    HOUR,
    INTERVALS,
    WEEK,
    Interval,
    Window,
    buckets,
    default_interval,
    relative_window,
    shown_buckets,
    stamp,
    time_of,
)
from tests.radar.memory import NOW, at

QUARTERS, HOURS, DAYS, WEEKS = INTERVALS
CLOSED = at("2026-08-15T08:15:00Z")


def window(text: str, now: int = NOW) -> Window:
    found = relative_window(text, now)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("text", "interval", "points"),
    [("7d", HOURS, 167), ("12w", DAYS, 85), ("52w", WEEKS, 53), ("12w", WEEKS, 13)],
)
def test_points_of_relative_windows_a18(text: str, interval: Interval, points: int) -> None:
    assert len(shown_buckets(window(text), interval, CLOSED)) == points


def test_the_end_is_inclusive_in_buckets_a5() -> None:
    asked = Window(at("2026-08-01T02:00:00Z"), at("2026-08-01T05:00:00Z"))
    shown = shown_buckets(asked, HOURS, CLOSED)
    assert [stamp(bucket)[11:13] for bucket in shown] == ["02", "03", "04", "05"]
    assert len(shown) == 4


def test_the_last_hour_of_the_sample_is_the_one_that_was_closed_a5() -> None:
    shown = shown_buckets(window("7d"), HOURS, CLOSED)
    assert (stamp(shown[0]), stamp(shown[-1])) == ("2026-08-08T09:00:00Z", "2026-08-15T07:00:00Z")


def test_an_unclosed_tail_is_left_out_at_15m_and_kept_at_1d_a18() -> None:
    day = window("1d")
    assert shown_buckets(day, QUARTERS, CLOSED)[-1] == CLOSED - 900
    assert shown_buckets(day, DAYS, CLOSED)[-1] == at("2026-08-15T00:00:00Z")
    assert not shown_buckets(day, QUARTERS, 0)


def test_weeks_begin_on_monday_a18() -> None:
    for bucket in buckets(window("52w"), WEEKS):
        assert datetime.fromtimestamp(bucket, UTC).weekday() == 0
        assert bucket % DAY == 0


@given(st.integers(0, 2**33), st.integers(1, 366 * 96), st.sampled_from(INTERVALS))
def test_first_and_last_bucket_contain_start_and_end(quarter: int, length: int, interval: Interval) -> None:
    start = quarter - quarter % 900
    asked = Window(start, start + length * 900)
    found = buckets(asked, interval)
    assert found[0] <= asked.start < found[0] + interval.seconds
    assert found[-1] <= asked.end < found[-1] + interval.seconds


def test_relative_windows_end_at_the_hour() -> None:
    assert window("7d") == Window(at("2026-08-08T09:00:00Z"), at("2026-08-15T09:00:00Z"))
    assert window("2w").duration == 2 * WEEK


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("7dcontrol", 14, 7),
        ("10dControl", 24, 14),
        ("1DCONTROL", 8, 7),
        ("1wcontrol", 14, 7),
        ("364dcontrol", 728, 364),
    ],
)
def test_control_windows_a4(text: str, start: int, end: int) -> None:
    now = at("2026-08-15T09:00:00Z")
    assert window(text) == Window(now - start * DAY, now - end * DAY)


@pytest.mark.parametrize(
    "text", ["", "0d", "365d", "53w", "07d", "7", "d", "7h", "7dcontrolx", "-7d", "\u0667d", "7d "]
)
def test_other_texts_are_no_range(text: str) -> None:
    assert relative_window(text, NOW) is None


@pytest.mark.parametrize(
    "text",
    [
        "2026-08-01T10:07:03.123456+00:00",
        "2026-08-01T10:07:03",
        "2026-08-01T10:07:03Z",
        "2026-08-01t10:07:03.119z",
        "2026-08-01 10:07",
        "2026-08-01T12:07:03+02:00",
        "2026-08-01T12:07:03 02:00",
        "2026-08-01T04:37:03-0530",
    ],
)
def test_times_are_floored_to_a_quarter_of_an_hour(text: str) -> None:
    time = time_of(text)
    assert time is not None
    assert stamp(time) == "2026-08-01T10:00:00Z"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "string",
        "2026-13-01T00:00:00Z",
        "2026-08-01T24:00:00Z",
        "2026-02-30",
        "2026-08-01T10:00:00+24:00",
        "1785542400",
    ],
)
def test_other_texts_are_no_time(text: str) -> None:
    assert time_of(text) is None


def test_a_date_is_its_midnight() -> None:
    assert time_of("2026-08-01") == at("2026-08-01T00:00:00Z")


@given(
    st.datetimes(
        datetime(1970, 1, 3),
        datetime(9998, 1, 1),
        timezones=st.integers(-1439, 1439).map(lambda m: timezone(timedelta(minutes=m))),
    )
)
def test_any_time_that_python_writes_is_read(time: datetime) -> None:
    found = time_of(time.isoformat())
    whole = int((time - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1))
    assert found == whole - whole % 900


def test_default_intervals_a2() -> None:
    ends = [
        (2 * DAY, QUARTERS),
        (2 * DAY + 900, HOURS),
        (31 * DAY, HOURS),
        (31 * DAY + 900, DAYS),
        (364 * DAY, DAYS),
    ]
    for duration, interval in ends:
        assert default_interval(duration) == interval
    assert default_interval(HOUR) == QUARTERS

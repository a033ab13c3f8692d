"""The ledger's files, and what is concluded from how far sensors have come."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from halfopen.errors import StoreError
from halfopen.store import ledger
from halfopen.store.ledger import (
    LATENESS,
    TOGETHER,
    Ledger,
    Sensor,
    heard,
    missed,
    overlapping,
    running_twice,
)
from halfopen.store.place import Place
from halfopen.store.query import Gap, Overlap

TIMES = st.integers(0, 40)


def sensor(name: str, incarnation: str, since: int, watermark: int, seen: int = 0) -> Sensor:
    return Sensor(name, incarnation, since, seen, watermark, added=0, rate=1.0, drops=0)


@st.composite
def lives(draw: st.DrawFn) -> list[Sensor]:
    """Incarnations of two sensors, and what time each has watched."""
    found = []
    for number in range(draw(st.integers(1, 6))):
        since, watermark = sorted((draw(TIMES), draw(TIMES)))
        found.append(sensor(draw(st.sampled_from(("lyon", "oslo"))), str(number), since, watermark))
    return found


def watching(sensors: Iterable[Sensor], name: str, time: int) -> int:
    return sum(each.name == name and each.since <= time < each.watermark for each in sensors)


def within(found: Iterable[Gap | Overlap], name: str) -> set[int]:
    return {time for each in found if each.sensor == name for time in range(each.start, each.end)}


@given(lives(), TIMES)
def test_missed_is_what_no_incarnation_has_watched(sensors: list[Sensor], closed: int) -> None:
    found = missed(sensors, 0, 100, closed)
    for name in {each.name for each in sensors}:
        mine = [each for each in sensors if each.name == name]
        begin = min(mine, key=lambda each: each.since).watermark
        end = max(closed, *(each.since for each in mine), 0)
        assert within(found, name) == {time for time in range(begin, end) if not watching(mine, name, time)}


@given(lives())
def test_an_overlap_is_what_several_have_watched(sensors: list[Sensor]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ledger, "TOGETHER", 0)
        found = overlapping(sensors)
    for name in ("lyon", "oslo"):
        assert within(found, name) == {time for time in range(50) if watching(sensors, name, time) > 1}


def test_a_clock_that_was_set_is_not_a_second_sensor() -> None:
    first = sensor("lyon", "one", 0, 1000)
    assert overlapping([first, sensor("lyon", "two", 1000 - TOGETHER, 2000)]) == []
    assert overlapping([first, sensor("lyon", "two", 999 - TOGETHER, 2000)]) == [
        Overlap("lyon", 999 - TOGETHER, 1000)
    ]


def test_a_watermark_of_a_clock_that_was_ahead_is_not_kept() -> None:
    """Else nothing that is missing would be told until that time has come."""
    now = 10_000
    ahead = replace(sensor("lyon", "one", 0, now + 3_000_000), sequence=7)

    def after(sequence: int, watermark: int, since: int | None = None) -> Sensor:
        return heard(ahead, "lyon", "one", now, watermark, since, None, 1.0, 0, 0, sequence, {})

    assert after(8, now - 5).watermark == now - 5
    assert after(8, now - 5, since=now - 100).gaps == ahead.gaps
    assert after(7, now - 5).watermark == ahead.watermark  # one that comes again
    assert after(8, now + 1).watermark == ahead.watermark
    assert missed([after(8, now - 5)], now, now + 900, now + 900) == [Gap("lyon", now - 5, now + 900)]


def test_who_was_not_heard_of_for_long_does_not_run_any_more() -> None:
    now = 10_000
    late = now - LATENESS
    one, two, three = (
        sensor("lyon", name, 0, 5000, seen)
        for name, seen in (("one", late + 1), ("two", now), ("three", late))
    )
    assert running_twice([one, two, three, sensor("oslo", "one", 0, 5000, now)], now) == {
        "lyon": ["one", "two"]
    }
    assert running_twice([one, three], now) == {}
    assert running_twice([one, two], now + 1) == {}


def other_columns() -> bytes:
    sink = io.BytesIO()
    pa.parquet.write_table(pa.table({"x": [1]}), sink)
    return sink.getvalue()


@pytest.mark.parametrize("name", ["files.parquet", "sensors.parquet"])
@pytest.mark.parametrize(
    "content", [b"", b"no Parquet at all", b"PAR1" + bytes(20) + b"PAR1", other_columns()]
)
def test_a_damaged_file_is_named_until_it_is_whole_again(tmp_path: Path, name: str, content: bytes) -> None:
    known = Ledger(Place(tmp_path))
    (tmp_path / name).write_bytes(content)
    for _ in range(2):
        with pytest.raises(StoreError, match=f"{name}: this file is damaged"):
            known.refresh()
    (tmp_path / name).unlink()
    known.refresh()

"""A21, level by level."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from halfopen.radar.confidence import level
from halfopen.radar.windows import HOUR, Window
from halfopen.store.query import Cell, Cells, Gap

START = 1_786_000_000 - 1_786_000_000 % HOUR
DAY = Window(START, START + 24 * HOUR)
USUAL = {"no_match": 800, "post_syn": 100, "post_ack": 60, "post_psh": 30, "later_in_flow": 10}


def cells(hours: Sequence[Mapping[str, int]], weight: float = 1.0) -> list[Cell]:
    """Rows by stage for each hour, each row of the same weight."""
    return [
        Cell(START + hour * HOUR, stage, rows, rows * weight, rows * weight * weight)
        for hour, stages in enumerate(hours)
        for stage, rows in sorted(stages.items())
    ]


def judged(hours: Sequence[Mapping[str, int]], *gaps: Gap, weight: float = 1.0) -> int:
    return level(Cells.of(cells(hours, weight)), HOUR, DAY, gaps)


def test_5_many_and_steady() -> None:
    assert judged([USUAL] * 24) == 5


def test_5_a_slope_is_no_fault() -> None:
    assert judged([{"no_match": 900 - 20 * hour, "post_syn": 100 + 20 * hour} for hour in range(24)]) == 5


def test_3_one_bucket_off_its_neighbours() -> None:
    hours = [USUAL] * 24
    hours[7] = USUAL | {"no_match": 600, "post_ack": 260}
    assert judged(hours) == 3


def test_a_bucket_of_few_connections_is_not_judged() -> None:
    assert judged([*[USUAL] * 12, {"post_syn": 99}, *[USUAL] * 11]) == 5
    assert judged([*[USUAL] * 12, {"post_syn": 100}, *[USUAL] * 11]) == 3


@pytest.mark.parametrize(("seconds", "found"), [(864, 5), (900, 3)])
def test_3_a_gap_of_more_than_one_percent_lowers_5(seconds: int, found: int) -> None:
    assert judged([USUAL] * 24, Gap("edge", START + HOUR, START + HOUR + seconds)) == found


def test_gaps_that_overlap_count_once_and_only_within_the_window() -> None:
    gaps = [
        Gap("a", START - HOUR, START + 800),
        Gap("b", START + 100, START + 700),
        Gap("c", DAY.end - 60, DAY.end + HOUR),
    ]
    assert judged([USUAL] * 24, *gaps) == 5
    assert judged([USUAL] * 24, *gaps, Gap("d", START + 5000, START + 5010)) == 3


def test_2_too_few_for_one_point_but_enough_for_five() -> None:
    assert judged([{"no_match": 500, "post_syn": 500}]) == 2


def test_2_is_not_lowered_by_a_gap() -> None:
    assert judged([{"no_match": 500, "post_syn": 500}], Gap("edge", *_whole())) == 2


def test_1_wider_than_five_points() -> None:
    assert judged([{"no_match": 150, "post_syn": 150}]) == 1


def test_1_fewer_than_100_connections_however_heavy() -> None:
    assert judged([{"no_match": 99}], weight=1000.0) == 1
    assert judged([]) == 1


def test_a_share_of_all_is_still_a_sample() -> None:
    assert judged([{"no_match": 100}]) == 2
    assert judged([{"no_match": 1000}]) == 5


def test_uneven_sampling_rates_widen_the_interval() -> None:
    even = cells([{"no_match": 15_000, "post_syn": 15_000}])
    heavy = [*even, Cell(START, "no_match", 30, 30_000.0, 30_000_000.0)]
    assert level(Cells.of(even), HOUR, DAY, ()) == 5
    assert level(Cells.of(heavy), HOUR, DAY, ()) == 1


def _whole() -> tuple[int, int]:
    return DAY.start, DAY.end

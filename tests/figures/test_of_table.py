"""A table of connections gives the answers that a dataset of the same connections gives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pytest

from halfopen import figures
from halfopen.errors import UsageError
from halfopen.figures import OfTable
from halfopen.figures.series import series_of
from halfopen.model import SECOND
from tests.figures.answered import of, seen
from tests.radar.memory import Memory, Seen, at

START = at("2026-08-14T00:00:00Z")


def table(connections: Sequence[Seen]) -> Any:
    """The columns of `halfopen.classify` that count, and the weight of those of a dataset."""
    return pa.table(
        {
            "start": pa.array([each.time * SECOND + 5 for each in connections], pa.timestamp("ns", "UTC")),
            "stage": pa.array([each.stage for each in connections], pa.string()).dictionary_encode(),
            "signature": pa.array([each.signature for each in connections], pa.string()).dictionary_encode(),
            "asn": pa.array([int(each.asn) if each.asn else None for each in connections], pa.uint32()),
            "location": pa.array([each.location or None for each in connections], pa.string()),
            "weight": pa.array([1 / each.rate for each in connections], pa.float64()),
        }
    )


@pytest.fixture(scope="module")
def connections() -> list[Seen]:
    found = [each for each in seen() if each.time >= START]
    return [
        Seen(
            each.time,
            each.stage,
            (1.0, 0.5, 0.3)[place % 3],
            each.signature,
            asn=each.asn,
            location=each.location,
        )
        for place, each in enumerate(found)
    ]


def test_shares_and_counts_over_time(connections: list[Seen]) -> None:
    window = ("dateStart", "2026-08-14T00:00:00Z"), ("dateEnd", "2026-08-15T09:00:00Z"), ("aggInterval", "1h")
    for mine, theirs in zip(
        OfTable(table(connections)).over_time("1h"), of(Memory(connections), *window).over_time(), strict=True
    ):
        assert mine["meta"]["aggInterval"] == theirs["meta"]["aggInterval"] == "ONE_HOUR"
        assert mine["meta"]["confidenceInfo"]["level"] == theirs["meta"]["confidenceInfo"]["level"]
        ours, others = mine["connections"], theirs["serie_0"]
        assert len(ours["timestamps"]) == 32
        assert {name: values[:32] for name, values in others.items()} == ours


def test_signatures(connections: list[Seen]) -> None:
    window = ("dateStart", "2026-08-14T00:00:00Z"), ("dateEnd", "2026-08-15T09:00:00Z")
    ours = OfTable(table(connections)).signatures()["connections"]
    assert ours == of(Memory(connections), *window).signatures()["summary_0"]


@pytest.mark.parametrize("by", ["asn", "location"])
def test_who_is_most_affected(connections: list[Seen], by: Any) -> None:
    window = ("dateStart", "2026-08-14T00:00:00Z"), ("dateEnd", "2026-08-15T09:00:00Z")
    ours, theirs = OfTable(table(connections)).affected(by), of(Memory(connections), *window).affected(by)
    counted = ("code", "connections", "sampled", "cut", "share", "low", "high")
    assert [[row[name] for name in counted] for row in ours] == [
        [row[name] for name in counted] for row in theirs
    ]
    assert len(ours) == 7
    assert OfTable(table(connections)).affected(by, 3) == ours[:3]


def test_names() -> None:
    one = OfTable(table([Seen(START)]), lambda asn: f"Network {asn}")
    assert [row["name"] for row in one.affected("asn")] == ["Network 64500"]
    assert [row["name"] for row in one.affected("location")] == ["Portugal"]


def test_connections_without_a_stage_do_not_count() -> None:
    three = OfTable(table([Seen(START, "post_syn"), Seen(START, "undecided"), Seen(START)]))
    _, counts = three.over_time()
    assert (
        sum(float(values[0]) for name, values in counts["connections"].items() if name != "timestamps") == 2
    )


@pytest.mark.parametrize(
    ("duration", "interval"),
    [
        (0, "ONE_SECOND"),
        (100, "ONE_SECOND"),
        (101, "TEN_SECONDS"),
        (3600, "ONE_MINUTE"),
        (86400, "FIFTEEN_MINUTES"),
        (3 * 86400, "ONE_HOUR"),
        (60 * 86400, "ONE_DAY"),
        (9999 * 86400, "ONE_WEEK"),
    ],
)
def test_steps_are_as_short_as_makes_sense(duration: int, interval: str) -> None:
    shares, counts = OfTable(table([Seen(START - duration, "post_syn"), Seen(START)])).over_time()
    assert shares["meta"]["aggInterval"] == interval
    (series,) = series_of(counts)
    assert (len(series.times) == 1) == (duration == 0)
    assert series.groups["post_syn"][0] == series.groups["no_match"][-1] == 1


def test_nothing_at_all_is_drawn_as_such() -> None:
    nothing = OfTable(table([]))
    charts = [
        figures.stages_over_time(*nothing.over_time()),
        figures.signatures(nothing.signatures()),
        figures.affected(nothing.affected("asn")),
        figures.world(nothing.affected("location")),
    ]
    assert all(chart.to_dict()["description"].startswith(("No", "Nothing")) for chart in charts)


@pytest.mark.parametrize(
    ("interval", "words"),
    [
        ("5m", "interval: '5m' cannot be used; accepted: one of 1s, 10s"),
        ("1s", "interval: 1s cannot be used; accepted: one that makes at most 3,000 buckets"),
    ],
)
def test_steps_that_cannot_be_used(interval: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        OfTable(table([Seen(START), Seen(START + 3000)])).over_time(interval)

"""Every answer against plain Python over the same connections, to the last digit."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from halfopen.errors import InvalidError, UsageError
from halfopen.radar.annotations import DATA_SOURCES, EVENT_TYPES, Annotation, sensor_annotation
from halfopen.radar.answers import cache_key
from halfopen.radar.parameters import question_of
from halfopen.radar.vocabulary import ENDPOINTS
from halfopen.store.query import Gap, Loss
from tests.radar.memory import NOW, STAGES, Memory, Seen, around, ask, at, crowd

WEEK = (at("2026-08-08T09:00:00Z"), at("2026-08-15T09:00:00Z"))
MANY = Memory(crowd(4000, WEEK[0] - 7 * 86400, WEEK[1]))
FEW = Memory(crowd(200, WEEK[0] - 86400, WEEK[1]))
WHOLE = Memory(crowd(3000, WEEK[0] - 7 * 86400, WEEK[1], rates=(1.0, 0.5, 0.125), seed=2))

Wanted = Callable[[Seen], bool]


def weights(
    of: Memory, keys: Sequence[str], key: Callable[[Seen], str], start: int, end: int, wanted: Wanted
) -> list[Fraction]:
    found = dict.fromkeys(keys, Fraction(0))
    for one in of.seen:
        if start <= one.time < end and wanted(one) and key(one) in found:
            found[key(one)] += 1 / Fraction(str(one.rate))
    return list(found.values())


def shares(parts: Sequence[Fraction]) -> list[str]:
    """Largest remainder by other means: from the exact shares, one millionth at a time."""
    total = sum(parts)
    if not total:
        return ["0"] * len(parts)
    exact = [part * 100_000_000 / total for part in parts]
    floors = [int(value) for value in exact]
    while sum(floors) < 100_000_000:
        worst = max(range(len(parts)), key=lambda index: exact[index] - floors[index])
        floors[worst] += 1
    return [decimal(value) for value in floors]


def decimal(millionths: int) -> str:
    text = f"{millionths / 1_000_000:.6f}".rstrip("0").rstrip(".")
    return text or "0"


def by_stage(of: Memory, start: int, end: int, wanted: Wanted = lambda one: True) -> dict[str, str]:
    return dict(
        zip(STAGES, shares(weights(of, STAGES, lambda one: one.stage, start, end, wanted)), strict=True)
    )


def result(path: str, *pairs: tuple[str, str], of: Memory, **more: Any) -> dict[str, Any]:
    found = ask(path, *pairs, of=of, **more).result
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("pairs", "wanted"),
    [
        ([], lambda one: True),
        ([("location", "us,-PT")], lambda one: one.location == "US"),
        ([("location", "-US")], lambda one: one.location != "US"),
        ([("asn", "64500, 64501"), ("ipVersion", "IPv6")], lambda one: one.asn in ("64500", "64501") and one.ip_version == "6"),
        ([("continent", "EU,NA"), ("serverPort", "-80")], lambda one: one.continent in ("EU", "NA") and one.server_port == "443"),
        ([("tag", "zmap,-idle")], lambda one: "zmap" in one.tags and "idle" not in one.tags),
        ([("sensor", "edge-1"), ("signature", "-none")], lambda one: one.sensor == "edge-1" and one.signature != "none"),
    ],
)  # fmt: skip
def test_summary(pairs: list[tuple[str, str]], wanted: Wanted) -> None:
    answer = result("summary", *pairs, of=MANY)
    assert answer["summary_0"] == by_stage(MANY, *WEEK, wanted)
    assert list(answer) == ["summary_0", "meta"]
    assert list(answer["summary_0"]) == STAGES_IN_JSON


STAGES_IN_JSON = ["no_match", "post_syn", "post_ack", "post_psh", "later_in_flow"]


SEEN = st.builds(
    Seen,
    st.integers(WEEK[1] - 2 * 86400, WEEK[1] + 3600),
    st.sampled_from(STAGES),
    st.sampled_from([1.0, 0.5, 0.3, 0.7, 0.01]),
)


@settings(max_examples=60)
@given(st.lists(SEEN, max_size=30))
def test_a_day_of_any_connections(seen: list[Seen]) -> None:
    dataset = Memory(seen, closed=WEEK[1])
    answer = result("summary", ("dateRange", "1d"), of=dataset)
    assert answer["summary_0"] == by_stage(dataset, WEEK[1] - 86400, WEEK[1])
    serie = result("timeseries_groups", ("dateRange", "1d"), of=dataset)["serie_0"]
    starts = range(WEEK[1] - 86400, WEEK[1], 900)
    inside = [one for one in seen if starts.start <= one.time < starts.stop]
    assert [at(text) for text in serie["timestamps"]] == (list(starts) if inside else [])
    for index, text in enumerate(serie["timestamps"]):
        assert {stage: serie[stage][index] for stage in STAGES} == by_stage(dataset, at(text), at(text) + 900)


def test_summary_by_stage_is_the_summary() -> None:
    assert result("summary/stage", of=MANY) == result("summary", of=MANY)


def test_meta_of_a_summary_a6() -> None:
    meta = result("summary", of=MANY)["meta"]
    assert list(meta) == ["dateRange", "confidenceInfo", "normalization", "lastUpdated", "units"]
    assert meta == {
        "dateRange": [{"startTime": "2026-08-08T09:00:00Z", "endTime": "2026-08-15T09:00:00Z"}],
        "confidenceInfo": {"annotations": [], "level": 2},
        "normalization": "PERCENTAGE",
        "lastUpdated": "2026-08-15T08:15:00Z",
        "units": [{"name": "*", "value": "connections"}],
    }


@pytest.mark.parametrize(
    ("token", "name", "seconds", "first"),
    [
        ("15m", "FIFTEEN_MINUTES", 900, "2026-08-08T09:00:00Z"),
        ("1h", "ONE_HOUR", 3600, "2026-08-08T09:00:00Z"),
        ("1d", "ONE_DAY", 86400, "2026-08-08T00:00:00Z"),
        ("1w", "ONE_WEEK", 604800, "2026-08-03T00:00:00Z"),
    ],
)
def test_time_series(token: str, name: str, seconds: int, first: str) -> None:
    answer = result("timeseries_groups", ("aggInterval", token), of=MANY)
    serie = answer["serie_0"]
    assert answer["meta"]["aggInterval"] == name
    assert list(serie) == ["timestamps", *STAGES_IN_JSON]
    assert serie["timestamps"][0] == first
    starts = [at(text) for text in serie["timestamps"]]
    assert starts == list(range(starts[0], starts[-1] + 1, seconds))
    for index, start in enumerate(starts):
        assert {stage: serie[stage][index] for stage in STAGES} == by_stage(MANY, start, start + seconds)
    closed = MANY.closed if seconds < 86400 else NOW
    assert starts[-1] <= closed < starts[-1] + 2 * seconds


def test_week_of_hours_has_167_points() -> None:
    answer = result("timeseries_groups", of=MANY)
    assert {len(values) for values in answer["serie_0"].values()} == {167}
    assert answer["meta"]["aggInterval"] == "ONE_HOUR"


def test_several_series_with_names_and_control() -> None:
    pairs = [
        ("name", "now"),
        ("name", "before"),
        ("dateRange", "7d"),
        ("dateRange", "7dcontrol"),
        ("location", "US"),
    ]
    answer = result("summary", *pairs, of=MANY)
    assert list(answer) == ["now", "before", "meta"]
    assert answer["now"] == by_stage(MANY, *WEEK, lambda one: one.location == "US")
    assert answer["before"] == by_stage(MANY, WEEK[0] - 7 * 86400, WEEK[0])
    assert answer["meta"]["dateRange"] == [
        {"startTime": "2026-08-08T09:00:00Z", "endTime": "2026-08-15T09:00:00Z"},
        {"startTime": "2026-08-01T09:00:00Z", "endTime": "2026-08-08T09:00:00Z"},
    ]


def test_raw_values_are_weighted_counts() -> None:
    answer = result("summary", ("normalization", "RAW_VALUES"), of=WHOLE)
    counted = weights(WHOLE, STAGES, lambda one: one.stage, *WEEK, lambda one: True)
    assert answer["summary_0"] == {stage: str(count) for stage, count in zip(STAGES, counted, strict=True)}
    assert answer["meta"]["normalization"] == "RAW_VALUES"


def test_other_dimensions_with_the_rest_in_other() -> None:
    answer = result("summary/location", ("limitPerGroup", "2"), of=MANY)
    keys = ["PT", "US", "other"]
    parts = weights(
        MANY, keys, lambda one: one.location if one.location in keys else "other", *WEEK, lambda one: True
    )
    assert answer["summary_0"] == dict(zip(keys, shares(parts), strict=True))
    assert list(answer["summary_0"]) == keys


def test_what_is_unknown_is_other() -> None:
    assert list(result("summary/asn", of=MANY)["summary_0"]) == ["64500", "64501", "64502", "other"]
    assert list(result("summary/asn", ("location", "US"), of=MANY)["summary_0"]) == ["64501"]


@pytest.mark.parametrize(
    "by", ["ip_version", "signature", "server_port", "sensor", "continent", "asn", "location"]
)
def test_time_series_of_other_dimensions(by: str) -> None:
    serie = result(f"timeseries_groups/{by}", ("aggInterval", "1d"), of=MANY)["serie_0"]
    whole = result(f"summary/{by}", of=MANY)["summary_0"]
    groups = list(serie)[1:]
    assert sorted(groups) == sorted(whole)

    def key(one: Seen) -> str:
        text = str(getattr(one, by)) or "other"
        return f"IPv{text}" if by == "ip_version" else text

    for index, text in enumerate(serie["timestamps"]):
        parts = weights(MANY, groups, key, at(text), at(text) + 86400, lambda one: True)
        assert [serie[group][index] for group in groups] == shares(parts)


def test_time_series_ask_for_no_more_groups_than_they_show() -> None:
    dataset = Memory(MANY.seen)
    answer = result("timeseries_groups/asn", ("limitPerGroup", "1"), of=dataset)
    assert list(answer["serie_0"]) == ["timestamps", "64500", "other"]
    assert dataset.asked[-1].asn.include == {64500}


def test_shares_of_tags_overlap_and_it_is_said() -> None:
    answer = result("summary/tag", of=WHOLE)
    assert answer["meta"]["normalization"] == "OVERLAPPED_PERCENTAGE"
    total = sum(1 / Fraction(str(one.rate)) for one in WHOLE.seen if WEEK[0] <= one.time < WEEK[1])
    for tag, value in answer["summary_0"].items():
        part = sum(
            1 / Fraction(str(one.rate))
            for one in WHOLE.seen
            if WEEK[0] <= one.time < WEEK[1] and tag in one.tags
        )
        assert value == decimal(int(part * 100_000_000 / total + Fraction(1, 2)))
    assert sum(float(value) for value in answer["summary_0"].values()) != pytest.approx(100)
    serie = result("timeseries_groups/tag", ("limitPerGroup", "2"), of=WHOLE)["serie_0"]
    assert len(serie) == 3


def test_top_by_share_and_by_count() -> None:
    answer = result("top/locations", ("limit", "2"), of=WHOLE)
    keys = ["PT", "US", "BR", ""]
    parts = weights(WHOLE, keys, lambda one: one.location, *WEEK, lambda one: True)
    assert answer["top_0"] == [
        {"clientCountryAlpha2": code, "clientCountryName": f"location {code}", "value": value}
        for code, value in zip(["PT", "US"], shares([*parts[:2], parts[2] + parts[3]]), strict=False)
    ]
    answer = result("top/ases", ("normalization", "RAW_VALUES"), of=WHOLE)
    keys = ["64500", "64501", "64502"]
    parts = weights(WHOLE, keys, lambda one: one.asn, *WEEK, lambda one: True)
    assert answer["top_0"] == [
        {"clientASN": int(asn), "clientASName": f"asn {asn}", "value": str(part)}
        for asn, part in zip(keys, parts, strict=True)
    ]


def test_nothing_counted_a7() -> None:
    empty = Memory(closed=0, updated=0)
    answer = result("summary", of=empty)
    assert answer["summary_0"] == dict.fromkeys(STAGES, "0")
    assert answer["meta"]["confidenceInfo"]["level"] == 1
    for token in ("15m", "1h", "1d", "1w"):
        answer = result("timeseries_groups", ("aggInterval", token), of=empty)
        assert answer["serie_0"] == {"timestamps": []} | {stage: [] for stage in STAGES}
    assert result("summary/asn", of=empty)["summary_0"] == {}
    assert result("timeseries_groups/asn", of=empty)["serie_0"] == {"timestamps": []}
    assert result("top/ases", of=empty)["top_0"] == []


def rows(path: str, *pairs: tuple[str, str], of: Memory) -> list[list[str]]:
    answer = ask(path, *pairs, ("format", "csv"), of=of)
    assert answer.result is None
    assert answer.csv is not None
    assert answer.csv.endswith("\r\n")
    return list(csv.reader(io.StringIO(answer.csv, newline="")))


def test_csv_of_a_summary_a10() -> None:
    found = result("summary", of=MANY)["summary_0"]
    assert rows("summary", of=MANY) == [
        [f"Summary_0 {stage}" for stage in STAGES],
        [found[stage] for stage in STAGES],
    ]


def test_csv_of_time_series_side_by_side_a10() -> None:
    pairs = [("name", "a,b"), ("name", ""), ("dateRange", "7d"), ("dateRange", "7dcontrol")]
    answer = result("timeseries_groups", *pairs, of=MANY)
    lines = rows("timeseries_groups", *pairs, of=MANY)
    columns = [(name, key) for name in ("a,b", "serie_1") for key in ("timestamps", *STAGES)]
    assert lines[0] == [f"{name.capitalize()} {key}" for name, key in columns]
    assert len(lines) == 1 + 169
    for index, (name, key) in enumerate(columns):
        values = answer[name][key]
        assert [line[index] for line in lines[1:]] == values + [""] * (169 - len(values))


def test_csv_of_top_lists_splits_words() -> None:
    assert rows("top/locations", of=MANY)[0] == [
        f"Top_0 {words}" for words in ("client Country Alpha2", "client Country Name", "value")
    ]
    assert rows("top/ases", of=Memory()) == [["Top_0 client ASN", "Top_0 client AS Name", "Top_0 value"]]


def test_a_fault_is_a_fault_in_csv_too() -> None:
    with pytest.raises(InvalidError, match='location: "xx" is not an ISO 3166-1 alpha-2 code'):
        ask("summary", ("format", "CSV"), ("location", "xx"), of=MANY)


OUTAGE = Annotation(
    "Cable cut", WEEK[0] + 3600, None, "ALL", "OUTAGE", locations=("PT",), linked_url="https://x.example/1"
)


def told(*pairs: tuple[str, str], of: Memory = MANY, annotation: Annotation = OUTAGE) -> list[dict[str, Any]]:
    found = result("summary", *pairs, of=of, told=[annotation])["meta"]["confidenceInfo"]["annotations"]
    assert isinstance(found, list)
    return found


def test_annotations_of_the_operator_a20() -> None:
    record = {
        "dataSource": "ALL",
        "description": "Cable cut",
        "startDate": "2026-08-08T10:00:00Z",
        "endDate": "2026-08-15T08:15:00Z",
        "eventType": "OUTAGE",
        "isInstantaneous": False,
        "linkedUrl": "https://x.example/1",
        "tags": [],
    }
    assert told() == told(("location", "PT,US")) == told(("location", "US"), ("location", "PT")) == [record]
    assert told(("location", "US")) == told(("location", "-PT")) == told(("dateRange", "7dcontrol")) == []
    assert told(("continent", "EU")) == told(("continent", "-NA"), ("location", "PT")) == [record]
    assert told(("continent", "NA")) == told(("continent", "-EU")) == []


def test_an_annotation_of_a_sensor_concerns_it_alone() -> None:
    moved = Annotation("Moved", WEEK[0], WEEK[0] + 3600, sensors=("captures",))
    assert len(told(annotation=moved)) == len(told(("sensor", "captures,s1"), annotation=moved)) == 1
    assert told(("sensor", "s1"), annotation=moved) == told(("sensor", "-captures"), annotation=moved) == []
    assert len(told(("sensor", "s1"), annotation=OUTAGE)) == 1


def test_an_instant_at_the_start_of_the_window_is_told() -> None:
    instant = Annotation("Deployed", WEEK[0], WEEK[0], is_instantaneous=True)
    assert told(annotation=instant)[0]["endDate"] == "2026-08-08T09:00:00Z"
    assert told(annotation=instant)[0]["linkedUrl"] == "https://radar.example/annotations"
    assert told(annotation=Annotation("Before", WEEK[0] - 60, WEEK[0])) == []


def test_every_word_of_annotations_is_accepted_and_no_other() -> None:
    assert (len(DATA_SOURCES), len(EVENT_TYPES)) == (25, 6)
    for source in DATA_SOURCES:
        for event in EVENT_TYPES:
            (record,) = told(of=Memory(), annotation=Annotation("x", WEEK[0], None, source, event))
            assert (record["dataSource"], record["eventType"]) == (source, event)
    with pytest.raises(UsageError, match="dataSource"):
        Annotation("x", 0, data_source="SELF")
    with pytest.raises(UsageError, match="eventType"):
        Annotation("x", 0, event_type="SELF")
    with pytest.raises(UsageError, match="endDate"):
        Annotation("x", 10, 9)


def test_gaps_of_sensors_annotate_themselves_and_lower_the_level() -> None:
    dataset = Memory(crowd(30_000, *WEEK), [Gap("edge-1", WEEK[0], WEEK[0] + 7200)])
    info = result("summary", of=dataset)["meta"]["confidenceInfo"]
    assert info["level"] == 3
    assert info["annotations"] == [
        {
            "dataSource": "CONNECTION_ANOMALY",
            "description": "Sensor edge-1 did not report.",
            "startDate": "2026-08-08T09:00:00Z",
            "endDate": "2026-08-08T11:00:00Z",
            "eventType": "PIPELINE",
            "isInstantaneous": False,
            "linkedUrl": "https://radar.example/annotations",
            "tags": ["edge-1"],
        }
    ]
    other = result("summary", ("sensor", "-edge-1"), of=dataset)["meta"]["confidenceInfo"]
    assert other == {"annotations": [], "level": 5}


def test_losses_of_sensors_do_too() -> None:
    loss = Loss("edge-1", WEEK[0], WEEK[0] + 7200, 20_000, 501, 1000, 0)
    info = result("summary", of=Memory(crowd(30_000, *WEEK), lossy=[loss]))["meta"]["confidenceInfo"]
    assert info["level"] == 3
    (told,) = info["annotations"]
    assert told["description"] == "Sensor edge-1 lost 501 of 20,000 packets (2.5%)."
    assert (told["startDate"], told["endDate"], told["eventType"]) == (
        "2026-08-08T09:00:00Z", "2026-08-08T11:00:00Z", "PIPELINE",
    )  # fmt: skip
    other = result("summary", ("sensor", "-edge-1"), of=Memory(crowd(30_000, *WEEK), lossy=[loss]))
    assert other["meta"]["confidenceInfo"] == {"annotations": [], "level": 5}
    uncounted = sensor_annotation(Loss("edge-1", 0, 900, 0, 12, 10, 1)).description
    assert uncounted == "Sensor edge-1 lost 12 packets and 1 of 10 connections (10.0%)."


def test_the_level_is_that_of_the_weakest_series() -> None:
    dataset = Memory(crowd(30_000, *WEEK))
    assert result("summary", of=dataset)["meta"]["confidenceInfo"]["level"] == 5
    pairs = [("dateRange", "7d"), ("dateRange", "7dcontrol")]
    assert result("summary", *pairs, of=dataset)["meta"]["confidenceInfo"]["level"] == 1


def key(
    *pairs: tuple[str, str], of: Memory = MANY, now: int = NOW, annotations: Sequence[Annotation] = ()
) -> str:
    question = question_of(ENDPOINTS["summary"], pairs, now)
    return cache_key(question, of.state(), around(*annotations))


def test_cache_keys_are_of_what_is_asked_and_of_the_state_a23() -> None:
    assert key() == key(("dateRange", "1w"), ("format", "json"), ("unknown", "x")) == key(now=NOW + 60)
    assert key(("location", "US, pt")) == key(("location", "PT,US"))
    same = Memory(closed=MANY.closed, version="2")
    others = [
        key(now=NOW + 3600), key(of=same), key(annotations=[OUTAGE]), key(("format", "CSV")), key(("name", "a")), key(("asn", "1")),
    ]  # fmt: skip
    assert len({key(), *others}) == 1 + len(others)


@pytest.mark.parametrize("path", sorted(ENDPOINTS))
@pytest.mark.parametrize("normalization", ["PERCENTAGE", "RAW_VALUES"])
def test_every_endpoint_answers_in_both_formats(path: str, normalization: str) -> None:
    pairs = [
        ("normalization", normalization),
        ("asn", "-64501"),
        ("name", "a"),
        ("name", "b"),
        ("aggInterval", "1d"),
    ]
    answer = result(path, *pairs, of=FEW)
    assert json.loads(json.dumps(answer)) == answer
    assert list(answer) == ["a", "b", "meta"]
    lines = rows(path, *pairs, of=FEW)
    assert len({len(line) for line in lines}) == 1
    cells = {cell for line in lines[1:] for cell in line}
    assert cells >= set(numbers(answer["a"])) | set(numbers(answer["b"]))


def numbers(series: Any) -> Iterator[str]:
    """All values of a series, whatever its form."""
    if isinstance(series, str):
        yield series
    else:
        for part in series.values() if isinstance(series, dict) else series:
            yield from numbers(part if not isinstance(part, int) else str(part))

"""Every number of an answer equals what plain Python counts in the lines of `classify`."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from tests.dataset import reference
from tests.dataset.conftest import BEGIN, Installation
from tests.dataset.reference import DAY, HOUR, STAGES, Test, everything

FILTERS: list[tuple[str, str, Test]] = [
    ("asn", "64496", lambda row: row.asn == 64496),
    ("asn", "-64496, 64498", lambda row: row.asn == 64498),
    ("asn", "-64496,-64505", lambda row: row.asn not in (64496, 64505)),
    ("location", "us,DE", lambda row: row.location in ("US", "DE")),
    ("location", "-US,-PE", lambda row: row.location not in ("US", "PE")),
    ("continent", "EU,NA", lambda row: row.continent in ("EU", "NA")),
    ("continent", "-EU", lambda row: row.continent != "EU"),
    ("ipVersion", "IPv6", lambda row: row.ip_version == 6),
    ("ipVersion", "-IPv6", lambda row: row.ip_version == 4),
    ("serverPort", "80,8443", lambda row: row.server_port in (80, 8443)),
    ("serverPort", "-443", lambda row: row.server_port != 443),
    ("signature", "ack_timeout,psh_rst", lambda row: row.signature in ("ack_timeout", "psh_rst")),
    ("signature", "-none", lambda row: row.signature != "none"),
    ("tag", "zmap,reset", lambda row: bool(row.tags & {"zmap", "reset"})),
    ("tag", "-timeout", lambda row: "timeout" not in row.tags),
    ("sensor", "edge", lambda row: row.sensor == "edge"),
    ("sensor", "-edge,-matrix", lambda row: row.sensor == "captures"),
    ("location", "JP", lambda row: False),
]


def iso(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def window_of(result: dict[str, Any]) -> tuple[int, int]:
    (window,) = result["meta"]["dateRange"]
    start, end = (int(datetime.fromisoformat(window[key]).timestamp()) for key in ("startTime", "endTime"))
    return start, end


def absolute(start: int, end: int) -> tuple[tuple[str, str], tuple[str, str]]:
    return ("dateStart", iso(start)), ("dateEnd", iso(end))


def test_the_week_without_parameters(installation: Installation) -> None:
    result = installation.get("summary")
    start, end = window_of(result)
    assert end - start == 7 * DAY
    assert end % HOUR == 0
    assert result["summary_0"] == reference.summary(installation.connections, everything, start, end)
    assert sum(map(Decimal, result["summary_0"].values())) == 100


@pytest.mark.parametrize(("name", "value", "test"), FILTERS)
def test_filters(installation: Installation, name: str, value: str, test: Test) -> None:
    rows = installation.connections
    live = installation.get("summary", (name, value))
    assert live["summary_0"] == reference.summary(rows, test, *window_of(live))
    past = (BEGIN - BEGIN % 900, BEGIN - BEGIN % 900 + 10 * DAY)
    assert installation.get("summary", (name, value), *absolute(*past))["summary_0"] == reference.summary(
        rows, test, *past
    )
    daily = installation.get("timeseries_groups", (name, value), ("aggInterval", "1d"), *absolute(*past))
    assert daily["serie_0"] == reference.series(rows, test, *past, "1d", past[1] + DAY)


@pytest.mark.parametrize("token", ["15m", "1h", "1d", "1w"])
@pytest.mark.parametrize("shift", [0, 4 * HOUR + 17 * 60 + 3])
def test_buckets(installation: Installation, token: str, shift: int) -> None:
    begin, until = BEGIN + shift, BEGIN + shift + 9 * DAY
    start, end = (at - at % 900 for at in (begin, until))
    result = installation.get("timeseries_groups", ("aggInterval", token), *absolute(begin, until))
    assert window_of(result) == (start, end)
    expected = reference.series(installation.connections, everything, start, end, token, end + DAY)
    assert result["serie_0"] == expected
    for shares in zip(*(result["serie_0"][stage] for stage in STAGES), strict=True):
        assert sum(map(Decimal, shares)) in (0, 100)


@pytest.mark.parametrize(
    ("span", "token"), [("1d", ""), ("2d", "15m"), ("7d", ""), ("7d", "1d"), ("12w", ""), ("52w", "1w")]
)
def test_what_is_not_over_yet_is_left_out(installation: Installation, span: str, token: str) -> None:
    closed = installation.closed()
    asked = [("dateRange", span), *([("aggInterval", token)] if token else [])]
    result = installation.get("timeseries_groups", *asked)
    default = {"1d": "15m", "7d": "1h", "12w": "1d"}
    expected = reference.series(
        installation.connections, everything, *window_of(result), token or default[span], closed
    )
    assert result["serie_0"] == expected


def test_filters_together_and_several_series(installation: Installation) -> None:
    rows = installation.connections
    result = installation.get(
        "summary",
        ("name", "one"), ("name", ""), ("name", "three"),
        ("location", "DE,US"), ("location", ""), ("location", "-DE"),
        ("serverPort", "443"), ("serverPort", "80"),
        ("tag", ""), ("tag", "-answered"),
    )  # fmt: skip
    assert list(result) == ["one", "summary_1", "three", "meta"]
    spans = result["meta"]["dateRange"]
    assert len(spans) == 3
    window = window_of({"meta": {"dateRange": spans[:1]}})
    tests: dict[str, Test] = {
        "one": lambda row: row.location in ("DE", "US") and row.server_port == 443,
        "summary_1": lambda row: row.server_port == 80 and "answered" not in row.tags,
        "three": lambda row: row.location != "DE",
    }
    for name, test in tests.items():
        assert result[name] == reference.summary(rows, test, *window)


def test_counts_in_the_place_of_shares(installation: Installation) -> None:
    result = installation.get("summary", ("normalization", "RAW_VALUES"))
    counts = reference.counted(installation.connections, everything, *window_of(result))
    assert result["summary_0"] == dict(zip(STAGES, map(reference.raw_value, counts), strict=True))
    assert result["meta"]["normalization"] == "RAW_VALUES"


@pytest.mark.parametrize("dimension", ["signature", "tag", "continent", "ip_version", "sensor", "location"])
def test_other_dimensions_count_alike(installation: Installation, dimension: str) -> None:
    result = installation.get(
        f"summary/{dimension}", ("normalization", "RAW_VALUES"), ("limitPerGroup", "100")
    )
    start, end = window_of(result)
    expected: dict[str, int] = {}
    for row in installation.connections:
        if start <= row.start < end:
            value = getattr(row, "tags" if dimension == "tag" else dimension)
            if dimension == "ip_version":
                value = f"IPv{value}"
            for key in value if dimension == "tag" else [value or "other"]:
                expected[key] = expected.get(key, 0) + 1
    assert result["summary_0"] == {key: str(count) for key, count in expected.items()}


@pytest.mark.parametrize(("path", "dimension"), [("ases", "asn"), ("locations", "location")])
def test_what_is_affected_most(installation: Installation, path: str, dimension: str) -> None:
    result = installation.get(f"affected/{path}", ("limit", "200"), *absolute(BEGIN, BEGIN + 7 * DAY))
    start, end = window_of(result)
    rows = [row for row in installation.connections if start <= row.start < end]
    stages: dict[Any, dict[str, int]] = {}
    for row in rows:
        if code := getattr(row, dimension):
            stages.setdefault(code, dict.fromkeys(STAGES, 0))[row.stage] += 1
    assert {
        row["code"]: {name: int(count) for name, count in row["stages"].items()} for row in result["affected"]
    } == stages
    lows = [Decimal(row["low"]) for row in result["affected"]]
    assert lows == sorted(lows, reverse=True)
    assert max(lows) > 0
    for row in result["affected"]:
        cut = sum(stages[row["code"]].values()) - stages[row["code"]]["no_match"]
        assert (int(row["cut"]), int(row["connections"])) == (cut, sum(stages[row["code"]].values()))
        assert abs(100 * cut / int(row["connections"]) - float(row["share"])) < 1e-6


@pytest.mark.parametrize(("span", "level"), [(("dateRange", "7d"), 2), (("location", "JP"), 1)])
def test_how_far_the_shares_can_be_trusted(
    installation: Installation, span: tuple[str, str], level: int
) -> None:
    assert installation.get("summary", span)["meta"]["confidenceInfo"]["level"] == level

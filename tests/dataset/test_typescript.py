"""The official TypeScript SDK against the running server: what it puts on the wire, and what it reads."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import pytest

from halfopen.accounts import Accounts
from tests.conftest import Require
from tests.dataset import reference
from tests.dataset.conftest import BEGIN, Installation
from tests.dataset.reference import DAY, STAGES, Test, everything
from tests.typescript.node import told_by

START = BEGIN - BEGIN % 900
END = START + 3 * DAY
WINDOW = {
    "start": f"{datetime.fromtimestamp(START + 123, UTC):%Y-%m-%dT%H:%M:%S}.25Z",
    "end": f"{datetime.fromtimestamp(END + 7200, UTC):%Y-%m-%dT%H:%M:%S}+02:00",
}
"""Times that the SDK hands on letter by letter: with a fraction, and of another zone."""

SERIES: dict[str, Test] = {
    "main series": lambda row: row.asn == 64496 and row.continent in ("EU", "NA"),
    "1": lambda row: row.location == "MX",
    "c": lambda row: row.continent != "EU",
}


@pytest.fixture(scope="module")
def token(installation: Installation) -> str:
    """One of its own: requests of each are counted."""
    with closing(Accounts.open(installation.data)) as accounts:
        return accounts.create_token(["radar:read"])[0]


def test_every_parameter(installation: Installation, token: str, require: Require) -> None:
    told = told_by("answers.mjs", installation.api, token, require, WINDOW)
    rows = installation.connections
    query = told["summary"]["url"].partition("?")[2]
    start, end = (WINDOW[name].replace(":", "%3A").replace("+", "%2B") for name in ("start", "end"))
    assert query == (
        f"name=main%20series&name=&name=c&dateStart={start}&dateEnd={end}&asn=-64500%2C%2064496&location="
        "&location=mx%2C-DE&continent=EU%2CNA&continent=&continent=-EU&format=JSON"
    )
    assert list(told["summary"]["answer"]) == ["main series", "summary_1", "c", "meta"]
    assert list(told["series"]["answer"]) == ["main series", "serie_1", "c", "meta"]
    for name, test in SERIES.items():
        summary, series = (
            told[kind]["answer"][f"{prefix}{name}" if name.isdigit() else name]
            for kind, prefix in (("summary", "summary_"), ("series", "serie_"))
        )
        assert any(reference.counted(rows, test, START, END))
        assert summary == reference.summary(rows, test, START, END)
        assert series == reference.series(rows, test, START, END, "1d", END + DAY)


def test_the_other_ways_to_ask(installation: Installation, token: str, require: Require) -> None:
    told = told_by("answers.mjs", installation.api, token, require, WINDOW)
    assert told["plain"]["answer"]["summary_0"] == installation.get("summary")["summary_0"]
    assert told["plain_series"]["answer"]["meta"]["aggInterval"] == "ONE_HOUR"
    assert told["control"]["url"].endswith("?dateRange=7d&dateRange=7dcontrol")
    assert list(told["control"]["answer"]) == ["summary_0", "summary_1", "meta"]
    more = installation.get("summary", ("sensor", "edge"), ("tag", "-timeout"))
    assert told["more"]["answer"]["summary_0"] == more["summary_0"]
    answer = told["signatures"]["answer"]["result"]
    assert answer["summary_0"] == installation.get("summary/signature", ("limitPerGroup", "3"))["summary_0"]


def test_csv(installation: Installation, token: str, require: Require) -> None:
    told = told_by("csv.mjs", installation.api, token, require, WINDOW)
    rows, span = installation.connections, (START, END)
    assert told["types"] == ["text/csv; charset=utf-8"] * 2
    tests: dict[str, Test] = {"germany": lambda row: row.location == "DE", "all": everything}
    series = {name: reference.series(rows, test, *span, "1d", END + DAY) for name, test in tests.items()}
    assert told["texts"] == [
        reference.csv({"summary_0": reference.summary(rows, everything, *span)}),
        reference.csv(series),
    ]


def test_siblings(installation: Installation, token: str, require: Require) -> None:
    told: dict[str, Any] = told_by("siblings.mjs", installation.api, token, require)
    assert told["token"]["status"] == "active"
    assert told["accounts"][0] == "Halfopen"  # other tests may make further ones
    # Both captures that were moved to the last hour say so.
    assert len(told["annotations"]) == 2
    assert {each["dataSource"] for each in told["annotations"]} == {"CONNECTION_ANOMALY"}
    assert [each["name"] for each in told["locations"]] == ["Germany", "Portugal"]
    assert (told["location"]["name"], told["location"]["confidenceLevel"]) == ("Germany", 2)
    networks = Counter(row.asn for row in installation.connections if row.asn and row.stage in STAGES)
    assert [each["asn"] for each in told["networks"]] == [networks.most_common(1)[0][0]]
    assert told["network"]["asn"] == 64496
    assert told["found"][0] == {"code": "DE", "name": "Germany", "type": "location"}

"""What stands out: since when, of whom, at which stage; asked of an API that is made up."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import msgspec

from halfopen.dashboard.asked import Asked
from halfopen.dashboard.asking import Asking, Query, Told
from halfopen.dashboard.standing_out import standing_out
from halfopen.model import STAGES
from halfopen.radar.windows import stamp

NOW = 1_780_000_200
BUCKETS = range(NOW - NOW % 900 - 86_400, NOW - NOW % 900 + 1, 900)
"""Those of a day, and the one that begins with its end."""


def network(code: int, points: float, low: float) -> dict[str, Any]:
    change = {"points": str(points), "low": str(low), "high": str(points + 1), "beyondChance": low > 0}
    return {"code": code, "name": f"Network {code}", "location": "DE", "change": change}


class Api:
    """Of network 64497 all connections are cut from bucket 50 on, after the handshake; of others always a tenth."""

    def __init__(self) -> None:
        self.asked: list[dict[str, str]] = []

    async def get(self, path: str, query: Query) -> Told:
        assert path == "/radar/tcp_resets_timeouts/timeseries_groups"
        self.asked.append(dict(query))
        cut = [
            90 if dict(query).get("asn") == "64497" and place >= 50 else 10 for place in range(len(BUCKETS))
        ]
        cut[-1] = 100  # belongs to the next window
        series = {stage.name: ["0"] * len(BUCKETS) for stage in STAGES}
        series["post_ack"] = [str(each) for each in cut]
        series["no_match"] = [str(100 - each) for each in cut]
        meta = {"dateRange": [{"startTime": stamp(BUCKETS[0]), "endTime": stamp(BUCKETS[-1])}]}
        result = {"serie_0": {"timestamps": [*map(stamp, BUCKETS)], **series}, "meta": meta}
        return Told(200, msgspec.json.encode({"result": result}))


def found(rows: list[dict[str, Any]], **state: str) -> tuple[list[Any], Api]:
    api = Api()
    asked = Asked.of({"dateRange": "1d", **state}, NOW)
    return asyncio.run(standing_out(asked, rows, cast(Asking, api))), api


def test_a_network_that_is_cut_off_since_then() -> None:
    rises, api = found([network(64497, 50, 40), network(64500, 2, 1.5), network(64501, 30, -2)])
    (rise,) = rises
    assert rise.row is not None
    assert rise.row["code"] == 64497
    assert (rise.since, rise.stage) == (stamp(BUCKETS[50]), "post_ack")
    assert (rise.before, rise.after, rise.connections) == (10.0, 90.0, 100 * (96 - 50))
    assert [each.get("asn") for each in api.asked] == ["64497", "64500"], (
        "a change that may be chance is not looked at"
    )
    assert {each["aggInterval"] for each in api.asked} == {"15m"}


def test_nothing_stands_out() -> None:
    rises, api = found([network(64500, 2, 1.5)], location="DE", asn="64500")
    assert rises == []
    assert api.asked[-1]["asn"] == "64500", "all connections of the view"
    assert all(each["location"] == "DE" for each in api.asked)

"""What is affected most: numbers as plain Python makes them of the same connections, in an order that nothing small upsets."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from math import isclose, sqrt
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from halfopen.api.routes import Call
from halfopen.radar.affected import affected_routes
from halfopen.radar.routes import PATH
from halfopen.store.query import Gap, Result, Snapshot
from tests.radar.memory import NOW, Memory, Seen, around, at, crowd
from tests.radar.test_routes import ANYBODY

DAY = 86400
WEEK = 7 * DAY
END = NOW - NOW % 3600
CUT = ("post_syn", "post_ack", "post_psh", "later_in_flow")
Z = 1.959963984540054


class Still:
    def __init__(self, memory: Memory) -> None:
        self.memory = memory

    def still(self, do: Callable[[Snapshot], Result]) -> Result:
        return do(self.memory)


def asked(memory: Memory, path: str = "ases", **query: str) -> Any:
    routes = {each.path: each for each in affected_routes(Still(memory), lambda _: around(), lambda: NOW)}
    route = routes[f"{PATH}/affected/{path}"]
    call = Call(
        ANYBODY, {}, {name: (value,) for name, value in query.items()}, {}, b"", "1", "http://127.0.0.1"
    )
    if rejected := list(route.check(call)):
        return rejected
    answer = route.handler(call)
    return (
        answer.body.decode() if "csv" in answer.content_type else msgspec.json.decode(answer.body)["result"]
    )


def counted(seen: list[Seen], cut: tuple[str, ...] = CUT) -> dict[str, float]:
    """What one group amounts to: Wilson's interval for Kish's number of draws, written out."""
    weights = [1 / one.rate for one in seen]
    part = sum(1 / one.rate for one in seen if one.stage in cut)
    total = sum(weights)
    size = total**2 / sum(weight**2 for weight in weights)
    share = part / total
    middle = (share + Z * Z / (2 * size)) / (1 + Z * Z / size)
    half = Z / (1 + Z * Z / size) * sqrt(share * (1 - share) / size + Z * Z / (4 * size**2))
    return {
        "connections": total,
        "sampled": len(seen),
        "cut": part,
        "share": 100 * share,
        "low": 100 * max(middle - half, 0),
        "high": 100 * min(middle + half, 1),
    }


def same(told: dict[str, Any], expected: dict[str, float]) -> bool:
    return all(
        isclose(float(told[name]), value, abs_tol=2e-6, rel_tol=1e-9) for name, value in expected.items()
    )


def of(memory: Memory, start: int, end: int, asn: str) -> list[Seen]:
    return [one for one in memory.seen if start <= one.time < end and one.asn == asn]


@pytest.mark.parametrize("stage", ["", "post_syn, POST_ACK"])
def test_numbers_are_those_of_plain_python(stage: str) -> None:
    memory = Memory([*crowd(3000, END - DAY, END), *crowd(2000, END - 8 * DAY, END - WEEK, seed=2)])
    cut = ("post_syn", "post_ack") if stage else CUT
    rows = asked(memory, dateRange="1d", stage=stage)["affected"]
    assert {row["code"] for row in rows} == {64500, 64501, 64502}
    for row in rows:
        asn = str(row["code"])
        now, before = (counted(of(memory, end - DAY, end, asn), cut) for end in (END, END - WEEK))
        assert same(row, now)
        assert same(row["before"], before)
        for name in (*CUT, "no_match"):
            weight = sum(1 / one.rate for one in of(memory, END - DAY, END, asn) if one.stage == name)
            assert isclose(float(row["stages"][name]), weight, abs_tol=2e-6)
        points = now["share"] - before["share"]
        low = points - sqrt((now["share"] - now["low"]) ** 2 + (before["high"] - before["share"]) ** 2)
        high = points + sqrt((now["high"] - now["share"]) ** 2 + (before["share"] - before["low"]) ** 2)
        assert same(row["change"], {"points": points, "low": low, "high": high})
        assert row["change"]["beyondChance"] == (low > 0 or high < 0)
        assert (row["name"], row["location"]) == (f"asn {asn}", f"of {asn}")


GROUP = st.tuples(st.integers(0, 30), st.integers(0, 30), st.sampled_from([1.0, 0.5, 0.3])).filter(
    lambda group: any(group[:2])
)


@given(st.lists(GROUP, min_size=1, max_size=12), st.integers(1, 15))
def test_the_order_is_that_of_what_is_cut_at_least(groups: list[tuple[int, int, float]], limit: int) -> None:
    seen = [
        Seen(END - 3600, stage, rate, asn=str(64500 + number))
        for number, (cut, well, rate) in enumerate(groups)
        for stage, count in (("post_ack", cut), ("no_match", well))
        for _ in range(count)
    ]
    rows = asked(Memory(seen), limit=str(limit))["affected"]
    lows = [float(row["low"]) for row in rows]
    assert len(rows) == min(limit, len(groups))
    assert lows == sorted(lows, reverse=True)
    expected = sorted(
        (counted([one for one in seen if one.asn == str(64500 + n)])["low"] for n in range(len(groups))),
        reverse=True,
    )
    assert all(isclose(low, each, abs_tol=2e-6) for low, each in zip(lows, expected, strict=False))
    for row in rows:
        assert 0 <= float(row["low"]) <= float(row["share"]) + 1e-6
        assert float(row["share"]) <= float(row["high"]) + 1e-6 <= 100 + 1e-6
        assert row["before"] is row["change"] is None


def test_three_of_three_do_not_stand_before_nine_hundred_of_a_thousand() -> None:
    few = [Seen(END - 60, "post_syn", asn="1")] * 3
    many = [Seen(END - 60, stage, asn="2") for stage in ["post_syn"] * 900 + ["no_match"] * 100]
    unknown = [Seen(END - 60, "post_syn", asn="", location="")] * 5000
    assert [row["code"] for row in asked(Memory([*few, *many, *unknown]))["affected"]] == [2, 1]


def test_a_change_is_told_from_chance() -> None:
    def seen(asn: str, end: int, cut: int, of: int) -> list[Seen]:
        return [Seen(end - 60, "post_psh" if number < cut else "no_match", asn=asn) for number in range(of)]

    memory = Memory([
        *seen("1", END, 300, 1000), *seen("1", END - WEEK, 200, 1000),
        *seen("2", END, 30, 100), *seen("2", END - WEEK, 25, 100),
        *seen("3", END, 200, 1000), *seen("3", END - WEEK, 300, 1000),
    ])  # fmt: skip
    found = {row["code"]: row["change"] for row in asked(memory)["affected"]}
    assert {code: (change["points"], change["beyondChance"]) for code, change in found.items()} == {
        1: ("10", True),
        2: ("5", False),
        3: ("-10", True),
    }


def test_an_absolute_window_and_a_control_have_windows_before_them_too() -> None:
    meta = asked(Memory(), dateStart="2026-08-01T00:00:00Z", dateEnd="2026-08-11T00:00:00Z")["meta"]
    assert meta["before"] == {"startTime": "2026-07-18T00:00:00Z", "endTime": "2026-07-28T00:00:00Z"}
    meta = asked(Memory(), dateRange="7dcontrol")["meta"]
    assert meta["dateRange"] == [{"startTime": "2026-08-01T09:00:00Z", "endTime": "2026-08-08T09:00:00Z"}]
    assert meta["before"] == {"startTime": "2026-07-25T09:00:00Z", "endTime": "2026-08-01T09:00:00Z"}


def test_meta_is_that_of_the_neighbours() -> None:
    memory = Memory(crowd(3000, END - DAY, END), [Gap("edge-0", END - DAY, END)])
    meta = asked(memory, dateRange="1d")["meta"]
    assert meta["confidenceInfo"]["level"] == 2
    assert [each["dataSource"] for each in meta["confidenceInfo"]["annotations"]] == ["CONNECTION_ANOMALY"]
    assert (meta["lastUpdated"], meta["normalization"]) == ("2026-08-15T08:15:00Z", "PERCENTAGE")
    assert meta["units"] == [{"name": "*", "value": "connections"}]


def test_filters_are_those_of_every_answer() -> None:
    memory = Memory(crowd(1000, END - DAY, END))
    found = asked(memory, "locations", location="-US", sensor="edge-1", dateRange="1d")["affected"]
    assert sorted(row["code"] for row in found) == ["BR", "PT"]
    assert all("location" not in row and row["name"] == f"location {row['code']}" for row in found)
    total = sum(
        1 / one.rate for one in memory.seen if one.location in ("BR", "PT") and one.sensor == "edge-1"
    )
    assert isclose(sum(float(row["connections"]) for row in found), total)


def test_csv_has_a_line_for_each_row() -> None:
    memory = Memory(
        [Seen(END - 60, "post_ack"), Seen(END - 60), Seen(END - 60 - WEEK), Seen(END - 60, asn="7")]
    )
    first, second = csv.DictReader(io.StringIO(asked(memory, format="csv", dateRange="1d")))
    assert first["Affected code"] == "64500"
    assert (first["Affected share"], first["Affected post_ack"]) == ("50", "1")
    assert (first["Affected before Share"], first["Affected change Points"]) == ("0", "50")
    assert first["Affected change Beyond Chance"] == "false"
    assert (second["Affected code"], second["Affected before Share"]) == ("7", "")
    assert asked(Memory(), format="CSV").startswith(
        "Affected code,Affected name,Affected location,Affected connections,"
    )


def test_what_cannot_be_used_is_told_with_what_is_accepted() -> None:
    found = asked(Memory(), stage="post_syn,no_match", location="XX", dateRange="1y")
    assert {(each.name, each.value) for each in found} == {
        ("stage", "no_match"),
        ("location", "XX"),
        ("dateRange", "1y"),
    }


def test_an_answer_is_kept_until_anything_is_another() -> None:
    memory = Memory(crowd(100, END - DAY, END))
    (route, _) = affected_routes(Still(memory), lambda _: around(), lambda: NOW)

    def ask(**query: str) -> int:
        before = len(memory.asked)
        route.handler(Call(ANYBODY, {}, {name: (value,) for name, value in query.items()}, {}, b"", "1", ""))
        return len(memory.asked) - before

    assert ask()
    assert not ask()
    assert ask(limit="3")
    assert ask(stage="post_syn")
    assert ask(format="csv")
    assert ask(dateRange="2d")
    assert not ask(limit="3", stage=" POST_SYN,post_ack,post_psh,later_in_flow")
    memory.version = "2"
    assert ask()


def test_the_time_of_the_control_window_is_counted_from_its_own_begin() -> None:
    start = at("2026-08-03T00:00:00Z")
    memory = Memory([Seen(start), Seen(start - WEEK, "post_syn"), Seen(start - WEEK - 1), Seen(start + DAY)])
    (row,) = asked(memory, dateStart="2026-08-03T00:00:00Z", dateEnd="2026-08-04T00:00:00Z")["affected"]
    assert (row["connections"], row["before"]["connections"], row["before"]["cut"]) == ("1", "1", "1")

"""What figures draw is what the answers say: numbers, gaps, annotations, doubts, words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import altair
import pytest

from halfopen import figures
from halfopen.connections.rules import SIGNATURES
from halfopen.figures.series import percent, spoken_step
from halfopen.figures.stages import COLOURS, WORDS
from halfopen.model import STAGES, Stage
from halfopen.radar.annotations import Annotation
from tests.figures.answered import DATASET, RELEASE, SILENT, layers, of, rows
from tests.radar.memory import Memory, Seen, at

HOUR = 3600

Charts = Mapping[str, altair.TopLevelMixin]


@pytest.fixture(scope="module")
def drawn(charts: Charts) -> dict[str, dict[str, Any]]:
    """The specification of each figure; Altair holds it against the schema of Vega-Lite."""
    return {name: chart.to_dict() for name, chart in charts.items()}


def test_every_figure_is_as_wide_as_its_place_and_says_what_it_is(drawn: dict[str, dict[str, Any]]) -> None:
    for name, spec in drawn.items():
        assert spec["width"] == "container", name
        assert spec["height"] > 100, name
        assert spec["description"], name


def test_stages_are_the_answers_numbers_stacked(drawn: dict[str, dict[str, Any]]) -> None:
    shares, counts = of().over_time()
    spec = drawn["stages"]
    area, below = layers(spec, "area")
    found = {(row["time"], row["stage"]): row["high"] - row["low"] for row in rows(spec, area)}
    connections = {row["time"]: row["count"] for row in rows(spec, below)}
    series = shares["serie_0"]
    numbers = counts["serie_0"]
    empty = 0
    for place, stamp in enumerate(series["timestamps"]):
        time = at(stamp) * 1000
        total = sum(float(numbers[stage.name][place]) for stage in STAGES)
        if not total:
            empty += 1
            continue
        assert connections[time] == total
        for stage in STAGES:
            assert found[time, WORDS[stage]] == pytest.approx(float(series[stage.name][place]))
    assert 0 < empty < 60


def test_buckets_without_connections_are_gaps(drawn: dict[str, dict[str, Any]]) -> None:
    spec = drawn["stages"]
    for layer in layers(spec, "area"):
        drawn_rows = rows(spec, layer)
        assert not [row for row in drawn_rows if SILENT[0] * 1000 < row["time"] < SILENT[1] * 1000]
        before = {row["run"] for row in drawn_rows if row["time"] <= SILENT[0] * 1000}
        assert not before & {row["run"] for row in drawn_rows if row["time"] >= SILENT[1] * 1000}
        # The last step before the gap is as long as any other.
        assert [row for row in drawn_rows if row["time"] == SILENT[0] * 1000]
    (words,) = (row for row in rows(spec, hovered(spec)) if row["time"] == SILENT[0] * 1000)
    assert (words["connections"], words["after the SYN"]) == ("none", "")
    assert words["note"] == "Sensor web-1 did not report."


def hovered(spec: dict[str, Any]) -> Any:
    """The layer with all buckets."""
    return next(layer for layer in layers(spec, "rect") if "fillOpacity" in layer["encoding"])


def test_who_cannot_see_it_is_told_how_many_were_cut(drawn: dict[str, dict[str, Any]]) -> None:
    _, counts = of().over_time()
    (end,) = (at(window["endTime"]) for window in counts["meta"]["dateRange"])
    inside = sum(at(stamp) < end for stamp in counts["serie_0"]["timestamps"])
    numbers = {stage: sum(map(float, counts["serie_0"][stage.name][:inside])) for stage in STAGES}
    whole = sum(numbers.values())
    share = 100 * (whole - numbers[Stage.no_match]) / whole
    assert drawn["stages"]["description"].startswith(
        f"{share:.1f} % of {whole:,.0f} connections were cut, from "
    )


def test_annotations_lie_on_the_axis_of_time(drawn: dict[str, dict[str, Any]]) -> None:
    spec = drawn["stages"]
    spans = [row for layer in layers(spec, "rect") for row in rows(spec, layer) if "from" in row]
    assert {(row["time"], row["until"], row["note"]) for row in spans} == {
        (SILENT[0] * 1000, SILENT[1] * 1000, "Sensor web-1 did not report.")
    }
    (rule,) = layers(spec, "rule")
    (instant,) = rows(spec, rule)
    assert (instant["time"], instant["note"]) == (RELEASE.start * 1000, RELEASE.description)


@pytest.mark.parametrize(("begin", "drawn_as"), [("2026-08-14T00:00:00Z", 1), ("2020-01-01T00:00:00Z", 0)])
def test_annotations_end_where_the_figure_does_and_what_holds_for_all_of_it_is_not_drawn(
    begin: str, drawn_as: int
) -> None:
    long = Annotation("Since then.", at(begin))
    spec = figures.stages_over_time(*of(DATASET, ("dateRange", "2d"), told=[long]).over_time()).to_dict()
    buckets = rows(spec, hovered(spec))
    spans = {
        (row["time"], row["until"])
        for layer in layers(spec, "rect")
        for row in rows(spec, layer)
        if row.get("note") == long.description and "from" in row
    }
    assert spans == {(at(begin) * 1000, buckets[-1]["until"])} if drawn_as else not spans
    assert long.description in buckets[-1]["note"]


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (20, "Hardly any connections: shares say little."),
        (400, "Few connections: shares may be some points off."),
    ],
)
def test_few_connections_are_told(count: int, words: str) -> None:
    start = at("2026-08-14T00:00:00Z")
    few = Memory(
        [
            Seen(start + place, "post_syn" if place % 4 else "no_match", signature="syn_rst")
            for place in range(count)
        ]
    )
    whole = of(few)
    for chart in (figures.stages_over_time(*whole.over_time()), figures.signatures(whole.signatures())):
        assert chart.to_dict()["title"]["subtitle"][-1] == words


def test_a_steady_sensor_raises_no_doubt() -> None:
    start = at("2026-08-14T10:00:00Z")
    many = Memory([Seen(start + place, "post_syn" if place % 10 else "no_match") for place in range(20_000)])
    spec = figures.stages_over_time(*of(many, ("dateRange", "1d")).over_time()).to_dict()
    assert spec["title"]["subtitle"] == ["Shares by stage per 15 minutes, UTC"]


def test_shares_and_counts_may_differ_by_a_bucket() -> None:
    shares, counts = of().over_time()
    longer = {name: [*values, values[-1]] for name, values in counts["serie_0"].items()}
    longer["timestamps"][-1] = "2026-08-15T23:00:00Z"
    one = figures.stages_over_time(shares, counts | {"serie_0": longer}).to_dict()
    assert one["datasets"] == figures.stages_over_time(shares, counts).to_dict()["datasets"]


def test_comparison_stands_by_the_place_in_the_window(drawn: dict[str, dict[str, Any]]) -> None:
    result = of(DATASET, ("dateRange", "3d")).both()
    now, before = result["serie_0"], result["before"]
    spec = drawn["comparison"]
    shift = (at(now["timestamps"][0]) - at(before["timestamps"][0])) * 1000
    inside = sum(at(stamp) < at(result["meta"]["dateRange"][0]["endTime"]) for stamp in now["timestamps"])
    assert shift == 7 * 24 * HOUR * 1000
    lines = list(layers(spec, "line"))
    assert len(lines) == 4
    for stage, area, line in zip(STAGES, layers(spec, "area"), lines, strict=False):
        for series, layer, moved in ((now, area, 0), (before, line, shift)):
            found = {row["time"]: row["share"] for row in rows(spec, layer)}
            for stamp, share in list(zip(series["timestamps"], series[stage.name], strict=True))[:inside]:
                if (time := at(stamp) * 1000 + moved) in found:
                    assert found[time] == pytest.approx(float(share))
    first = rows(spec, hovered(spec))[0]
    assert (first["title"], first["before"]) == ("Wed 12 Aug 2026 09:00 UTC", "Wed 5 Aug 2026 09:00 UTC")


def test_a_time_before_without_connections_is_no_fault() -> None:
    late = Memory([Seen(at("2026-08-14T00:00:00Z") + place, "post_syn") for place in range(500)])
    spec = figures.comparison(of(late, ("dateRange", "2d")).both()).to_dict()
    assert {row["after the SYN"] for row in rows(spec, hovered(spec))} == {"- (before -)", "100 % (before -)"}


def test_signatures_have_their_words_and_the_rest_is_told(drawn: dict[str, dict[str, Any]]) -> None:
    told = {name: float(share) for name, share in of().signatures()["summary_0"].items()}
    spec = drawn["signatures"]
    found = rows(spec, spec)
    assert [row["share"] for row in found] == sorted((row["share"] for row in found), reverse=True)
    assert {row["id"]: row["share"] for row in found} == {
        name: told[name] for name in told if name != "none" and told[name]
    }
    words = {signature.id: signature.words for signature in SIGNATURES}
    assert all(row["words"] == words[row["id"]] for row in found)
    assert spec["title"]["subtitle"][0] == f"{percent(told['none'])} of connections show none of these"


def test_who_is_surely_affected_most_stands_above(drawn: dict[str, dict[str, Any]]) -> None:
    answer = of().affected("asn")
    spec = drawn["affected"]
    found = rows(spec, spec)
    assert [row["title"] for row in found] == [row["name"] for row in answer]
    assert [(row["share"], row["low"], row["high"]) for row in found] == [
        tuple(float(row[name]) for name in ("share", "low", "high")) for row in answer
    ]


def affected_row(code: object, **numbers: float) -> dict[str, Any]:
    return {
        "code": code,
        "name": "",
        "connections": 100,
        "cut": 50,
        "share": 50.0,
        "low": 40.4,
        "high": 59.6,
    } | numbers


def test_one_connection_that_was_cut_does_not_make_the_axis() -> None:
    one = affected_row(64501, connections=1, cut=1, share=100.0, low=20.7, high=100.0)
    spec = figures.affected([one, affected_row(64500)]).to_dict()
    assert [(row["title"], row["opacity"]) for row in rows(spec, spec)] == [("AS64500", 1), ("AS64501", 0.35)]
    (rule,) = layers(spec, "rule")
    assert rule["encoding"]["x"]["scale"]["domain"] == [0, 59.6]


def test_countries_are_outlines_or_dots(drawn: dict[str, dict[str, Any]]) -> None:
    spec = drawn["world"]
    (dots,) = layers(spec, "circle")
    assert {row["code"] for row in rows(spec, dots)} == {"SG", "MT"}
    *_, filled = layers(spec, "geoshape")
    found = {row["code"] for row in spec["datasets"][filled["transform"][0]["from"]["data"]["name"]]}
    assert found == {"PT", "US", "BR", "DE", "SG", "MT", "XK"}
    singapore = next(row for row in rows(spec, dots) if row["code"] == "SG")
    assert (round(singapore["latitude"]), round(singapore["longitude"])) == (1, 104)


def test_codes_that_no_country_has_are_left_out() -> None:
    spec = figures.world([affected_row("ZZ"), affected_row("DE")]).to_dict()
    assert spec["description"].startswith("Map of 1 countries")
    assert (
        figures.world([affected_row("ZZ")]).to_dict()["description"]
        == "Nothing is known of where connections came from."
    )


def test_nothing_to_show_is_said_in_words() -> None:
    nothing = of(Memory())
    words = [
        figures.stages_over_time(*nothing.over_time()).to_dict()["description"],
        figures.comparison(nothing.both()).to_dict()["description"],
        figures.signatures(nothing.signatures()).to_dict()["description"],
        figures.affected([]).to_dict()["description"],
    ]
    assert words == [
        "No connections in this time.",
        "No connections in either time.",
        "No connection was cut in a way that has a name.",
        "Nothing is known of where connections came from.",
    ]


def test_light_and_dark_differ_in_colours_alone(charts: Charts) -> None:
    for name, chart in charts.items():
        light, dark = figures.themed(chart, dark=False), figures.themed(chart, dark=True)
        assert light.keys() == dark.keys() >= {"config", "usermeta"}, name
        assert [key for key in light if light[key] != dark[key]] == ["config", "usermeta"], name
        assert light["config"]["background"] == dark["config"]["background"] == "transparent"
        assert (light["usermeta"]["dark"], dark["usermeta"]["dark"]) == (False, True)


def test_every_stage_has_a_colour_of_its_own() -> None:
    assert list(WORDS) == list(COLOURS) == list(STAGES)
    assert len(set(COLOURS.values())) == len(STAGES)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (1, "second"),
        (10, "10 seconds"),
        (60, "minute"),
        (900, "15 minutes"),
        (3600, "hour"),
        (86400, "day"),
        (604800, "week"),
    ],
)
def test_steps_in_words(seconds: int, words: str) -> None:
    assert spoken_step(seconds) == words


@pytest.mark.parametrize(
    ("share", "words"),
    [(0, "0 %"), (0.012, "0.012 %"), (0.5, "0.5 %"), (4.567, "4.6 %"), (99.94, "99.9 %"), (100, "100 %")],
)
def test_shares_in_words(share: float, words: str) -> None:
    assert percent(share) == words

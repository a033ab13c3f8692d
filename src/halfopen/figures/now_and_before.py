"""The stages of cut connections now against before: a strip for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import altair as alt

from halfopen.figures.blank import blank
from halfopen.figures.inline import inline
from halfopen.figures.series import Series, doubt, percent, second, series_of, spoken_step, spoken_time, step
from halfopen.figures.stages import COLOURS, CUT, WORDS
from halfopen.figures.strips import MILLI, Strip, hover, stepped, time_axis
from halfopen.figures.theme import RULE, TEXT, finished
from halfopen.model import STAGES, Stage

_STRIP: Final = 64
_BETWEEN: Final = 30
_LEAST: Final = 1.0
"""Share (%) at the upper end of a strip, at least: less would make hills of nothing."""


def comparison(shares: Mapping[str, Any]) -> alt.TopLevelMixin:
    """The share of each stage of cut connections, now as an area and before as a line.

    `shares` is a result of ``timeseries_groups`` as PERCENTAGE with two series: now, and the window before that it is held
    against. Their buckets stand above each other by their place in the window, whatever their time.
    """
    now, before = series_of(shares)
    seconds = step(shares)
    height = len(CUT) * (_STRIP + _BETWEEN)
    if not now.times and not before.times:
        return blank("No connections in either time.", height)
    begins = [second(window["startTime"]) for window in shares["meta"]["dateRange"]]
    shift = [*now.times, begins[0]][0] - [*before.times, begins[1]][0]
    moved = Series(before.name, [time + shift for time in before.times], before.groups)
    times = sorted({*now.times, *moved.times})
    x = time_axis(times[-1] - times[0])
    layers: list[alt.Chart] = []
    for place, stage in enumerate(CUT):
        layers += _strip(now, moved, stage, place * (_STRIP + _BETWEEN), seconds, x)
    rows = _rows(times, now, moved, shift, seconds)
    fields = ["title", *(WORDS[stage] for stage in STAGES), "before"]
    figure = alt.layer(*layers, hover(rows, fields, x, height)).resolve_scale(y="independent")
    return finished(
        figure, height, "Now and before", [f"Shares per {spoken_step(seconds)}, UTC; colour: now, line: before", doubt(shares)],
        f"Shares of cut connections by stage from {spoken_time(begins[0], seconds)}, beside those from "
        f"{spoken_time(begins[1], seconds)} UTC.",
    )  # fmt: skip


def _strip(
    now: Series, before: Series, stage: Stage, above: int, seconds: int, x: alt.X
) -> Sequence[alt.Chart]:
    top = max([*now.groups[stage.name], *before.groups[stage.name], _LEAST])
    strip = Strip(above + _BETWEEN, above + _BETWEEN + _STRIP, top)
    y = strip.y("share", "format(datum.value, datum.value < 10 ? '.2~g' : '.0f') + ' %'")
    words = alt.Chart(inline([{"words": WORDS[stage]}]))
    area, line = (alt.Chart(inline(_steps(series, stage, seconds))) for series in (now, before))
    marks = [
        (now, area.mark_area(interpolate="step-after", color=COLOURS[stage])),
        (before, line.mark_line(interpolate="step-after", style=RULE, opacity=0.75)),
    ]
    # One without rows would have no extent on the axis.
    return [
        *(mark.encode(x=x, y=y, detail="run:N") for series, mark in marks if series.times),
        words.mark_text(style=TEXT, align="left", baseline="bottom").encode(
            x=alt.value(0), y=alt.value(strip.above - 5), text="words:N"
        ),
    ]


def _steps(series: Series, stage: Stage, seconds: int) -> list[dict[str, Any]]:
    rows = (
        {"time": series.times[place], "share": series.groups[stage.name][place], "run": str(run)}
        for place, run in series.runs(seconds)
    )
    return stepped(rows, seconds)


def _rows(
    times: Sequence[int], now: Series, before: Series, shift: int, seconds: int
) -> list[dict[str, Any]]:
    """The words of each bucket: shares now and before, and when that was."""
    places = [{time: place for place, time in enumerate(series.times)} for series in (now, before)]
    rows = []
    for time in times:
        row: dict[str, Any] = {
            "time": time * MILLI,
            "until": (time + seconds) * MILLI,
            "title": f"{spoken_time(time, seconds)} UTC",
            "before": f"{spoken_time(time - shift, seconds)} UTC",
        }
        for stage in STAGES:
            shares = [
                _spoken(series, at.get(time), stage) for at, series in zip(places, (now, before), strict=True)
            ]
            row[WORDS[stage]] = f"{shares[0]} (before {shares[1]})"
        rows.append(row)
    return rows


def _spoken(series: Series, place: int | None, stage: Stage) -> str:
    return "-" if place is None or not series.total(place) else percent(series.groups[stage.name][place])

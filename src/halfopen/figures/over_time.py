"""Shares of the five stages over time, and how many connections they are of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import altair as alt

from halfopen.figures.annotations import Told, told, told_layers
from halfopen.figures.blank import blank
from halfopen.figures.inline import inline
from halfopen.figures.series import (
    Series,
    counted,
    doubt,
    percent,
    series_of,
    spoken_step,
    spoken_time,
    step,
)
from halfopen.figures.stages import COLOURS, CUT, WORDS
from halfopen.figures.strips import MILLI, Strip, hover, stepped, time_axis
from halfopen.figures.theme import QUIET, finished
from halfopen.model import STAGES, Stage

_HEIGHT: Final = 336
_SHARES: Final = (0, 240)
_COUNTS: Final = (278, _HEIGHT)

_TOPS: Final = (1, 2, 5, 10, 20, 30, 40, 50)
"""Where the axis of shares (%) ends if cut connections need no more; else it shows all."""


def stages_over_time(shares: Mapping[str, Any], counts: Mapping[str, Any]) -> alt.TopLevelMixin:
    """Shares by stage, with connections below them, on one axis of time.

    Both are results of ``timeseries_groups`` for one question with one series: `shares` as PERCENTAGE, `counts` as RAW_VALUES.
    Buckets without connections are gaps.
    """
    (share,), (count,) = series_of(shares), series_of(counts)
    # Asked for one after the other they may differ by the bucket that was closed in between.
    both = set(share.times) & set(count.times)
    share, count = share.at(both), count.at(both)
    whole = sum(map(count.total, range(len(count.times))))
    if not whole:
        return blank("No connections in this time.", _HEIGHT)
    seconds = step(shares)
    start, end = share.times[0], share.times[-1] + seconds
    x = time_axis(end - start)
    happened = told(shares, start, end)
    cut = whole - sum(count.groups[Stage.no_match.name])
    headline = f"{percent(100 * cut / whole)} of {counted(whole)} connections were cut"
    layers = alt.layer(
        _areas(share, seconds, x),
        *_counts(count, seconds, x),
        hover(_bucket_rows(share, count, seconds, happened), _fields(happened), x, _HEIGHT),
        # What holds for all of it says nothing of when.
        *told_layers(
            [each for each in happened if (each.start, each.end) != (start, end)],
            x,
            (_SHARES[1] + 4, _SHARES[1] + 10),
            _HEIGHT,
        ),
    ).resolve_scale(y="independent")
    return finished(
        layers, _HEIGHT, "When connections were cut", [f"Shares by stage per {spoken_step(seconds)}, UTC", doubt(shares)],
        f"{headline}, from {spoken_time(start, seconds)} to {spoken_time(end, seconds)} UTC.",
    )  # fmt: skip


def _areas(share: Series, seconds: int, x: alt.X) -> alt.Chart:
    rows = []
    for place, run in share.runs(seconds):
        above = 0.0
        for stage in STAGES:
            below, above = above, above + share.groups[stage.name][place]
            rows.append(
                {
                    "time": share.times[place], "stage": WORDS[stage], "low": below, "high": above,
                    "run": f"{stage.name} {run}",
                }
            )  # fmt: skip
    areas: alt.Chart = (
        alt.Chart(inline(stepped(rows, seconds)))
        .mark_area(interpolate="step-after")
        .encode(
            x=x,
            y=Strip(*_SHARES, _top(share)).y("low", "datum.label + ' %'"),
            y2="high:Q",
            detail="run:N",
            color=alt.Color(
                "stage:N",
                title=None,
                scale=alt.Scale(domain=[*WORDS.values()], range=[*COLOURS.values()]),
                legend=alt.Legend(orient="top", columns=alt.ExprRef("width < 480 ? 2 : 5")),
            ),
        )
    )
    return areas


def _top(share: Series) -> float:
    most = max(map(sum, zip(*(share.groups[stage.name] for stage in CUT), strict=True)))
    return next((top for top in _TOPS if most * 1.1 <= top), 100)


def _counts(count: Series, seconds: int, x: alt.X) -> list[alt.Chart]:
    most = max(map(count.total, range(len(count.times))))
    rows = [
        {"time": count.times[place], "count": count.total(place), "run": str(run)}
        for place, run in count.runs(seconds)
    ]
    words = alt.Chart(inline([{"words": f"connections per {spoken_step(seconds)}"}]))
    return [
        alt.Chart(inline(stepped(rows, seconds)))
        .mark_area(interpolate="step-after", style=QUIET, opacity=0.6)
        .encode(
            x=x,
            y=Strip(*_COUNTS, most).y("count", "format(datum.value, '~s')"),
            detail="run:N",
        ),
        words.mark_text(style=QUIET, align="left", baseline="bottom").encode(
            x=alt.value(0), y=alt.value(_COUNTS[0] - 4), text="words:N"
        ),
    ]


def _bucket_rows(
    share: Series, count: Series, seconds: int, happened: Sequence[Told]
) -> list[dict[str, Any]]:
    rows = []
    for place, time in enumerate(share.times):
        total = count.total(place)
        row: dict[str, Any] = {
            "time": time * MILLI,
            "until": (time + seconds) * MILLI,
            "title": f"{spoken_time(time, seconds)} UTC",
            "connections": counted(total) if total else "none",
            "note": "; ".join(each.words for each in happened if each.touches(time, time + seconds)) or "-",
        }
        for stage in STAGES:
            words = f"{percent(share.groups[stage.name][place])} ({counted(count.groups[stage.name][place])})"
            row[WORDS[stage]] = words if total else ""
        rows.append(row)
    return rows


def _fields(happened: Sequence[Told]) -> list[str]:
    return ["title", "connections", *WORDS.values(), *(["note"] if happened else [])]

"""Who is most affected: the shares of networks or countries with their intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import altair as alt

from halfopen.figures.blank import blank
from halfopen.figures.rows import is_wide
from halfopen.figures.series import counted, percent
from halfopen.figures.theme import CUT_COLOUR, QUIET, TEXT

_ROW: Final = 38
"""Height of a row (px): words, with the dot below them."""


def affected(rows: Sequence[Mapping[str, Any]]) -> alt.TopLevelMixin:
    """The share of cut connections of each network or country, with its 95 % interval.

    Rows have ``code``, ``name``, ``connections`` and ``cut`` (counts), ``share``, ``low`` and ``high`` (%). Above stands whose
    share is surely high, the largest ``low`` first; those with a wide interval come last, paler.
    """
    shown = sorted((row for row in rows if row["connections"]), key=lambda row: (is_wide(row), -row["low"]))
    if not shown:
        return blank("Nothing is known of where connections came from.", 120)
    data = [
        {
            **{field: row[field] for field in ("code", "share", "low", "high")},
            "row": place,
            "opacity": 0.4 if is_wide(row) else 1,
            "name": row["name"] or str(row["code"]),
            "told": f"{percent(row['share'])} of {counted(row['connections'])}",
            "cut": f"{counted(row['cut'])} of {counted(row['connections'])} connections",
            "interval": f"{percent(row['low'])} to {percent(row['high'])}",
        }
        for place, row in enumerate(shown)
    ]
    words = [alt.Tooltip(f"{field}:N") for field in ("name", "code", "cut", "told", "interval")]
    base = alt.Chart(alt.InlineData(data)).encode(y=alt.Y("row:O", axis=None), tooltip=words)
    most = max([row["high"] for row in shown if not is_wide(row)], default=100)
    scale = alt.Scale(domain=[0, most], nice=True, clamp=True)
    axis = alt.Axis(
        title=None, labelExpr="datum.label + ' %'", tickCount=alt.ExprRef("max(3, width / 140)"), ticks=False,
        domain=False, orient="bottom",
    )  # fmt: skip
    text = base.mark_text(style=TEXT, dy=-10)
    return alt.layer(
        base.mark_rule(style=QUIET, strokeWidth=3, strokeCap="round", yOffset=7).encode(
            x=alt.X("low:Q", scale=scale, axis=axis),
            x2="high:Q",
            opacity=alt.Opacity("opacity:Q", scale=None),
        ),
        base.mark_point(color=CUT_COLOUR, filled=True, size=90, yOffset=7).encode(
            x=alt.X("share:Q", scale=scale), opacity=alt.Opacity("opacity:Q", scale=None)
        ),
        text.mark_text(style=TEXT, align="left", dy=-9, limit=alt.ExprRef("width - 120")).encode(
            x=alt.value(0), text="name:N"
        ),
        text.mark_text(style=QUIET, align="right", dy=-9).encode(
            x=alt.value(alt.ExprRef("width")), text="told:N"
        ),
    ).properties(
        width="container",
        height=_ROW * len(data),
        title=alt.TitleParams(
            "Most affected", subtitle=["Share of connections that were cut, with 95 % interval"]
        ),
        description=f"Shares of cut connections of {len(data)}; most affected: {data[0]['name']}, {data[0]['told']}.",
    )

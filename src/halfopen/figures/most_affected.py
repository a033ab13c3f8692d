"""Who is most affected: the shares of networks or countries with their intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import altair as alt

from halfopen.figures.blank import blank
from halfopen.figures.inline import inline
from halfopen.figures.rows import WORDS, rows_of
from halfopen.figures.theme import CUT_COLOUR, QUIET, TEXT, finished

_ROW: Final = 38
"""Height of a row (px): words, with the dot below them."""


def affected(rows: Sequence[Mapping[str, Any]]) -> alt.TopLevelMixin:
    """The share of cut connections of each network or country, with its 95 % interval.

    Rows are those of ``affected/ases`` or ``affected/locations``, of which ``code``, ``name``, ``connections``, ``cut`` (counts),
    ``share``, ``low`` and ``high`` (%) are drawn. Above stands the largest ``low``: who is surely affected most. Those with a wide
    interval are paler, and the axis is made for the others.
    """
    shown = sorted(rows_of(rows), key=lambda row: -row.low)
    if not shown:
        return blank("Nothing is known of where connections came from.", 120)
    data = [row.drawn() | {"row": place} for place, row in enumerate(shown)]
    base = alt.Chart(inline(data)).encode(
        y=alt.Y("row:O", axis=None), tooltip=[alt.Tooltip(f"{field}:N") for field in WORDS]
    )
    scale = alt.Scale(
        domain=[0, max((row.high for row in shown if not row.wide), default=100)], nice=True, clamp=True
    )
    axis = alt.Axis(
        title=None, labelExpr="datum.label + ' %'", tickCount=alt.ExprRef("max(3, width / 140)"), ticks=False,
        domain=False,
    )  # fmt: skip
    opacity = alt.Opacity("opacity:Q", scale=None)
    layers = alt.layer(
        base.mark_rule(style=QUIET, strokeWidth=3, strokeCap="round", yOffset=7).encode(
            x=alt.X("low:Q", scale=scale, axis=axis), x2="high:Q", opacity=opacity
        ),
        base.mark_point(color=CUT_COLOUR, filled=True, size=90, yOffset=7).encode(
            x=alt.X("share:Q", scale=scale), opacity=opacity
        ),
        base.mark_text(style=TEXT, align="left", dy=-9, limit=alt.ExprRef("width - 110")).encode(
            x=alt.value(0), text="title:N"
        ),
        base.mark_text(style=QUIET, align="right", dy=-9).encode(
            x=alt.value(alt.ExprRef("width")), text="told:N"
        ),
    )
    return finished(
        layers, _ROW * len(data), "Most affected", ["Share of connections that were cut, with 95 % interval"],
        f"Shares of cut connections of {len(data)}; most affected: {shown[0].name}, {data[0]['told']}.",
    )  # fmt: skip

"""Strips one above the other in one view: Vega-Lite lets only a single view be as wide as its place.

Each strip has a scale of its own, which ends where the strip does; all share the axis of time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import altair as alt

from halfopen.figures.inline import inline
from halfopen.figures.theme import BAND

MILLI: Final = 1000
"""Vega counts times in ms."""

_MINUTES: Final = 600


@dataclass(frozen=True, slots=True)
class Strip:
    """Where a strip begins and ends (px from above), and the value at its upper end; at its lower one is 0."""

    above: int
    below: int
    top: float

    def y(self, field: str, label: str) -> alt.Y:
        """The channel of a field in this strip; `label` is an expression that makes the words at its upper end."""
        return alt.Y(
            f"{field}:Q",
            stack=False,
            scale=alt.Scale(domain=[0, self.top], range=[self.below, self.above], nice=False, clamp=True),
            axis=alt.Axis(
                orient="left", title=None, values=[0, self.top], labelExpr=label, grid=True, domain=False,
                ticks=False, minExtent=38, maxExtent=38,
            ),
        )  # fmt: skip


def time_axis(duration: int) -> alt.X:
    """The channel of the field `time` (ms), labelled in UTC, in a figure over so many s.

    It reaches as far as the data: each figure has a layer with all buckets (`hover`).
    """
    clock = "%H:%M:%S" if duration < _MINUTES else "%H:%M"
    midnight = "utchours(datum.value) || utcminutes(datum.value) || utcseconds(datum.value)"
    return alt.X(
        "time:T",
        scale=alt.Scale(type="utc", nice=False),
        axis=alt.Axis(
            title=None, labelExpr=f"utcFormat(datum.value, {midnight} ? '{clock}' : '%-d %b')",
            tickCount=alt.ExprRef("max(2, width / 110)"), labelOverlap=True, grid=False,
        ),
    )  # fmt: skip


def stepped(rows: Iterable[Mapping[str, Any]], step: int) -> list[dict[str, Any]]:
    """Rows of buckets for areas with steps, with their `run` and where the last one of a run ends; `time` goes from s to ms."""
    found = list(rows)
    last = {row["run"]: row for row in found}
    ends = [{**row, "time": row["time"] + step} for row in last.values()]
    return [{**row, "time": row["time"] * MILLI} for row in (*found, *ends)]


def hover(rows: Sequence[Mapping[str, Any]], fields: Sequence[str], x: alt.X, height: int) -> alt.Chart:
    """What shows the words of a bucket to who points at it: rows with `time` and `until` (ms)."""
    pointed = alt.selection_point(
        name="pointed", on="pointerover", clear="pointerout", fields=["time"], empty=False
    )
    chart: alt.Chart = (
        alt.Chart(inline(list(rows)))
        .mark_rect(style=BAND)
        .encode(
            x=x, x2="until:T", y=alt.value(0), y2=alt.value(height),
            fillOpacity=alt.when(pointed).then(alt.value(0.12)).otherwise(alt.value(0)),
            tooltip=[alt.Tooltip(f"{field}:N") for field in fields],
        )
        .add_params(pointed)
    )  # fmt: skip
    return chart

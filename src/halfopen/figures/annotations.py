"""What an answer tells of its time, drawn on the axis of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from halfopen.figures.inline import inline
from halfopen.figures.series import second, spoken_time
from halfopen.figures.strips import MILLI
from halfopen.figures.theme import BAND, RULE


@dataclass(frozen=True, slots=True)
class Told:
    """An annotation: its words, and from when to when (s) it lies in the window; an instant has no length."""

    words: str
    start: int
    end: int

    def touches(self, start: int, end: int) -> bool:
        """Whether any of it is in this stretch of time."""
        return self.start < end and (self.end > start or self.start >= start)


def told(result: Mapping[str, Any], start: int, end: int) -> list[Told]:
    """The annotations of an answer that is drawn from `start` to `end` (s)."""
    found = []
    for each in result["meta"]["confidenceInfo"]["annotations"]:
        begins = second(each["startDate"])
        ends = begins if each["isInstantaneous"] else second(each["endDate"])
        found.append(Told(each["description"], max(begins, start), min(ends, end)))
    return found


def told_layers(happened: Sequence[Told], x: alt.X, strip: tuple[int, int], height: int) -> list[alt.Chart]:
    """Bands over stretches of time and rules at instants, each with its words; what can be pointed at lies in the
    `strip` (px from above) of a figure `height` px high."""
    rows = [
        {
            "time": each.start * MILLI, "until": each.end * MILLI, "note": each.words,
            "from": f"{spoken_time(each.start, 1)} UTC", "to": f"{spoken_time(each.end, 1)} UTC",
        }
        for each in happened
    ]  # fmt: skip
    spans = [row for row in rows if row["until"] != row["time"]]
    instants = [row for row in rows if row["until"] == row["time"]]
    words = [alt.Tooltip(f"{field}:N") for field in ("note", "from", "to")]
    above, below = (alt.value(px) for px in strip)
    layers: list[alt.Chart] = []
    if spans:  # a layer without rows would have no extent on the axis
        chart = alt.Chart(inline(spans))
        layers += [
            chart.mark_rect(style=BAND, fillOpacity=0.1, clip=True)
            .encode(x=x, x2="until:T", y=alt.value(0), y2=alt.value(height)),
            chart.mark_rect(style=BAND, cornerRadius=3)
            .encode(x=x, x2="until:T", y=above, y2=below, tooltip=words),
        ]  # fmt: skip
    if instants:
        chart = alt.Chart(inline(instants))
        layers += [
            chart.mark_rule(style=RULE, strokeDash=[3, 3]).encode(x=x, y=alt.value(0), y2=alt.value(height)),
            chart.mark_point(style=BAND, shape="diamond", size=90, filled=True, opacity=1)
            .encode(x=x, y=alt.value(sum(strip) / 2), tooltip=words),
        ]  # fmt: skip
    return layers

"""The world by country: the share of cut connections."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

import altair as alt

from halfopen.figures.blank import blank
from halfopen.figures.inline import inline
from halfopen.figures.rows import WORDS, Row, rows_of
from halfopen.figures.theme import BACKGROUND, FAINT, finished
from halfopen.places.countries import COUNTRIES

_HEIGHT: Final = 440
_RATIO: Final = 0.46
"""Height to width, where the width is known."""
_TOPS: Final = (1, 2, 5, 10, 20, 30, 50, 75, 100)
"""Shares (%) at which the colours may end."""
_SHOWN: Final = ("share", "opacity", *WORDS)


def world(rows: Sequence[Mapping[str, Any]]) -> alt.TopLevelMixin:
    """A map with the countries coloured by the share of their connections that were cut.

    Rows are those of `affected`, by country; unknown codes are left out. Countries without a row are grey, those with a wide
    interval paler; where the outlines lack a country, a dot stands for it.
    """
    known = [row for row in rows_of(rows) if row.code in COUNTRIES]
    if not known:
        return blank("Nothing is known of where connections came from.", _HEIGHT)
    data = list(map(_drawn, known))
    outlined = _codes()
    most = max((row.share for row in known if not row.wide), default=100)
    top = next(top for top in _TOPS if most <= top)
    colour = alt.Color(
        "share:Q",
        scale=alt.Scale(domain=[0, top], range="ramp", clamp=True),
        legend=alt.Legend(
            orient="bottom", direction="horizontal", title="share that was cut",
            labelExpr="datum.label + ' %'", values=[0, top / 2, top], gradientOpacity=1,
        ),
    )  # fmt: skip
    opacity = alt.Opacity("opacity:Q", scale=None)
    words = [alt.Tooltip(f"{field}:N") for field in WORDS]
    outlines = inline(_outlines(), alt.TopoDataFormat(feature="countries", type="topojson"))
    ground = alt.Chart(outlines).mark_geoshape(style=FAINT, strokeWidth=0.6)
    worst = max(known, key=lambda row: row.low)
    layers = alt.layer(
        ground,
        ground.mark_geoshape(style=BACKGROUND, strokeWidth=0.6)
        .transform_lookup(lookup="id", from_=alt.LookupData(inline(data), key="code", fields=list(_SHOWN)))
        .transform_filter("isValid(datum.share)")
        .encode(color=colour, opacity=opacity, tooltip=words),
        alt.Chart(inline([row for row in data if row["code"] not in outlined]))
        .mark_circle(size=70, style=BACKGROUND, strokeWidth=1)
        .encode(longitude="longitude:Q", latitude="latitude:Q", color=colour, opacity=opacity, tooltip=words),
    )
    pale = "; pale: too few to be sure" if any(row.wide for row in known) else ""
    return finished(
        layers.project(type="naturalEarth1"), _HEIGHT, "Where connections were cut", [f"Grey: no connections{pale}"],
        f"Map of {len(known)} countries by share of cut connections; most affected: {worst.name}.",
        usermeta={"ratio": _RATIO},
    )  # fmt: skip


def _drawn(row: Row) -> dict[str, Any]:
    country = COUNTRIES[row.code]
    return row.drawn() | {"longitude": float(country.longitude), "latitude": float(country.latitude)}


@cache
def _outlines() -> dict[str, Any]:
    """TopoJSON that scripts/make_world.py makes out of Natural Earth."""
    found: dict[str, Any] = json.loads(Path(__file__).with_name("world.json").read_text(encoding="utf-8"))
    return found


def _codes() -> set[str]:
    return {shape["id"] for shape in _outlines()["objects"]["countries"]["geometries"]}

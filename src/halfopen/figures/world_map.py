"""The world by country: the share of cut connections."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

import altair as alt

from halfopen.figures.blank import blank
from halfopen.figures.rows import is_wide
from halfopen.figures.series import counted, percent
from halfopen.figures.theme import BACKGROUND, FAINT
from halfopen.places.countries import COUNTRIES

_HEIGHT: Final = 440
_RATIO: Final = 0.46
"""Height to width, where the width is known."""
_TOPS: Final = (1, 2, 5, 10, 20, 30, 50, 100)
"""Shares (%) at which the colours may end."""
_SHOWN: Final = ("share", "opacity", "name", "cut", "told", "interval")


def world(rows: Sequence[Mapping[str, Any]]) -> alt.TopLevelMixin:
    """A map with the countries coloured by the share of their connections that were cut.

    Rows are those of `affected`, by country; unknown codes are left out. Countries without a row are grey, those with a wide
    interval paler; where the outlines lack a country, a dot stands for it.
    """
    known = [row for row in rows if row["code"] in COUNTRIES and row["connections"]]
    if not known:
        return blank("Nothing is known of where connections came from.", _HEIGHT)
    data = list(map(_drawn, known))
    outlined = _codes()
    most = max((row["share"] for row in known if not is_wide(row)), default=100)
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
    words = [alt.Tooltip(f"{field}:N") for field in ("name", "cut", "told", "interval")]
    outlines = alt.InlineData(_outlines(), format=alt.TopoDataFormat(feature="countries", type="topojson"))
    ground = alt.Chart(outlines).mark_geoshape(style=FAINT, strokeWidth=0.6)
    worst = max(known, key=lambda row: float(row["low"]))
    told = f"{worst['name']}: {percent(worst['share'])}"
    return (
        alt.layer(
            ground,
            ground.mark_geoshape(style=BACKGROUND, strokeWidth=0.6)
            .transform_lookup(
                lookup="id", from_=alt.LookupData(alt.InlineData(data), key="code", fields=list(_SHOWN))
            )
            .transform_filter("isValid(datum.share)")
            .encode(color=colour, opacity=opacity, tooltip=words),
            alt.Chart(alt.InlineData([row for row in data if row["code"] not in outlined]))
            .mark_circle(size=70, style=BACKGROUND, strokeWidth=1)
            .encode(
                longitude="longitude:Q", latitude="latitude:Q", color=colour, opacity=opacity, tooltip=words
            ),
        )
        .project(type="naturalEarth1")
        .properties(
            width="container",
            height=_HEIGHT,
            title=alt.TitleParams("Where connections were cut", subtitle=[_subtitle(known)]),
            usermeta={"ratio": _RATIO},
            description=f"Map of {len(known)} countries by share of cut connections; most affected: {told}.",
        )
    )


def _subtitle(known: Sequence[Mapping[str, Any]]) -> str:
    return "Grey: no connections" + ("; pale: too few to be sure" if any(map(is_wide, known)) else "")


def _drawn(row: Mapping[str, Any]) -> dict[str, Any]:
    country = COUNTRIES[row["code"]]
    return {
        "code": row["code"],
        "name": row["name"] or country.name,
        "share": row["share"],
        "opacity": 0.3 if is_wide(row) else 1,
        "cut": f"{counted(row['cut'])} of {counted(row['connections'])} connections",
        "told": percent(row["share"]),
        "interval": f"{percent(row['low'])} to {percent(row['high'])}",
        "longitude": float(country.longitude),
        "latitude": float(country.latitude),
    }


@cache
def _outlines() -> dict[str, Any]:
    """TopoJSON that scripts/make_world.py makes out of Natural Earth."""
    found: dict[str, Any] = json.loads(Path(__file__).with_name("world.json").read_text(encoding="utf-8"))
    return found


def _codes() -> set[str]:
    return {shape["id"] for shape in _outlines()["objects"]["countries"]["geometries"]}

"""What the cuts looked like: a bar for each signature."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import altair as alt

from halfopen.connections.rules import SIGNATURES
from halfopen.figures.blank import blank
from halfopen.figures.inline import inline
from halfopen.figures.series import doubt, percent
from halfopen.figures.stages import COLOURS, CUT, WORDS
from halfopen.figures.theme import QUIET, TEXT, finished

_ROW: Final = 42
"""Height of a row (px): words, with the bar below them."""

_BARS: Final = 0.62
"""The part of the width that the longest bar takes; behind it stand the share and the id."""

_BY_ID: Final = {signature.id: signature for signature in SIGNATURES}


def signatures(shares: Mapping[str, Any]) -> alt.TopLevelMixin:
    """The share of each signature, the largest above; `shares` is a result of ``summary/signature`` as PERCENTAGE."""
    (found,) = (groups for name, groups in shares.items() if name != "meta")
    known = {_BY_ID[group]: float(share) for group, share in found.items() if group in _BY_ID}
    shown = sorted((item for item in known.items() if item[1]), key=lambda item: -item[1])
    if not shown:
        return blank("No connection was cut in a way that has a name.", 120)
    rows = [
        {
            "row": row, "share": share, "words": signature.words, "stage": WORDS[signature.stage],
            "told": f"{percent(share)}  {signature.id}", "id": signature.id, "pattern": signature.pattern,
        }
        for row, (signature, share) in enumerate(shown)
    ]  # fmt: skip
    base = alt.Chart(inline(rows)).encode(
        y=alt.Y("row:O", axis=None),
        tooltip=[alt.Tooltip(f"{field}:N") for field in ("words", "id", "pattern", "stage", "told")],
    )
    x = alt.X("share:Q", axis=None, scale=alt.Scale(domain=[0, shown[0][1] / _BARS], nice=False))
    colour = alt.Color(
        "stage:N",
        title=None,
        scale=alt.Scale(domain=[WORDS[stage] for stage in CUT], range=[COLOURS[stage] for stage in CUT]),
        legend=alt.Legend(orient="top", columns=alt.ExprRef("width < 480 ? 2 : 4")),
    )
    rest = 100 - sum(known.values())
    layers = alt.layer(
        base.mark_text(style=TEXT, align="left", dy=-9, limit=alt.ExprRef("width")).encode(
            x=alt.value(0), text="words:N"
        ),
        base.mark_bar(height=10, yOffset=8, cornerRadiusEnd=2).encode(x=x, color=colour),
        base.mark_text(style=QUIET, align="left", dx=6, dy=8).encode(x=x, text="told:N"),
    )
    return finished(
        layers, _ROW * len(rows), "How connections were cut",
        [f"{percent(rest)} of connections show none of these", doubt(shares)],
        f"Shares of {len(rows)} signatures; most common: {shown[0][0].words}, {percent(shown[0][1])}.",
    )  # fmt: skip

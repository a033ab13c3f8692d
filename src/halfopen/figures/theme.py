"""What all figures look like, on a light and on a dark page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import altair

FONT: Final = "system-ui, 'Liberation Sans', 'DejaVu Sans', sans-serif"
MONO: Final = "ui-monospace, 'Liberation Mono', 'DejaVu Sans Mono', monospace"

CUT_COLOUR: Final = "#d55e00"
"""Of what is cut, whatever the stage."""

TEXT: Final = "halfopen-text"
"""The style of marks that are words; theirs is the colour of the page's text."""
QUIET: Final = "halfopen-quiet"
"""The style of marks and words in the background."""
FAINT: Final = "halfopen-faint"
"""The style of areas that only carry others."""
BAND: Final = "halfopen-band"
"""The style of what lies over others and lets them through."""
BACKGROUND: Final = "halfopen-background"
"""The style of lines that part neighbours: the colour of the page."""
RULE: Final = "halfopen-rule"
"""The style of thin lines."""

_LIGHT: Final = {
    "text": "#1f2328", "quiet": "#656d76", "faint": "#e4e7eb", "line": "#d8dce1", "page": "#ffffff",
    "ramp": ["#fbe3d0", "#f2b27f", "#d55e00", "#8a3200"],
}  # fmt: skip
_DARK: Final = {
    "text": "#e6edf3", "quiet": "#9aa4af", "faint": "#2b313a", "line": "#343b45", "page": "#0d1117",
    "ramp": ["#4a2f20", "#93481a", "#e2701a", "#ffc79a"],
}  # fmt: skip


def finished(
    chart: altair.LayerChart | altair.FacetChart | altair.Chart,
    height: int,
    title: str,
    subtitle: Sequence[str],
    description: str,
    **more: Any,
) -> altair.TopLevelMixin:
    """The chart as a figure: as wide as its place and `height` px high, with its words, light until `themed` says otherwise.

    Empty lines of the subtitle are left out.
    """
    words = {"text": title, "subtitle": [line for line in subtitle if line]}
    made: altair.TopLevelMixin = chart.properties(
        width="container", height=height, title=words, description=description, **more
    ).configure(**_config(dark=False))
    return made


def themed(chart: altair.TopLevelMixin, dark: bool) -> dict[str, Any]:
    """The chart as a specification of Vega-Lite for a light or a dark page: transparent, as wide as its place.

    Its ``usermeta`` says what a picture or a page must know: ``dark``, the ``background`` of the page, and for a map the
    ``ratio`` of height to width.
    """
    spec: dict[str, Any] = chart.to_dict()
    page = {"dark": dark, "background": (_DARK if dark else _LIGHT)["page"]}
    return spec | {"config": _config(dark), "usermeta": spec.get("usermeta", {}) | page}


def _on_phone(small: int, large: int) -> dict[str, str]:
    """A size (px) that is another one where the figure has hardly any room."""
    return {"expr": f"width < 280 ? {small} : {large}"}


def _config(dark: bool) -> dict[str, Any]:
    of: dict[str, Any] = _DARK if dark else _LIGHT
    text, quiet = of["text"], of["quiet"]
    labels = {"labelColor": quiet, "labelFontSize": 11, "titleColor": quiet, "titleFontSize": 11}
    return {
        "background": "transparent",
        "font": FONT,
        "view": {"stroke": None},
        # A figure is one picture with one description; its marks would be thousands to a screen reader.
        "mark": {"aria": False},
        "title": {
            "anchor": "start", "frame": "bounds", "offset": 12, "color": text, "fontSize": _on_phone(12, 15), "fontWeight": 600,
            "subtitleColor": quiet, "subtitleFontSize": _on_phone(10, 12), "subtitlePadding": 6,
        },
        "axis": {
            **labels, "aria": False, "gridOpacity": 0.7, "titleFontWeight": "normal", "gridColor": of["line"], "domainColor": of["line"],
            "tickColor": of["line"], "labelPadding": 6,
        },
        "legend": {
            **labels, "aria": False, "labelFontSize": _on_phone(10, 12), "labelColor": text, "titleFontWeight": "normal",
            "symbolType": "square",
            "symbolSize": 110, "symbolStrokeWidth": 0, "rowPadding": 4, "columnPadding": _on_phone(8, 18),
            "gradientLength": 160, "gradientThickness": 10,
        },
        "range": {"ramp": of["ramp"], "heatmap": of["ramp"]},
        "style": {
            TEXT: {"color": text, "fontSize": 12},
            QUIET: {"color": quiet, "fontSize": 11},
            FAINT: {"color": of["faint"], "stroke": of["page"]},
            BACKGROUND: {"stroke": of["page"]},
            BAND: {"color": text},
            RULE: {"color": text, "strokeWidth": 1},
        },
    }  # fmt: skip

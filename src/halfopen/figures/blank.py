"""What stands in the place of a figure that has nothing to show."""

from __future__ import annotations

import altair as alt

from halfopen.figures.inline import inline
from halfopen.figures.theme import QUIET, finished


def blank(words: str, height: int) -> alt.TopLevelMixin:
    """A few words in the middle of an empty place `height` px high."""
    chart = alt.Chart(inline([{"words": words}])).mark_text(style=QUIET, fontSize=13).encode(text="words:N")
    return finished(chart, height, "", [], words)

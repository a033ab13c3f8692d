"""The views: what each asks of the API, and which figure is drawn of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from halfopen.dashboard.asked import Asked
from halfopen.dashboard.asking import Asking, Query, Told

RESETS: Final = "/radar/tcp_resets_timeouts"

_SHARES: Final = ("normalization", "PERCENTAGE")
_COUNTS: Final = ("normalization", "RAW_VALUES")


@dataclass(frozen=True)
class Question:
    """One question of a view."""

    path: str
    query: Callable[[Asked], Query]


@dataclass(frozen=True)
class View:
    """A view: its title, what it asks, and the name of the figure that draws the answers."""

    title: str
    questions: tuple[Question, ...]
    figure: str
    rows: bool = field(default=False)  # whether the figure takes rows rather than a whole result

    async def told(self, asked: Asked, api: Asking) -> list[Told]:
        """The answers."""
        return list(
            await asyncio.gather(
                *(api.get(f"{RESETS}/{each.path}", each.query(asked)) for each in self.questions)
            )
        )

    def drawn(self, results: list[Any]) -> Any:
        """The chart of the answers' results."""
        from halfopen import figures

        draw = getattr(figures, self.figure)
        return draw(*([rows_of(result) for result in results] if self.rows else results))


def rows_of(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows of a list of the most affected, their numbers as such."""
    return [
        {**row, **{name: float(row[name]) for name in ("connections", "cut", "share", "low", "high")}}
        for row in result["affected"]
    ]


def _asking(*fixed: tuple[str, str]) -> Callable[[Asked], Query]:
    return lambda asked: [*asked.api, *fixed]


def _over_time(*fixed: tuple[str, str]) -> Callable[[Asked], Query]:
    return lambda asked: [*asked.api, *asked.stepped, *fixed]


VIEWS: Final[Mapping[str, View]] = {
    "stages": View(
        "Shares of connections by stage, over time",
        (
            Question("timeseries_groups", _over_time(_SHARES)),
            Question("timeseries_groups", _over_time(_COUNTS)),
        ),
        "stages_over_time",
    ),
    "comparison": View(
        "Beside the control window",
        (Question("timeseries_groups", lambda asked: [*asked.both, *asked.stepped, _SHARES]),),
        "comparison",
    ),
    "signatures": View(
        "Signatures",
        (Question("summary/signature", _asking(_SHARES, ("limitPerGroup", "30"))),),
        "signatures",
    ),
    "map": View(
        "Countries on the map",
        (Question("affected/locations", _asking(("limit", "200"))),),
        "world",
        rows=True,
    ),
    "locations": View(
        "Countries most affected",
        (Question("affected/locations", _asking(("limit", "20"))),),
        "affected",
        rows=True,
    ),
    "networks": View(
        "Networks most affected",
        (Question("affected/ases", _asking(("limit", "20"))),),
        "affected",
        rows=True,
    ),
}
"""Every view with a figure, by its name in URLs."""

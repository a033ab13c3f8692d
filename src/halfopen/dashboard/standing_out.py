"""What stands out in a window: whose connections are cut more than before, since when, and at which stage."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from halfopen.dashboard.asked import Asked
from halfopen.dashboard.asking import Asking, Query
from halfopen.dashboard.views import RESETS
from halfopen.dashboard.words import CUT
from halfopen.figures.series import series_of
from halfopen.radar.proportions import risen
from halfopen.radar.windows import DAY, stamp

_MOST: Final = 3
"""Networks that are looked at: those that have changed most for certain."""

_POINT: Final = 1.0
"""By how many points a network has surely changed that is looked at: among thousands some change by chance."""

_FINE: Final = 14 * DAY
"""The longest window that is looked at by quarters of an hour."""


@dataclass(frozen=True)
class Rise:
    """A rise that goes on: of a network (`row`, as the API tells it; None: of all connections), `since` a time of the API, shares (%)
    `before` and `after` it, of how many `connections` after it, and the stage that has risen most."""

    row: Mapping[str, Any] | None
    since: str
    before: float
    after: float
    connections: float
    stage: str


async def standing_out(asked: Asked, networks: Sequence[Mapping[str, Any]], api: Asking) -> list[Rise]:
    """Rises that go on to the end of the window: of the networks that surely changed, or else of everything."""
    changed = [row for row in networks if row["change"] and float(row["change"]["low"]) >= _POINT]
    changed.sort(key=lambda row: -float(row["change"]["low"]))
    found = await asyncio.gather(*(_risen(asked, row, api) for row in changed[:_MOST]))
    rises = [rise for rise in found if rise is not None]
    if rises:
        return rises
    everything = await _risen(asked, None, api)
    return [] if everything is None else [everything]


async def _risen(asked: Asked, row: Mapping[str, Any] | None, api: Asking) -> Rise | None:
    window = asked.window
    fine: Query = [("aggInterval", "15m")] if window and window.duration <= _FINE else []
    filters = [each for each in asked.api if row is None or each[0] != "asn"]
    of_network = [] if row is None else [("asn", str(row["code"]))]
    told = await api.get(
        f"{RESETS}/timeseries_groups", [*filters, *of_network, *fine, ("normalization", "RAW_VALUES")]
    )
    if not told.good:
        return None
    (series,) = series_of(told.result)
    counts = {stage: np.array(values) for stage, values in series.groups.items()}
    cut: Any = sum(counts[stage] for stage in CUT)
    whole: Any = sum(counts.values())
    since = risen(cut, whole)
    if since is None:
        return None
    return Rise(
        row, stamp(series.times[since]), _share(cut[:since], whole[:since]), _share(cut[since:], whole[since:]),
        float(whole[since:].sum()),
        max(CUT, key=lambda stage: _share(counts[stage][since:], whole[since:]) - _share(counts[stage][:since], whole[:since])),
    )  # fmt: skip


def _share(part: Any, whole: Any) -> float:
    """A share in percent."""
    return float(100 * part.sum() / max(whole.sum(), 1.0))

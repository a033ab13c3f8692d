"""What figures are drawn of, out of a dataset: the answers that the API gives, without a server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final, Literal

from halfopen.figures.stages import CUT
from halfopen.radar.affected import affected as ranking
from halfopen.radar.answers import Answer, Surroundings, answer, reply
from halfopen.radar.parameters import question_of
from halfopen.radar.vocabulary import ENDPOINTS, Normalization
from halfopen.store.query import Dimension, Snapshot

MOST: Final = 200
"""Networks or countries, where nobody asks for fewer: as many as the API gives."""

CUT_STAGES: Final = frozenset(stage.name for stage in CUT)


class OfDataset:
    """The answers about a dataset that figures are drawn of."""

    def __init__(
        self, dataset: Snapshot, around: Surroundings, pairs: Sequence[tuple[str, str]], now: int
    ) -> None:
        """Of what `pairs` let through, parameters of the API for one series (window, filters, aggInterval), at the time `now` (s
        since the epoch). What cannot be used raises InvalidError when it is asked for."""
        self._dataset, self._around, self._pairs, self._now = dataset, around, pairs, now

    def over_time(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Shares and counts by stage over time, as `stages_over_time` takes them."""
        shares = self._answer("timeseries_groups", Normalization.PERCENTAGE)
        return shares, self._answer("timeseries_groups", Normalization.RAW_VALUES)

    def both(self) -> dict[str, Any]:
        """Shares over time in the window and in its control window, as `comparison` takes them."""
        question = question_of(ENDPOINTS["timeseries_groups"], self._pairs, self._now)
        (now,) = question.series
        before = replace(now, name="before", window=now.window.control)
        return json_of(reply(replace(question, series=(now, before)), self._dataset, self._around))

    def signatures(self) -> dict[str, Any]:
        """The share of each signature, as the figure `signatures` takes it."""
        return self._answer("summary/signature", Normalization.PERCENTAGE)

    def affected(self, by: Literal["asn", "location"], most: int = MOST) -> list[dict[str, Any]]:
        """Networks or countries, as `affected` and `world` take them: the most affected first, at `most` so many."""
        (series,) = question_of(ENDPOINTS["summary"], self._pairs, self._now).series
        return ranking(Dimension(by), series, CUT_STAGES, most, self._dataset, self._around)

    def _answer(self, path: str, normalization: Normalization) -> dict[str, Any]:
        pairs = [*self._pairs, ("normalization", normalization)]
        return json_of(answer(ENDPOINTS[path], pairs, self._dataset, self._around, self._now))


def json_of(told: Answer) -> dict[str, Any]:
    """The result of an answer that was not asked for as CSV."""
    assert told.result is not None
    return told.result

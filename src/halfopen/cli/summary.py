"""What the connections of a run add up to: shares, signatures, networks; counted in bulk."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from halfopen.connections.rules import Tag
from halfopen.model import LeftOut, Stage
from halfopen.pipeline import Judged
from halfopen.radar import proportions

_STAGE_AT: Final = np.uint64(40)
_SIGNATURE_AT: Final = np.uint64(48)
_ECHO_AT: Final = np.uint64(63)


def wilson(part: int, whole: int) -> tuple[float, float]:
    """95 % interval of a share; all of 0 to 1 where there is nothing to share."""
    if whole == 0:
        return 0.0, 1.0
    low, high = proportions.wilson(np.array(part / whole), np.array(float(whole)))
    return float(low), float(high)


class Summary:
    """Counts of decided connections.

    Rows are counted by everything the tables show at once: stage, signature, tags and whether a
    reset only echoed the server (D13) in one integer, network and country in another.
    """

    def __init__(self) -> None:
        self._kinds: Tally[int] = Tally()
        self._networks: Tally[int] = Tally()
        self.start: int | None = None
        self.end: int | None = None

    def add(self, judged: Judged) -> None:
        """Count the rows of a batch."""
        rows, places = judged.rows, judged.places
        left_out = rows["left_out"] != LeftOut.decided
        if left_out.any():
            rows, places = rows[~left_out], places[~left_out]
        if not len(rows):
            return
        _count(
            self._kinds,
            rows["tags"]
            | rows["stage"].astype(np.uint64) << _STAGE_AT
            | rows["signature"].astype(np.uint64) << _SIGNATURE_AT
            | (rows["reset_echoes"] > 0).astype(np.uint64) << _ECHO_AT,
        )
        country = places["location"].astype("S2").view(">u2").astype(np.uint64)
        cut = (rows["stage"] != Stage.no_match).astype(np.uint64)
        _count(
            self._networks,
            places["asn"].astype(np.uint64) << np.uint64(17) | country << np.uint64(1) | cut,
        )
        self._reach(int(rows["start"].min()), int(rows["end"].max()))

    def merge(self, other: Summary) -> None:
        """Add the counts of another summary."""
        self._kinds.update(other._kinds)
        self._networks.update(other._networks)
        if other.start is not None and other.end is not None:
            self._reach(other.start, other.end)

    def _reach(self, start: int, end: int) -> None:
        self.start = start if self.start is None else min(self.start, start)
        self.end = end if self.end is None else max(self.end, end)

    @property
    def decided(self) -> int:
        """Connections with one of the five stages."""
        return self._kinds.total()

    @property
    def cut(self) -> int:
        """Connections with one of the first four."""
        return self.decided - self.stage(Stage.no_match)

    def stage(self, stage: Stage, *tags: Tag) -> int:
        """Connections of a stage; with tags, those that carry any of them."""
        wanted = sum(1 << tag for tag in tags)
        return sum(
            count
            for kind, count in self._kinds.items()
            if kind >> 40 & 0xFF == stage and (not tags or kind & wanted)
        )

    def tags(self, stage: Stage) -> dict[Tag, int]:
        """Connections of a stage by tag, in the order of the tags; none without."""
        counted = {tag: self.stage(stage, tag) for tag in Tag}
        return {tag: count for tag, count in counted.items() if count}

    def signatures(self) -> dict[int, tuple[int, int]]:
        """Cut connections by signature number, most first: all, and those with an echoed reset (D13)."""
        found: dict[int, tuple[int, int]] = {}
        for kind, count in self._kinds.items():
            if kind >> 40 & 0xFF != Stage.no_match:
                number = kind >> 48 & 0xFF
                every, echoed = found.get(number, (0, 0))
                found[number] = every + count, echoed + (count if kind >> 63 else 0)
        return dict(sorted(found.items(), key=lambda item: (-item[1][0], item[0])))

    def networks(self) -> dict[tuple[int, str], tuple[int, int]]:
        """By ASN and country (0 and empty: unknown), most first: all connections, and those cut."""
        found: dict[tuple[int, str], tuple[int, int]] = {}
        for key, count in self._networks.items():
            code = (key >> 1 & 0xFFFF).to_bytes(2, "big").rstrip(b"\0").decode("ascii", "replace")
            every, cut = found.get((key >> 17, code), (0, 0))
            found[key >> 17, code] = every + count, cut + (count if key & 1 else 0)
        return dict(sorted(found.items(), key=lambda item: (-item[1][0], item[0])))


def summed(batches: Iterable[Judged]) -> Summary:
    """The summary of all batches."""
    summary = Summary()
    for judged in batches:
        summary.add(judged)
    return summary


def _count(tally: Tally[int], keys: NDArray[np.uint64]) -> None:
    different, counts = np.unique(keys, return_counts=True)
    tally.update(dict(zip(different.tolist(), counts.tolist(), strict=True)))

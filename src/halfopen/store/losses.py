"""What sensors lost while they watched, by quarter of an hour: of packets, and of connections for want of room."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple
from typing import Final

from halfopen.store.counters import DECIDED
from halfopen.store.query import QUARTER, Loss

SHARE: Final = 0.01
"""Of the packets or the connections of a quarter: more than this lost matters."""

KEPT: Final = 1000
"""Quarters in which a loss mattered that are remembered for each incarnation of a sensor; the oldest go first."""


def growth(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, int]:
    """By how much each counter grew; one that became smaller began anew."""
    return {
        name: count - before.get(name, 0) if count >= before.get(name, 0) else count
        for name, count in after.items()
    }


def added(quarters: Sequence[list[int]], start: int, grown: Mapping[str, int]) -> list[list[int]]:
    """Quarters as [start (s), received, dropped, connections, evicted], with what was counted in one of them; of those before
    the newest only the ones in which a loss mattered."""
    connections = sum(grown.get(name, 0) for name in (*DECIDED, "left_out"))
    more = (grown.get("received", 0), grown.get("dropped", 0), connections, grown.get("evicted", 0))
    found = {quarter[0]: quarter for quarter in quarters}
    before = found.get(start, [start, 0, 0, 0, 0])
    found[start] = [start, *(was + new for was, new in zip(before[1:], more, strict=True))]
    newest = max(found)
    return [found[each] for each in sorted(found) if each == newest or _matters(found[each])][-KEPT:]


def losses(named: Iterable[tuple[str, Sequence[list[int]]]], start: int, end: int) -> list[Loss]:
    """Losses that matter and touch start <= t < end, of the quarters of each incarnation of sensors; those that follow one
    another as one."""
    sums: dict[tuple[str, int], list[int]] = {}
    for name, quarters in named:
        for quarter in quarters:
            before = sums.get((name, quarter[0]), [0] * 4)
            sums[name, quarter[0]] = [was + new for was, new in zip(before, quarter[1:], strict=True)]
    found: list[Loss] = []
    for (name, at), counts in sorted(sums.items()):
        if not _matters([at, *counts]):
            continue
        if found and (found[-1].sensor, found[-1].end) == (name, at):
            last = found.pop()
            counts = [was + new for was, new in zip(astuple(last)[3:], counts, strict=True)]
            found.append(Loss(name, last.start, at + QUARTER, *counts))
        else:
            found.append(Loss(name, at, at + QUARTER, *counts))
    return [loss for loss in found if loss.start < end and loss.end > start]


def _matters(quarter: Sequence[int]) -> bool:
    _, received, dropped, connections, evicted = quarter
    return dropped > SHARE * received or evicted > SHARE * connections

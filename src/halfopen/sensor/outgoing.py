"""From judged connections to batches in the spool: each of one sampling rate, with how far the sensor has come."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

import numpy as np
import pyarrow as pa

from halfopen.ingest import incoming
from halfopen.model import Counter
from halfopen.pipeline import Judged
from halfopen.privacy import Privacy
from halfopen.sensor.delivery import Delivery
from halfopen.sensor.sensor import Gap, Report
from halfopen.sensor.spool import Spool
from halfopen.store.schema import INCOMING

MANY: Final = 100
"""Batches that may wait before fewer and larger ones are made: each takes a third of a second when they can be delivered."""


class Outgoing:
    """The outlet (`sensor.Outlet`) into a spool. What is not to be kept of clients never touches the disk."""

    def __init__(self, spool: Spool, delivery: Delivery, privacy: Privacy, rate: float) -> None:
        """`rate` is the sampling rate that the sensor begins with."""
        self._spool, self._delivery, self._privacy, self._rate = spool, delivery, privacy, rate
        self._waiting: list[Judged] = []
        self._reached: int | None = None

    def take(self, judged: Judged) -> None:
        """Keep connections until they are handed on."""
        self._waiting.append(judged.kept())

    def hand_on(self, watermark: int, gap: Gap | None, report: Report) -> None:
        """Put all of them into the spool, or word that there are none."""
        halvings = sorted({int(each) for one in self._waiting for each in np.unique(one.rows["halvings"])})
        since, until = (None, None) if gap is None else (gap.end, gap.begin)
        before = watermark if self._reached is None else self._reached
        for each in halvings or [0]:
            rate = self._rate / 2**each
            reached = watermark if each == max(halvings, default=0) else before
            self._spool.put(
                outgoing(_of(self._waiting, each), self._privacy, rate), reached, since=since, until=until, rate=rate,
                drops=report.losses.dropped, counters=self._counters(report),
            )  # fmt: skip
            since = until = None
        self._waiting.clear()
        self._reached = watermark

    def counts(self) -> dict[str, int]:
        """What became of the connections so far."""
        return {name: getattr(self._spool, name) for name in ("spooled", "delivered", "lost", "damaged")}

    @property
    def status(self) -> str:
        """How spool and delivery fare."""
        return "; ".join(filter(None, (self._delivery.status, self._spool.trouble)))

    @property
    def behind(self) -> bool:
        """Whether so much waits that its number alone would take long."""
        return self._spool.waits > MANY

    def _counters(self, report: Report) -> dict[str, int]:
        counted = report.counters
        left_out = (Counter.undecided, Counter.broke_off, Counter.replaced, Counter.evicted)
        spooled = self.counts()
        return {
            "received": report.losses.received,
            "packets": int(counted[Counter.packets]),
            **report.by_stage(),
            "left_out": int(sum(counted[each] for each in left_out)),
            "evicted": int(counted[Counter.evicted]),
            "unsampled": int(counted[Counter.unsampled]),
            **{name: spooled[name] for name in ("spooled", "delivered", "lost")},
        }


def outgoing(judged: Iterable[Judged], privacy: Privacy, rate: float = 1.0) -> Any:
    """A table of `schema.INCOMING` with plain columns, of decided connections that are one in 1 / `rate`.

    Places are looked up already; of addresses and names is left what `privacy` lets through.
    """
    batches = list(incoming(iter(judged), privacy, weight=1 / rate))
    return pa.Table.from_batches(batches).cast(INCOMING) if batches else INCOMING.empty_table()


def _of(batches: list[Judged], halvings: int) -> Iterator[Judged]:
    """The connections that were in the sample when it had been halved so often."""
    for judged in batches:
        chosen = judged.rows["halvings"] == halvings
        if chosen.all():
            yield judged
        elif chosen.any():
            yield Judged(
                judged.file, judged.rows[chosen], judged.names, judged.places[chosen], judged.packets
            )

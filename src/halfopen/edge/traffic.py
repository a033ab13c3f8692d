"""What passes through an edge, by tunnel and hostname: sums since its session began, and which of them are still to be told."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from halfopen.tunnels.traffic import Passed, Sums


@dataclass(slots=True)
class _Sums:
    statuses: Counter[str] = field(default_factory=Counter)
    received: int = 0
    sent: int = 0
    seconds: float = 0.0
    last: float = 0.0  # monotonic


class Traffic:
    """Counts requests that are over. As what is told are sums, a report that is lost is made good by the next."""

    def __init__(self) -> None:
        self._sums: dict[tuple[str, str], _Sums] = {}
        self._untold: dict[tuple[str, str], None] = {}
        self._since = self._looked = time.monotonic()

    def begin(self) -> None:
        """A session begins: nothing has passed in it."""
        self._sums.clear()
        self._untold.clear()
        self._since = time.monotonic()

    def count(
        self, tunnel: str, hostname: str, status: str, received: int, sent: int, seconds: float
    ) -> None:
        """A request is over, with a `status` of this class."""
        key = tunnel, hostname
        sums = self._sums.setdefault(key, _Sums())
        sums.statuses[status] += 1
        sums.received += received
        sums.sent += sent
        sums.seconds += seconds
        sums.last = time.monotonic()
        self._untold[key] = None

    def untold(self) -> tuple[list[Passed], float]:
        """What has changed since it was told, and within how many seconds."""
        self._looked = time.monotonic()
        return [self._passed(*key) for key in self._untold], self._looked - self._since

    def told(self, passed: Iterable[Passed]) -> None:
        """This was told; what has changed meanwhile is still to be."""
        for each in passed:
            key = each.tunnel, each.hostname
            if self._sums[key].statuses.total() == each.sums.requests:
                self._untold.pop(key, None)

    def all_told(self) -> None:
        """All that was `untold` when it was asked for was told."""
        self._since = self._looked

    def _passed(self, tunnel: str, hostname: str) -> Passed:
        sums = self._sums[tunnel, hostname]
        told = Sums(dict(sums.statuses), sums.received, sums.sent, sums.seconds)
        return Passed(tunnel, hostname, told, time.monotonic() - sums.last)

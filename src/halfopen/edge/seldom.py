"""Lines of the log that anybody outside can cause: of each kind a few, and how often it happened meanwhile."""

from __future__ import annotations

import logging
import time
from typing import Final

LOG: Final = logging.getLogger("halfopen.edge")

EVERY: Final = 5.0
"""Seconds between two lines of a kind."""

_KINDS: Final = 1_000  # that are remembered


class Seldom:
    """Logs of each kind no more than one line in `EVERY` seconds."""

    def __init__(self) -> None:
        self._told: dict[str, tuple[float, int]] = {}  # when the last line was, and what was left out since

    def tell(self, level: int, kind: str, words: str) -> None:
        """Log `words`, or count them."""
        now = time.monotonic()
        when, left_out = self._told.pop(kind, (float("-inf"), 0))
        if now < when + EVERY:
            self._told[kind] = when, left_out + 1
            return
        if len(self._told) >= _KINDS:
            del self._told[next(iter(self._told))]  # the one that has not happened for the longest
        self._told[kind] = now, 0
        LOG.log(level, "%s%s", words, f" ({left_out} more since the last such line)" if left_out else "")


SELDOM: Final = Seldom()
"""That of the process."""

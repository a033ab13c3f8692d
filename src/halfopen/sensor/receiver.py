"""Who takes batches, and what becomes of one, said in the same words wherever it goes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final, Protocol

from halfopen.sensor.spool import Spooled

EXPECTED: Final = "halfopen-expected-sequence"
"""Header of a 409: the sequence to go on with."""


class Fate(Enum):
    """What became of a batch that was sent."""

    HELD = "it is in the dataset"
    EXPECTED = "another sequence is expected"
    LARGE = "it is too large"
    REFUSED = "no, until somebody acts"
    AWAY = "no answer, or none for now: it may have been taken"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a batch, in words for people where that is not well; `expected` is the next sequence, where it was
    told, `after` the seconds to wait, where that is not left to the sender, and `status` that of HTTP, where there is one."""

    fate: Fate
    words: str = ""
    expected: int = 0
    after: float | None = None
    status: int = 0


class Receiver(Protocol):
    """Takes batches, one after the other."""

    @property
    def name(self) -> str:
        """Who it is, for people."""

    def deliver(self, batch: Spooled) -> Outcome:
        """Hand a batch over, once; raises nothing."""

    def close(self) -> None:
        """Let go of it."""

"""What a live source of packets is, wherever they come from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from halfopen.model import Batch
from halfopen.sampling import Sampling


@dataclass(frozen=True, slots=True)
class Losses:
    """Packets since the source was opened, as the operating system counts them."""

    received: int  # that it meant to hand on
    dropped: int  # of those, that found no room


class Wire(Protocol):
    """A live source of packets, opened with what it needs of privileges and used by one thread.

    `counters` (`model.Counter`) count what became of the packets that were handed on.
    """

    counters: NDArray[np.int64]

    @property
    def name(self) -> str:
        """What is watched, for people."""

    @property
    def waiting(self) -> str:
        """Why nothing can come at the moment, in words; empty where all is well."""

    def fileno(self) -> int:
        """A descriptor that can be read when packets are there."""

    def batches(self) -> Iterator[Batch]:
        """All packets that are there by now, without waiting; each batch is valid until the next is asked for.

        `ts` is the wall clock of the operating system. Rows may be changed by whoever takes them.
        """

    def watch(self, ports: frozenset[int], sampling: Sampling) -> None:
        """From now on hand on what belongs to these server ports and may belong to this sample."""

    def look(self) -> None:
        """Once a second or so: see whether what is watched has come, gone or changed."""

    def losses(self) -> Losses:
        """Counts of the operating system."""

    def close(self) -> None:
        """Stop watching."""

"""What can be asked of a dataset, whatever engine answers it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, Generic, Protocol, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

Value = TypeVar("Value", int, str)
Result = TypeVar("Result")

QUARTER: Final = 15 * 60
"""Seconds of the finest grain: every start and end of a question is a multiple of it (D15)."""


class Dimension(StrEnum):
    """By what counts can be told apart."""

    stage = "stage"
    signature = "signature"
    tag = "tag"  # a connection counts for each of its tags: shares overlap
    asn = "asn"
    location = "location"
    continent = "continent"
    ip_version = "ip_version"
    server_port = "server_port"
    sensor = "sensor"


@dataclass(frozen=True, slots=True)
class Choice(Generic[Value]):
    """Which values of one dimension count: those included (none named: all), less those excluded."""

    include: frozenset[Value] = frozenset()
    exclude: frozenset[Value] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.include or self.exclude)


@dataclass(frozen=True, slots=True)
class Filters:
    """Which connections count. Signatures and tags by their text ids (connections.rules), "none" for no signature."""

    asn: Choice[int] = field(default_factory=Choice)
    location: Choice[str] = field(default_factory=Choice)  # ISO 3166-1 alpha-2, upper case
    continent: Choice[str] = field(default_factory=Choice)
    ip_version: Choice[int] = field(default_factory=Choice)  # 4, 6
    server_port: Choice[int] = field(default_factory=Choice)
    signature: Choice[str] = field(default_factory=Choice)
    tag: Choice[str] = field(default_factory=Choice)  # included: has any of them; excluded: has none of them
    sensor: Choice[str] = field(default_factory=Choice)


@dataclass(frozen=True, slots=True, order=True)
class Cell:
    """What was counted in one bucket for one value of the dimension asked for.

    `bucket` is where it begins (s since the epoch); `key` the value as text (stage and tag names,
    signature ids, numbers in decimal, "" where unknown).
    """

    bucket: int
    key: str
    connections: int  # rows: how many were sampled
    weight: float  # how many they stand for: the sum of 1 / sampling rate
    squares: float  # the sum of (1 / sampling rate) squared, for intervals


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """Cells in columns of one length, in no particular order."""

    bucket: NDArray[np.int64]
    key: Sequence[str]
    connections: NDArray[np.int64]
    weight: NDArray[np.float64]
    squares: NDArray[np.float64]

    @classmethod
    def of(cls, cells: Iterable[Cell]) -> Cells:
        """The columns of some cells."""
        rows = list(cells)
        return cls(
            np.array([cell.bucket for cell in rows], np.int64),
            [cell.key for cell in rows],
            np.array([cell.connections for cell in rows], np.int64),
            np.array([cell.weight for cell in rows], np.float64),
            np.array([cell.squares for cell in rows], np.float64),
        )

    def __len__(self) -> int:
        return len(self.key)

    def __iter__(self) -> Iterator[Cell]:
        columns = (self.bucket, self.connections, self.weight, self.squares)
        bucket, connections, weight, squares = (column.tolist() for column in columns)
        return map(Cell, bucket, self.key, connections, weight, squares)


@dataclass(frozen=True, slots=True, eq=False)
class Groups:
    """What was counted for each value of a dimension, told apart by stage: a row for each of the `keys` (as those of `Cell`), a
    column for each of `model.STAGES`."""

    keys: Sequence[str]
    connections: NDArray[np.int64]
    weight: NDArray[np.float64]
    squares: NDArray[np.float64]


def summed(at: NDArray[np.int64], values: NDArray[Any], count: int) -> NDArray[np.float64]:
    """Sums of the values that belong at each of the places 0 .. `count` - 1."""
    return np.asarray(np.bincount(at, values, count), np.float64)


@dataclass(frozen=True, slots=True)
class State:
    """How far a dataset has come."""

    version: (
        str  # changes with every change of counts and of what befell sensors; part of a cache's key (A23)
    )
    closed: int  # buckets that end at or before this time (s) are closed (D15)
    updated: int  # when something was last added (s)


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch of time (s) in which a sensor that should have reported did not."""

    sensor: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Overlap:
    """A stretch of time (s) in which a sensor ran twice: what both incarnations saw is counted twice."""

    sensor: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Loss:
    """Quarters of an hour (s) in a row in which a sensor lost more of what came than it may: packets that it `dropped` of those
    it received, connections for which it had no room."""

    sensor: str
    start: int
    end: int
    received: int
    dropped: int
    connections: int
    evicted: int


Befallen: TypeAlias = Gap | Overlap | Loss
"""What befell a sensor."""


class Snapshot(Protocol):
    """A dataset as it stood at one moment, counted from the rollups."""

    def counts(
        self, filters: Filters, start: int, end: int, step: int | None, by: Dimension = Dimension.stage
    ) -> Cells:
        """Connections with start <= SYN < end, by bucket of `step` seconds and by dimension.

        Without a step all is one bucket, `start`. Buckets begin at ``t - t % step``; those of a week on
        Monday, ``t - (t + 259200) % 604800`` (A18). There is no cell where nothing was counted.
        """
        ...

    def groups(self, filters: Filters, start: int, end: int, by: Dimension) -> Groups:
        """Connections with start <= SYN < end by stage and by another dimension, which is not that of tags."""
        ...

    def state(self) -> State:
        """How far the dataset had come."""
        ...

    def gaps(self, start: int, end: int) -> Sequence[Gap]:
        """Gaps that touch start <= t < end; one that is still open ends with the last closed bucket (A20)."""
        ...

    def overlaps(self, start: int, end: int) -> Sequence[Overlap]:
        """Overlaps that touch start <= t < end."""
        ...

    def losses(self, start: int, end: int) -> Sequence[Loss]:
        """Losses that touch start <= t < end."""
        ...


class Dataset(Protocol):
    """What grows while it is asked; safe to share among threads."""

    def still(self, do: Callable[[Snapshot], Result]) -> Result:
        """What `do` makes of the dataset as it stands; done again on a newer snapshot where files of the first are gone."""
        ...

"""A dataset that is a list of connections, and an installation around it: what the answers are held against."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halfopen.radar.annotations import Annotation
from halfopen.radar.answers import Answer, Surroundings, answer
from halfopen.radar.vocabulary import ENDPOINTS
from halfopen.radar.windows import time_of
from halfopen.store.query import Cell, Cells, Choice, Dimension, Filters, Gap, Groups, Loss, Overlap, State


def at(text: str) -> int:
    """A time that is written down, in s."""
    time = time_of(text)
    assert time is not None
    return time


NOW = at("2026-08-15T09:30:00Z")
"""A Saturday."""

STAGES = ("post_syn", "post_ack", "post_psh", "later_in_flow", "no_match")


@dataclass(frozen=True)
class Seen:
    """One sampled connection."""

    time: int
    stage: str = "no_match"
    rate: float = 1.0
    signature: str = "none"
    tags: frozenset[str] = frozenset()
    asn: str = "64500"
    location: str = "PT"
    continent: str = "EU"
    ip_version: str = "4"
    server_port: str = "443"
    sensor: str = "edge"

    def keys(self, by: Dimension) -> Iterable[str]:
        return sorted(self.tags) if by is Dimension.tag else [str(getattr(self, by.value))]


def passes(filters: Filters, one: Seen) -> bool:
    for dimension in FILTERED:
        choice: Choice[int] | Choice[str] = getattr(filters, dimension.value)
        if choice:
            has = set(one.keys(dimension))
            if choice.include and not has & {str(value) for value in choice.include}:
                return False
            if has & {str(value) for value in choice.exclude}:
                return False
    return True


FILTERED = [dimension for dimension in Dimension if dimension is not Dimension.stage]


@dataclass
class Memory:
    """A `halfopen.store.query.Snapshot`."""

    seen: Sequence[Seen] = ()
    silences: Sequence[Gap] = ()
    closed: int = at("2026-08-15T08:15:00Z")
    updated: int = at("2026-08-15T08:15:00Z")
    version: str = "1"
    twice: Sequence[Overlap] = ()
    lossy: Sequence[Loss] = ()
    asked: list[Filters] = field(default_factory=list)

    def counts(
        self, filters: Filters, start: int, end: int, step: int | None, by: Dimension = Dimension.stage
    ) -> Cells:
        self.asked.append(filters)
        cells: dict[tuple[int, str], list[float]] = {}
        for one in self.seen:
            if start <= one.time < end and passes(filters, one):
                for key in one.keys(by):
                    found = cells.setdefault((_bucket(one.time, step, start), key), [])
                    found.append(1 / one.rate)
        return Cells.of(
            Cell(bucket, key, len(weights), sum(weights), sum(weight * weight for weight in weights))
            for (bucket, key), weights in cells.items()
        )

    def groups(self, filters: Filters, start: int, end: int, by: Dimension) -> Groups:
        self.asked.append(filters)
        found: dict[str, list[list[float]]] = {}
        for one in self.seen:
            if start <= one.time < end and passes(filters, one):
                (key,) = one.keys(by)
                found.setdefault(key, [[] for _ in STAGES])[STAGES.index(one.stage)].append(1 / one.rate)

        def table(add: Callable[[list[float]], float]) -> NDArray[Any]:
            return np.array([[add(each) for each in stages] for stages in found.values()]).reshape(-1, 5)

        squares = table(lambda weights: sum(weight * weight for weight in weights))
        return Groups(list(found), table(len).astype(np.int64), table(sum), squares)

    def state(self) -> State:
        return State(self.version, self.closed, self.updated)

    def gaps(self, start: int, end: int) -> Sequence[Gap]:
        return [gap for gap in self.silences if gap.start < end and gap.end > start]

    def overlaps(self, start: int, end: int) -> Sequence[Overlap]:
        return [one for one in self.twice if one.start < end and one.end > start]

    def losses(self, start: int, end: int) -> Sequence[Loss]:
        return [one for one in self.lossy if one.start < end and one.end > start]


def _bucket(time: int, step: int | None, start: int) -> int:
    if step is None:
        return start
    return time - (time + (259200 if step == 604800 else 0)) % step


def around(*annotations: Annotation) -> Surroundings:
    return Surroundings(
        annotations, "https://radar.example/annotations", name_of, lambda asn: f"of {asn}", "1"
    )


def name_of(by: Dimension, code: str) -> str:
    return f"{by.value} {code}"


def ask(
    path: str, *pairs: tuple[str, str], of: Memory, now: int = NOW, told: Sequence[Annotation] = ()
) -> Answer:
    return answer(ENDPOINTS[path], pairs, of, around(*told), now)


def crowd(
    count: int, start: int, end: int, rates: Sequence[float] = (1.0, 0.5, 0.3), seed: int = 1
) -> list[Seen]:
    """Connections of several sensors with rates of their own."""
    chance = random.Random(seed)
    places = [("64500", "PT", "EU"), ("64501", "US", "NA"), ("64502", "BR", "SA"), ("", "", "")]
    seen = []
    for _ in range(count):
        asn, location, continent = chance.choices(places, (5, 3, 2, 1))[0]
        sensor = chance.randrange(len(rates))
        stage = chance.choices(STAGES, (12, 9, 8, 11, 60))[0]
        tags = frozenset(chance.sample(["timeout", "reset", "zmap", "idle"], chance.randrange(3)))
        seen.append(
            Seen(
                chance.randrange(start, end),
                stage,
                rates[sensor],
                "none" if stage == "no_match" else chance.choice(["syn_timeout", "psh_rst"]),
                tags,
                asn,
                location,
                continent,
                chance.choice("46"),
                chance.choice(["443", "80"]),
                f"edge-{sensor}",
            )
        )
    return seen

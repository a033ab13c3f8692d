"""``GET /sensors``: who delivers connections to the dataset, how far each has come, and what it counts and loses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import groupby
from typing import Final, Literal, TypeAlias

from msgspec import Struct

from halfopen.accounts.permissions import RADAR
from halfopen.api.errors import Answer, Service
from halfopen.api.routes import Call, Route, answered
from halfopen.api.shapes import Time
from halfopen.store.ledger import LATENESS, Ingested, Sensor
from halfopen.store.query import Loss
from halfopen.store.snapshot import Snapshot
from halfopen.store.store import Store

RECENT: Final = 7 * 86400
"""Seconds for which gaps and losses are told."""

State: TypeAlias = Literal["on_time", "late", "silent", "running_twice"]


class IncarnationResult(Struct, frozen=True):
    """One life of a sensor: what it lost (`drops`, packets) and counted since its process began."""

    id: str
    first_heard: Time
    last_heard: Time
    watermark: Time
    sampling_rate: float
    drops: int
    counters: dict[str, int]


class GapResult(Struct, frozen=True):
    """A stretch of time in which a sensor did not report."""

    start: Time
    end: Time


class LossResult(Struct, frozen=True):
    """A stretch of time in which a sensor lost more than a hundredth of the packets it `received`, or of its connections."""

    start: Time
    end: Time
    received: int
    dropped: int
    connections: int
    evicted: int


class LiveSensor(Struct, frozen=True, tag_field="kind", tag="live"):
    """A sensor that watches. It is `silent` once nothing was heard of it for half an hour, and `late` where its watermark lies
    farther back than that. `lag` is the age of the watermark (s). Incarnations come newest first; gaps and losses are of the last
    seven days."""

    name: str
    state: State
    first_heard: Time
    last_heard: Time
    watermark: Time
    lag: int
    incarnations: list[IncarnationResult]
    gaps: list[GapResult]
    losses: list[LossResult]


class Captures(Struct, frozen=True, tag_field="kind", tag="captures"):
    """Captures that were ingested under one name, with how many connections."""

    name: str
    captures: int
    connections: int
    first_ingested: Time
    last_ingested: Time


def sensor_routes(store: Store) -> Iterator[Route]:
    """The one route about sensors, for whoever may read what they delivered: their names are values of a filter."""
    yield Route(
        "GET", "/sensors", partial(_answer, store), "The sensors of the dataset", list[LiveSensor | Captures], RADAR,
        service=Service("Sensors"), tags=("Sensors",),
    )  # fmt: skip


def _answer(store: Store, _: Call) -> Answer:
    facts, still = store.info(), store.dataset.now()
    sensors = sorted(facts.sensors, key=lambda each: each.name)
    files = sorted(facts.files, key=lambda each: each.sensor)
    return answered(
        [
            *(
                _live(list(lives), name in facts.running_twice, still)
                for name, lives in groupby(sensors, lambda each: each.name)
            ),
            *(_captures(name, list(taken)) for name, taken in groupby(files, lambda each: each.sensor)),
        ]
    )


def _live(lives: Sequence[Sensor], twice: bool, still: Snapshot) -> LiveSensor:
    newest_first = sorted(lives, key=lambda each: each.seen, reverse=True)
    name, now = lives[0].name, still.now
    seen, watermark = newest_first[0].seen, max(each.watermark for each in lives)
    state: State = "on_time"
    if twice:
        state = "running_twice"
    elif seen <= now - LATENESS:
        state = "silent"
    elif watermark < now - LATENESS:
        state = "late"
    span = now - RECENT, now
    return LiveSensor(
        name, state, _moment(min(each.since for each in lives)), _moment(seen), _moment(watermark),
        max(now - watermark, 0),
        [
            IncarnationResult(
                each.incarnation, _moment(each.since), _moment(each.seen), _moment(each.watermark), each.rate, each.drops,
                each.counters,
            )
            for each in newest_first
        ],
        [GapResult(_moment(gap.start), _moment(gap.end)) for gap in still.gaps(*span) if gap.sensor == name],
        [_loss(loss) for loss in still.losses(*span) if loss.sensor == name],
    )  # fmt: skip


def _loss(loss: Loss) -> LossResult:
    return LossResult(
        _moment(loss.start), _moment(loss.end), loss.received, loss.dropped, loss.connections, loss.evicted
    )


def _captures(name: str, files: Sequence[Ingested]) -> Captures:
    times = [each.ingested for each in files]
    return Captures(
        name, len(files), sum(each.rows for each in files), _moment(min(times)), _moment(max(times))
    )


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)

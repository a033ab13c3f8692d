"""``GET /store``: what the dataset takes, how long things are kept, and whether there is room for more."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from urllib.parse import urlsplit

from msgspec import Struct

from halfopen.accounts.permissions import ADMINISTRATION
from halfopen.api.errors import Answer, Service
from halfopen.api.routes import Call, Route, answered
from halfopen.api.shapes import Time
from halfopen.server.upkeep import RegularUpkeep
from halfopen.store.place import Place
from halfopen.store.store import Store, TableFacts


class RetentionResult(Struct, frozen=True):
    """For how long single connections, and what they add up to, are kept (s)."""

    connections: int
    rollups: int


class UpkeepResult(Struct, frozen=True):
    """How often upkeep runs (s), when the last whole run ended (null: none has since the server began), how many failed."""

    every: float
    last: Time | None
    failures: int


class DiskResult(Struct, frozen=True):
    """The file system of a dataset that lies in a directory (bytes)."""

    free: int
    total: int


class StoreResult(Struct, frozen=True):
    """What the dataset amounts to, as `halfopen store info` prints it, and how this server looks after it. `rollups_behind` is for how
    long there have been connections that the rollups, and so the charts, lack (s); null where they lack none."""

    place: str
    format: int
    tables: tuple[TableFacts, ...]
    captures: int
    rollups_behind: int | None
    retention: RetentionResult
    upkeep: UpkeepResult
    disk: DiskResult | None


def store_routes(store: Store, upkeep: RegularUpkeep) -> Iterator[Route]:
    """The one route about the store, for administrators: it tells of the host (paths, disks), not of connections."""
    yield Route(
        "GET", "/store", partial(_answer, store, upkeep), "The store of the dataset", StoreResult, ADMINISTRATION,
        service=Service("Store"), tags=("Store",),
    )  # fmt: skip


def _answer(store: Store, upkeep: RegularUpkeep, _: Call) -> Answer:
    facts, waiting = store.info(), store.waiting()
    last = datetime.fromtimestamp(upkeep.last, UTC) if upkeep.last else None
    return answered(
        StoreResult(
            _told(store.place),
            facts.format,
            facts.tables,
            len(facts.files),
            None if waiting is None else max(int(time.time()) - waiting, 0),
            RetentionResult(*upkeep.keep),
            UpkeepResult(upkeep.every, last, upkeep.failures),
            _disk(store.place),
        )
    )


def _told(place: Place) -> str:
    """Where it lies, without what an URL can carry beside: a password, a query."""
    if place.local:
        return str(place.local)
    url = urlsplit(place.uri)
    return f"{url.scheme}://{url.netloc.rpartition('@')[2]}{url.path}"


def _disk(place: Place) -> DiskResult | None:
    if place.local is None:
        return None
    usage = shutil.disk_usage(place.local)
    return DiskResult(usage.free, usage.total)

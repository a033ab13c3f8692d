"""Everybody who works on a store. None of them ever comes to an end: it is killed, or it has found a fault."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path

from halfopen.store.committer import Batch, Committer, Receipt
from halfopen.store.intake import Intake
from halfopen.store.query import Cells, Choice, Dimension, Filters, Snapshot
from halfopen.store.store import Store
from halfopen.store.upkeep import VACUUM_AFTER, Upkeep
from tests.store.processes import fail
from tests.store.rows import BEGIN, table
from tests.store.truth import DIGEST, END, LIMIT, NOW, OLD, PASSING, ROWS, Spool, batch, file_rows


class NoLease:
    """A lease that keeps nobody out: what lies in the store must not depend on turns."""

    step = 0.0

    def attempt(self) -> None: ...

    def check(self) -> None: ...

    def release(self) -> None: ...


def opened(where: str, *, create: bool = False) -> Store:
    return Store(where, create=create, threads=1, freshness=0, clock=lambda: NOW)


def committer_of(where: str, turns: bool) -> Committer:
    return opened(where).committer(lease=None if turns else NoLease())


def commit(where: str, turns: bool, link: str) -> None:
    """The committer, and the thread of its that lets the rollups follow; sensors reach it at `link`."""
    intake = Intake(committer_of(where, turns), lambda _: fail(), 0.01)
    Path(link).unlink(missing_ok=True)
    with Listener(link, "AF_UNIX") as listener:
        while True:
            threading.Thread(target=_take, args=(listener.accept(), intake)).start()


def _take(sensor: Connection[Sequence[Receipt], Sequence[Batch]], intake: Intake) -> None:
    try:
        while True:
            receipts = [intake.put(each) for each in sensor.recv()]
            sensor.send([receipt.result() for receipt in receipts])
    except (EOFError, ConnectionError):
        return  # the sensor was killed
    except BaseException:
        fail()


def sense(link: str, spool: Spool) -> None:
    """A sensor. After each start, and each committer's, it sends again whatever it was not told is held."""
    chance = random.Random()
    while True:
        with suppress(OSError, EOFError), Client(link, "AF_UNIX") as committer:
            _deliver(committer, spool, range(spool.last("held") + 1, spool.last("sent") + 1))
            while True:
                first = spool.last("sent") + 1
                numbers = range(first, first + chance.randint(1, 3))
                _deliver(
                    committer, spool, numbers, chance.randint(1, first), numbers[-1] + chance.randint(2, 9)
                )
                time.sleep(chance.uniform(0, 0.04))
        time.sleep(0.01)


def _deliver(
    committer: Connection[Sequence[Batch], Sequence[Receipt]], spool: Spool, numbers: range, *odd: int
) -> None:
    """Send batches that are due, with some beside them that come once more or too early."""
    if not numbers:
        return
    spool.note("sent", numbers[-1])
    committer.send([batch(spool.sensor, spool.incarnation, number) for number in (*numbers, *odd)])
    for number, receipt in zip((*numbers, *odd), committer.recv(), strict=True):
        assert receipt.held == (number <= numbers[-1]), (number, receipt)
    spool.note("held", numbers[-1])


def roll_up(where: str, turns: bool) -> None:
    """The rollups once more, in a race with the committer's own thread."""
    committer = committer_of(where, turns)
    while True:
        committer.follow()
        time.sleep(0.02)


def ingest(where: str, turns: bool) -> None:
    """One capture in the place of its predecessor, another one in and out, again and again."""
    committer = committer_of(where, turns)
    number = committer.connections.transaction(f"file:{DIGEST}")
    while True:
        number += 1
        parts = [table(file_rows(number)[:2]), table(file_rows(number)[2:])]
        record = committer.ingest(DIGEST, "lab", str(number), parts, replace=True)
        assert record.number == number, record
        committer.ingest(PASSING, "lab", "", [table(file_rows(0))])
        committer.forget_capture(PASSING)
        time.sleep(0.05)


def tend(where: str, turns: bool) -> None:
    """Compaction, retention and vacuum. What left the tables three seconds ago counts as old."""
    now = time.time_ns
    time.time_ns = lambda: now() - (VACUUM_AFTER * 3600 - 3) * 10**9
    upkeep = Upkeep(committer_of(where, turns))
    while True:
        upkeep.compact(6)
        upkeep.prune(NOW - LIMIT, NOW - BEGIN)
        upkeep.vacuum()
        time.sleep(0.1)


def _by_sensor(step: int, now: Snapshot) -> Cells:
    return now.counts(Filters(), BEGIN, END, step, Dimension.sensor)


def read(where: str, reads: str) -> None:
    """Whatever a reader sees is what some commit left, and never goes back."""
    dataset = opened(where).dataset
    seen: Counter[str] = Counter()
    while True:
        for step in (900, 86400):
            found: Counter[str] = Counter()
            for cell in dataset.still(partial(_by_sensor, step)):
                found[cell.key] += cell.connections
            lab = found.pop("lab", 0)
            assert lab in (0, *range(5, 17)), lab
            assert all(n % ROWS == 0 and n >= seen[sensor] for sensor, n in found.items()), (found, seen)
            seen |= found
        for sensor in seen:
            one = Filters(sensor=Choice(frozenset({sensor})))
            single = sum(n for _, n in dataset.numbers(one, LIMIT, END))
            assert single * ROWS >= seen[sensor] * (ROWS - OLD), (single, seen)
            assert single % (ROWS - OLD) == 0, single
        with Path(reads).open("a") as file:
            file.write("read\n")
        time.sleep(0.02)

"""The spool: what it acknowledges is delivered exactly once, whatever breaks; what it loses is counted and told."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from halfopen.sensor.batch_file import rows_of
from halfopen.sensor.spool import Spool, Spooled
from tests.sensor.rows import connections, numbers_of

BEGIN: Final = 1_795_392_000


class Killed(BaseException):
    """The process dies here."""


@contextmanager
def failing(at: int, error: BaseException) -> Iterator[None]:
    """The call number `at` (from 1) to the operating system that changes something fails; 0 for none."""
    left = at

    def counted(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **named: Any) -> Any:
            nonlocal left
            left -= 1
            if left == 0:
                raise error
            return real(*args, **named)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in ("open", "fsync", "link", "truncate", "fdopen"):
            patch.setattr(os, name, counted(getattr(os, name)))
        for name in ("replace", "unlink"):
            patch.setattr(Path, name, counted(getattr(Path, name)))
        yield


class Server:
    """Takes batches by the rules of docs/sensors.md, and keeps their connections."""

    def __init__(self) -> None:
        self.taken: dict[str, int] = {}
        self.sent: dict[tuple[str, int], bytes] = {}
        self.numbers: list[int] = []
        self.watermark: int | None = None
        self.gaps: list[tuple[int, int]] = []

    def deliver(self, batch: Spooled) -> int:
        """The sequence that is expected now."""
        reached = self.taken.get(batch.incarnation, 0)
        key = batch.incarnation, batch.sequence
        if batch.sequence <= reached:
            assert self.sent[key] == bytes(batch.stream), "what was sent under a number stays the same"
        if batch.sequence == reached + 1:
            self.taken[batch.incarnation] = batch.sequence
            self.sent[key] = bytes(batch.stream)
            rows = numbers_of(rows_of(batch.stream))
            assert len(rows) == batch.rows
            self.numbers += rows
            if batch.since is not None:
                assert batch.since <= batch.watermark
                self.gaps.append((self.watermark or 0, batch.since))
            self.watermark = max(batch.watermark, self.watermark or 0)
        return self.taken.get(batch.incarnation, 0) + 1


class Life(RuleBasedStateMachine):
    """A sensor that puts and delivers, on a disk that fails, in processes that are killed."""

    faults = st.one_of(
        st.just((0, "")), st.tuples(st.integers(1, 9), st.sampled_from(("full", "broken", "killed")))
    )

    @initialize(most=st.sampled_from((20_000, 1 << 20)), memory=st.sampled_from((0, 8_000, 1 << 20)))
    def begin(self, most: int, memory: int) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.sizes = most, memory
        self.server = Server()
        self.clock = BEGIN
        self.names = count(1)
        self.times: dict[int, int] = {}  # of all connections
        self.kept: set[int] = set()  # those that were acknowledged
        self.open()

    def open(self) -> None:
        self.spool = Spool(Path(self.folder.name) / "web-1", *self.sizes)
        self.since: int | None = self.clock

    def under(self, fault: tuple[int, str], do: Callable[[], Any]) -> Any:
        at, kind = fault
        number = {"full": errno.ENOSPC, "broken": errno.EROFS}.get(kind)
        try:
            with failing(at, OSError(number, os.strerror(number)) if number else Killed()):
                return do()
        except Killed:
            self.die()
        except OSError:
            pass  # delivery waits, and tries again
        return None

    def die(self) -> None:
        os.close(self.spool._handle)
        self.clock += 10
        self.open()

    @rule(rows=st.integers(0, 9), fault=faults)
    def put(self, rows: int, fault: tuple[int, str]) -> None:
        self.clock += 10
        numbers = [next(self.names) for _ in range(rows)]
        self.times |= dict.fromkeys(numbers, self.clock - 1)
        since, self.since = self.since, None
        made = connections(numbers, self.clock - 1)
        if self.under(fault, lambda: self.spool.put(made, self.clock, since=since)):
            self.kept.update(numbers)

    @rule(fault=faults, answered=st.booleans(), fits=st.integers(1, 9))
    def deliver(self, fault: tuple[int, str], answered: bool, fits: int) -> None:
        batch = self.spool.first()
        if batch is None:
            return
        if batch.rows > fits and (batch.incarnation, batch.sequence) not in self.server.sent:
            self.under(fault, lambda: self.spool.split(batch))
        else:
            assert self.server.deliver(batch) > batch.sequence, "sequences have no holes"
            if answered:
                self.under(fault, lambda: self.spool.forget(batch))

    @rule()
    def restart(self) -> None:
        self.spool.close()
        self.open()

    @rule()
    def kill(self) -> None:
        self.die()

    @rule(fault=faults)
    def renew(self, fault: tuple[int, str]) -> None:
        """The server has lost what it knew of sequences, but for what was never answered."""
        batch = self.spool.first()
        if batch is not None and (batch.incarnation, batch.sequence) not in self.server.sent:
            self.under(fault, self.spool.renew)

    @invariant()
    def nothing_is_doubled(self) -> None:
        if hasattr(self, "server"):
            assert len(self.server.numbers) == len(set(self.server.numbers))

    @invariant()
    def it_stays_within_its_bound(self) -> None:
        if hasattr(self, "folder"):
            files = Path(self.folder.name).glob("web-1/*.batch")
            assert sum(each.stat().st_size for each in files) <= self.sizes[0]

    def teardown(self) -> None:
        if not hasattr(self, "spool"):
            return
        self.drain()
        self.put(0, (0, ""))
        self.drain()
        self.spool.close()
        self.folder.cleanup()
        gone = self.times.keys() - set(self.server.numbers)
        assert not gone & self.kept, "what was acknowledged is there"
        told = all(any(a <= self.times[each] < b for a, b in self.server.gaps) for each in gone)
        assert told, "what is lost lies in a gap"
        assert self.spool.damaged == 0

    def drain(self) -> None:
        while (batch := self.spool.first()) is not None:
            assert self.server.deliver(batch) > batch.sequence
            self.spool.forget(batch)


def test_nothing_acknowledged_is_lost_or_doubled() -> None:
    run_state_machine_as_test(Life, settings=settings(max_examples=60, stateful_step_count=30, deadline=None))

"""One thread from packets to rows: it reads what is there, asks the clock, and hands on what became final."""

from __future__ import annotations

import selectors
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from halfopen.capture.live.wire import Losses, Wire
from halfopen.model import SECOND, STAGES, Batch, counts
from halfopen.pipeline import Judged, LiveJudge
from halfopen.sampling import WHOLE, Sampling
from halfopen.sensor.clock import SteadyClock
from halfopen.sensor.pressure import Pressure

PAUSE: Final = 0.25
"""Seconds after which the clock is asked, where nothing comes."""

BEHIND: Final = SECOND // 2
"""How long (ns) a packet may take until it can be read: longer than any source keeps it back."""

LOOK: Final = SECOND
"""Time between two looks at the ports, the devices and the pressure (ns)."""

HAND_ON: Final = 2 * SECOND
"""Time after which what became final is handed on (ns)."""

NEWS: Final = 15 * SECOND
"""Time after which it is said how far the sensor has come, where nothing became final (ns)."""

STRAGGLING: Final = 25 * 60 * SECOND
"""How long (ns) a connection holds the watermark back. A bucket closes 30 minutes after its end whoever is missing, so a
few connections that say something every ten minutes must not make it look as if the sensor were."""


SMALLEST: Final = WHOLE >> 24
"""The threshold that is not halved any more, that of one connection in 16 million: losses then have reasons that no sample
takes away, and a connection that weighs more than a thousand million is taken nowhere."""

LINGERING: Final = 15 * 60 * SECOND
"""How long (ns) packets of a port that is no longer served are still read: as long as its connections may stay silent.
A server that goes closes its port first and its connections later; they would look as if they had timed out."""


NO_PORTS: Final = frozenset({0})
"""Where nothing listens: no packet has this port, and an empty set would mean all."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a sensor has counted since it began."""

    losses: Losses  # packets, by the operating system
    counters: NDArray[np.int64]  # by `model.Counter`
    stages: tuple[int, ...]  # connections by stage, in the order of `model.STAGES`
    sampling: Sampling  # in force now
    live: int  # connections that are followed now
    steps: int  # how often the clock of the system was set
    lag: int  # s from the watermark that was handed on last to now
    waiting: tuple[str, ...] = ()  # what cannot be watched at the moment, and why

    def by_stage(self) -> dict[str, int]:
        """Connections by stage."""
        return {stage.name: count for stage, count in zip(STAGES, self.stages, strict=True)}

    def told(self) -> dict[str, int | float]:
        """All numbers by name."""
        return {
            "received": self.losses.received,
            "dropped": self.losses.dropped,
            "rate": self.sampling.rate,
            "live": self.live,
            "lag": self.lag,
            "clock_steps": self.steps,
            **counts(self.counters),
            **self.by_stage(),
        }


@dataclass(frozen=True, slots=True)
class Gap:
    """A time (s) in which not all was watched."""

    begin: int | None  # None: since the sensor was last here
    end: int


class Outlet(Protocol):
    """Where connections go once they are final."""

    def take(self, judged: Judged) -> None:
        """Connections with a stage, times by the wall clock; valid during the call."""

    def hand_on(self, watermark: int, gap: Gap | None, report: Report) -> None:
        """All before `watermark` (s) has been taken. A gap in what was watched is told once."""

    def counts(self) -> dict[str, int]:
        """What became of them so far, by name."""

    @property
    def status(self) -> str:
        """How they fare, in words; empty where there is nothing to say."""

    @property
    def behind(self) -> bool:
        """Whether much of what was handed on waits: more is then handed on less often."""


class Sensor:
    """Watches wires until it is told to stop; everything but `stop` and `tell` belongs to the thread that runs it."""

    def __init__(
        self,
        wires: Sequence[Wire],
        judge: LiveJudge,
        outlet: Outlet,
        ports: Callable[[], frozenset[int]],
        *,
        adapts: bool,
        told: Callable[[str], None],
        clock: SteadyClock | None = None,
    ) -> None:
        """`ports` are the servers' ports now; `adapts` says that the sample becomes smaller under pressure. `told` are
        words for people."""
        self._wires, self._judge, self._outlet, self._ports = wires, judge, outlet, ports
        self._told = told
        judge.tracker.oldest()  # kernels that were never compiled are so now, before the time begins
        self._clock = clock or SteadyClock()
        self._now = now = self._clock.look()
        self._pressure = Pressure(now) if adapts else None
        self._stages = np.zeros(len(STAGES) + 1, np.int64)
        self._served: dict[int, int] = {}  # ports by when they were served last
        self._watched: tuple[frozenset[int], frozenset[int], Sampling] | None = None
        self._waiting: tuple[str, ...] = ()
        self._whole_until = now  # up to where everything has been watched
        self._gap: Gap | None = Gap(None, self._seconds(now))
        self._watermark = now
        self._looked = self._handed_on = 0
        self._taken = False
        self._stopping = self._asked = False
        self.latest = self.report()
        """What was counted up to a second ago; for other threads."""
        self._bell, self._ear = socket.socketpair()
        for end in (self._bell, self._ear):
            end.setblocking(False)

    def stop(self) -> None:
        """End soon; safe in a signal's handler."""
        self._stopping = True
        self._ring()

    def tell(self) -> None:
        """Say soon what was counted; safe in a signal's handler."""
        self._asked = True
        self._ring()

    def run(self) -> None:
        """Watch until `stop`; what is final by then has been handed on."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._ear, selectors.EVENT_READ)
            for wire in self._wires:
                selector.register(wire.fileno(), selectors.EVENT_READ)
            while not self._stopping:
                self.step()
                selector.select(PAUSE)
            self.step()
            now = self._clock.look()
            self._take(self._judge.finish(now))
            self._hand_on(now)

    def close(self) -> None:
        """Let go of what it is called by; the wires are others' to close."""
        self._bell.close()
        self._ear.close()

    def step(self) -> None:
        """Read what is there, and see to what is due."""
        self._now = now = self._clock.look()
        self._hear()
        if now - self._looked >= LOOK:
            self._look(now)
            self._looked = now
        for wire in self._wires:
            for batch in wire.batches():
                self._clock.steady(batch.rows, now)
                for piece in self._pieces(batch):
                    self._take(self._judge.feed(piece))
                    self._make_room(now)
        self._take(self._judge.turn(now - BEHIND))
        if not self._waiting:
            self._whole_until = now - BEHIND
        if now - self._handed_on >= (HAND_ON if self._taken and not self._outlet.behind else NEWS):
            self._hand_on(now)

    def report(self) -> Report:
        """What was counted until now."""
        losses = [wire.losses() for wire in self._wires]
        counters = self._judge.tracker.counters.copy()
        for wire in self._wires:
            counters += wire.counters
        return Report(
            Losses(sum(each.received for each in losses), sum(each.dropped for each in losses)),
            counters,
            tuple(int(self._stages[stage]) for stage in STAGES),
            self._judge.tracker.sampling,
            self._judge.tracker.live,
            self._clock.steps,
            (self._now - self._watermark) // SECOND,
            self._waiting,
        )

    def _look(self, now: int) -> None:
        for wire in self._wires:
            wire.look()
        waiting = tuple(wire.waiting for wire in self._wires if wire.waiting)
        if waiting != self._waiting:
            for words in waiting:
                self._told(words)
            if not waiting:
                begin = self._seconds(self._whole_until) if self._gap is None else self._gap.begin
                self._gap = Gap(begin, self._seconds(now))
                self._told("everything is watched again")
            self._waiting = waiting
        self.latest = self.report()
        if self._pressure is not None:
            tracker = self._judge.tracker
            losses = self.latest.losses
            change = self._pressure.look(
                now, tracker.live, tracker.limit, losses.received, losses.dropped, halved=tracker.halved
            )
            if change < 0 and tracker.sampling.threshold > SMALLEST:
                tracker.tighten()
            elif change > 0:
                tracker.loosen()
        self._watch(self._ports(), now)

    def _pieces(self, batch: Batch) -> Iterator[Batch]:
        """So few packets at once that a table that is not full never becomes more than full."""
        size = max(self._judge.tracker.limit // 8, 1)
        for begin in range(0, len(batch.rows), size):
            yield Batch(batch.rows[begin : begin + size], batch.data)

    def _make_room(self, now: int) -> None:
        if self._pressure is None or self._watched is None:
            return
        tracker = self._judge.tracker
        while tracker.sampling.threshold > SMALLEST and self._pressure.full(now, tracker.live, tracker.limit):
            tracker.tighten()
            self._watch(self._watched[0], now)

    def _watch(self, ports: frozenset[int], now: int) -> None:
        watched = ports, self._read(ports, now), self._judge.tracker.sampling
        if watched != self._watched:
            self._judge.tracker.serve(ports)
            for wire in self._wires:
                wire.watch(*watched[1:])
            self._tell_change(ports, watched[2])
            self._watched = watched

    def _read(self, ports: frozenset[int], now: int) -> frozenset[int]:
        """The ports whose packets are to be read when these are served: those of connections that are left, too."""
        self._served |= dict.fromkeys(ports, now)
        self._served = {port: last for port, last in self._served.items() if now - last <= LINGERING}
        return frozenset(self._served) if ports else ports

    def _tell_change(self, ports: frozenset[int], sampling: Sampling) -> None:
        before = self._watched or (None, None, None)
        if ports != before[0]:
            self._told(f"server ports: {spoken_ports(ports)}")
        if sampling != before[2]:
            words = "all connections" if sampling.rate == 1 else f"one connection in {1 / sampling.rate:,.6g}"
            self._told(f"sample: {words}")

    def _take(self, judged: Iterator[Judged]) -> None:
        for each in judged:
            self._clock.wall(each.rows)
            self._stages += np.bincount(each.rows["stage"], minlength=len(self._stages))
            self._outlet.take(each)
            self._taken = True

    def _hand_on(self, now: int) -> None:
        oldest = self._judge.tracker.oldest()
        reached = min(self._whole_until, now - BEHIND)
        watermark = reached if oldest is None else max(min(oldest, reached), reached - STRAGGLING)
        self._watermark = watermark
        seconds = self._seconds(watermark)
        if self._gap is not None and self._gap.begin is None:  # before its end there is nothing more to come
            seconds = max(seconds, self._gap.end)
        self._outlet.hand_on(seconds, self._gap, self.report())
        self._gap, self._taken, self._handed_on = None, False, now

    def _seconds(self, steady: int) -> int:
        return (steady + self._clock.shift) // SECOND

    def _hear(self) -> None:
        with suppress(BlockingIOError):
            while self._ear.recv(64):
                pass
        if self._asked:
            self._asked = False
            counts = self.report().told() | self._outlet.counts()
            self._told(", ".join(f"{name} {value:,}" for name, value in counts.items()))
            if status := self._outlet.status:
                self._told(status)

    def _ring(self) -> None:
        with suppress(OSError):  # full: it is heard anyway; closed: nobody listens any more
            self._bell.send(b"!")


def spoken_ports(ports: frozenset[int]) -> str:
    """Ports in words, neighbours as ranges."""
    if not ports:
        return "all"
    if ports == NO_PORTS:
        return "none: nothing listens here"
    ranges: list[list[int]] = []
    for port in sorted(ports):
        if ranges and ranges[-1][1] == port - 1:
            ranges[-1][1] = port
        else:
            ranges.append([port, port])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges)

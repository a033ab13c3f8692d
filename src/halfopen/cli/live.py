"""What a sensor sees, on a terminal, written anew in place; and each connection as a line, where that is asked for."""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import IO, Final

from halfopen.cli.formats import Ndjson
from halfopen.cli.report import shares
from halfopen.cli.summary import Summary
from halfopen.cli.text import address_and_port, columns, printable
from halfopen.connections.rules import signature_id
from halfopen.model import SECOND, Counter, Stage
from halfopen.pipeline import Judged
from halfopen.places import Places
from halfopen.sensor.sensor import Gap, Report

LATEST: Final = 8
"""Connections that were cut, shown one by one."""

_A_SECOND: Final = 2
"""How often the screen is written anew."""


class Screen:
    """An outlet (`sensor.Outlet`) that adds up, and remembers the latest."""

    def __init__(self, name: str, seconds: float, places: Places | None, lines: IO[bytes] | None) -> None:
        self._name, self._seconds, self._places = name, seconds, places
        self._writer = Ndjson(lines) if lines is not None else None
        self._summary = Summary()
        self._latest: deque[tuple[str, ...]] = deque(maxlen=LATEST)
        self._report: Report | None = None
        self._begun = time.monotonic()
        self._lock = threading.Lock()  # one thread counts, another one shows

    def take(self, judged: Judged) -> None:
        """Count connections, and write a line of each."""
        from halfopen.arrow import record_batch

        cut = (judged.rows["stage"] != Stage.no_match).nonzero()[0]
        with self._lock:
            self._summary.add(judged)
            self._latest.extend(_line(judged, int(row)) for row in cut[-LATEST:])
        if self._writer is not None:
            self._writer.write(self._writer.encode(record_batch(judged)))

    def hand_on(self, watermark: int, gap: Gap | None, report: Report) -> None:
        """Remember what was counted."""
        self._report = report

    def counts(self) -> dict[str, int]:
        """Nothing: they go nowhere."""
        return {}

    @property
    def status(self) -> str:
        """Nothing."""
        return ""

    @property
    def behind(self) -> bool:
        """Never: nothing waits."""
        return False

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show it while the body runs where standard output is a terminal; and at its end, as it then stands."""
        from rich.console import Console
        from rich.live import Live
        from rich.text import Text

        def screen() -> Text:
            return Text(self.text(), no_wrap=True, overflow="ellipsis")

        if sys.stdout.isatty():
            with Live(
                get_renderable=screen,
                console=Console(highlight=False),
                refresh_per_second=_A_SECOND,
                vertical_overflow="crop",
            ):
                yield
        else:
            yield
            print(self.text())

    def text(self) -> str:
        """The screen as it is now; safe in any thread."""
        with self._lock:
            return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        passed = min(time.monotonic() - self._begun, self._seconds)
        summary, report = self._summary, self._report
        yield f"{printable(self._name)}, {passed:.0f} of {self._seconds:.0f} s: {summary.cut:,} of {summary.decided:,} connections were cut"
        if report is not None:
            yield from _counted(report)
        yield from shares(summary, self._places)
        if self._latest:
            yield ""
            yield from columns([("Latest", "Client", "Server", "Stage", "Signature", "Name"), *self._latest])


def _counted(report: Report) -> Iterator[str]:
    counters = report.counters
    sample = "all connections" if report.sampling.rate == 1 else f"1 in {1 / report.sampling.rate:,.6g}"
    parts = [
        f"{report.live:,} followed now",
        f"{counters[Counter.undecided] + counters[Counter.replaced]:,} undecided",
        *(
            f"{counters[each]:,} {each.name}"
            for each in (Counter.evicted, Counter.unsampled)
            if counters[each]
        ),
        f"sample: {sample}",
        f"packets: {counters[Counter.packets]:,}, lost by the system: {report.losses.dropped:,}",
    ]
    yield "; ".join(parts)
    yield from map(printable, report.waiting)


def _line(judged: Judged, row: int) -> tuple[str, ...]:
    one = judged.rows[row]
    name = judged.names[one["name_offset"] : one["name_offset"] + one["name_length"]].tobytes()
    return (
        f"{datetime.fromtimestamp(int(one['end']) // SECOND, UTC):%H:%M:%S}",
        address_and_port(int(one["client_hi"]), int(one["client_lo"]), int(one["client_port"])),
        address_and_port(int(one["server_hi"]), int(one["server_lo"]), int(one["server_port"])),
        Stage(int(one["stage"])).name,
        signature_id(int(one["signature"])),
        printable(name.decode("utf-8", "backslashreplace")),
    )

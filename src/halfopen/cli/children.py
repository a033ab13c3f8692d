"""Processes that one process starts, listens to, starts again when they die, and ends; they end with it, however it ends."""

from __future__ import annotations

import asyncio
import os
import signal
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import Callable, Sequence
from contextlib import suppress
from re import Match, Pattern
from typing import Final

from halfopen.sensor.privileges import end_with

FIRST: Final = 1.0
LONGEST: Final = 60.0
"""Seconds until a process that died is started again: at first, and at most, twice as long each time."""

CALM: Final = 60.0
"""Seconds after which a process that runs counts as well again."""

_CANNOT: Final = 2  # exit code: the command line cannot be used, so once more would not help
_LINE: Final = 1 << 20  # bytes


class Child:
    """One process, under a name, with what its lines are searched for: once one of each was there it is `ready`."""

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        signs: Sequence[Pattern[str]],
        heard: Callable[[str], None],
        said: Callable[[str], None],
        prepare: Callable[[], None] | None = None,
    ) -> None:
        """`heard` gets its lines, `said` words about it; `prepare` is called in the process before its program."""
        self.name = name
        self.found: list[Match[str]] = []
        self.ready = asyncio.Event()
        self.last = ""  # line that it said
        self.code: int | None = None  # with which it ended last
        self._argv, self._signs, self._prepare = argv, signs, prepare
        self._heard, self._said = heard, said
        self._ending = asyncio.Event()
        self._process: Process | None = None

    async def run(self, again: bool = True) -> None:
        """Start it, again and again as it dies, until it is ended or its command line cannot be used.

        Not `again` if it dies before it was ready once.
        """
        loop, pause, well = asyncio.get_running_loop(), FIRST, True
        while not self._ending.is_set():
            began = loop.time()
            await self._once()
            if self._ending.is_set() or (not self.ready.is_set() and (not again or self.code == _CANNOT)):
                break
            if loop.time() - began > CALM:
                pause, well = FIRST, True
            if well:
                self._said(
                    f"the {self.name} ended ({self.last or self.code}); it is started again until it stays"
                )
                well = False
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), pause)
            pause = min(2 * pause, LONGEST)

    async def _once(self) -> None:
        def prepare(parent: int = os.getpid()) -> None:
            if self._prepare is not None:
                self._prepare()
            end_with(parent)

        # A session of its own: Ctrl-C in the terminal is for the one process that ends the others in order.
        self._process = await asyncio.create_subprocess_exec(
            *self._argv, stdin=DEVNULL, stdout=PIPE, stderr=STDOUT, limit=_LINE, start_new_session=True,
            preexec_fn=prepare,
        )  # fmt: skip
        if self._ending.is_set():
            self._process.terminate()
        assert self._process.stdout is not None
        while True:
            try:
                line = await self._process.stdout.readline()
            except ValueError:
                continue  # longer than a line may be, and left out
            if not line:
                break
            self._hear(line.decode(errors="backslashreplace").rstrip("\n"))
        self.code = await self._process.wait()

    def _hear(self, line: str) -> None:
        self.last = line
        self._heard(line)
        if not self.ready.is_set():
            self.found += [match for sign in self._signs if (match := sign.search(line))]
            if len(self.found) == len(self._signs):
                self.ready.set()

    def end(self, by: signal.Signals = signal.SIGTERM) -> None:
        """Tell it to end, and not to be started again; once more: now."""
        self._ending.set()
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.send_signal(by)

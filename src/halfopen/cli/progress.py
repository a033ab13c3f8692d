"""What is shown of work that takes longer than a moment: a progress bar, on a terminal only; who is waited for."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Event, Thread
from typing import TYPE_CHECKING, Final

from halfopen.cli.text import printable

if TYPE_CHECKING:
    from halfopen.capture.source import Capture

MOMENT: Final = 1.0
"""Seconds before anything is shown."""

_STEP: Final = 0.2


@contextmanager
def progress(captures: Sequence[Capture], out: str | None, lines: bool) -> Iterator[None]:
    """Show how far the captures are read, on standard error, while the body runs.

    Nothing is shown where standard error is no terminal, or where `lines` of the result go to the
    same terminal meanwhile.
    """
    if not sys.stderr.isatty() or (lines and out is None and sys.stdout.isatty()):
        yield
        return
    done = Event()
    thread = Thread(target=_show, args=(captures, done), daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _show(captures: Sequence[Capture], done: Event) -> None:
    if done.wait(MOMENT):
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

    parts = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*parts, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("reading", total=None)
        while not done.wait(_STEP):
            taken, sizes = zip(*(capture.progress for capture in captures), strict=True)
            bar.update(task, completed=sum(taken), total=None if None in sizes else sum(sizes))


def waits(holder: str) -> None:
    """Say whom an ingestion or upkeep waits for."""
    print(f"halfopen: waiting for {printable(holder)}, which commits to the dataset", file=sys.stderr)

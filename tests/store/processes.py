"""Processes of the tests, to be killed at any moment.

They are forked from one process that has imported what they need: a start takes some hundredths of a second.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

_PROCESSES: Final = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(["tests.store.lean", "tests.store.roles", "tests.store.steps"])


class Worker:
    """A process that does some `work`; what goes wrong stands in its log."""

    def __init__(self, log: Path, work: Callable[..., None], *facts: Any) -> None:
        self._log = log
        # The environment as it is now: that of the process they are forked from may be older.
        task = log, dict(os.environ), work, facts
        self._process = _PROCESSES.Process(target=_run, args=task, daemon=True)
        self._process.start()
        assert self._process.pid
        self._pid = self._process.pid

    def kill(self) -> None:
        """End it at once, wherever it is; it must not have ended by itself."""
        with suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)
        assert self.killed(), "it ended by itself"

    def killed(self) -> bool:
        """Wait for its end: whether it was killed, or came to the end of its work."""
        self._process.join()
        assert self._process.exitcode in (0, -signal.SIGKILL), self._log.read_text()
        return self._process.exitcode != 0

    @contextmanager
    def paused(self) -> Iterator[None]:
        """It does nothing meanwhile."""
        os.kill(self._pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self._pid, signal.SIGCONT)


def _run(log: Path, environment: dict[str, str], work: Callable[..., None], facts: Sequence[Any]) -> None:
    os.environ.update(environment)
    with log.open("ab") as file:
        os.dup2(file.fileno(), 2)
    try:
        work(*facts)
    except BaseException:
        fail()
    os._exit(0)


def fail() -> None:
    """End this process; what went wrong goes to its log."""
    traceback.print_exc()
    os._exit(1)

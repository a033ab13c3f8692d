"""Runs whole processes and takes their time and memory; light, because a child's peak memory starts at ours."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

MIB = 1 << 20


class CommandError(Exception):
    """A command that did not end well, with the last thing it said."""


@dataclass(frozen=True, slots=True)
class Run:
    """One whole process, with the children it waited for."""

    wall: float  # seconds
    cpu: float  # seconds, user and system
    peak: int  # bytes resident


@dataclass(frozen=True, slots=True)
class Median:
    """Medians of several runs, and the spread of the wall times."""

    wall: float
    cpu: float
    peak: float
    fastest: float
    slowest: float

    @classmethod
    def of(cls, runs: Sequence[Run]) -> Median:
        """The medians of at least one run."""
        walls = [run.wall for run in runs]
        return cls(
            median(walls),
            median(run.cpu for run in runs),
            median(run.peak for run in runs),
            min(walls),
            max(walls),
        )


def run(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Run:
    """Run a command with its output thrown away; raises CommandError."""
    with tempfile.TemporaryFile() as said:
        begin = time.perf_counter()
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=said,
            env={**os.environ, **(environment or {})},
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            last = said.read().decode(errors="replace").strip().splitlines()[-1:]
            raise CommandError(f"{' '.join(command)}: exit {process.returncode}: {' '.join(last)}")
    return Run(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def alternate(commands: Mapping[str, Sequence[str]], rounds: int) -> tuple[dict[str, Median], dict[str, str]]:
    """Every command once in each round (A B C A B C), after one run apart to warm caches; medians and failures."""
    runs: dict[str, list[Run]] = {name: [] for name in commands}
    failures: dict[str, str] = {}
    for turn in range(rounds + 1):
        for name, command in commands.items():
            if name in failures:
                continue
            try:
                result = run(command)
            except (CommandError, OSError) as error:
                failures[name] = str(error)
            else:
                if turn:
                    runs[name].append(result)
    return {name: Median.of(taken) for name, taken in runs.items() if name not in failures}, failures


@contextmanager
def cores(wanted: Iterable[int]) -> Iterator[None]:
    """Children started in here, and this thread, use only these cores: numbers among those we may use, where there are so many."""
    allowed = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {allowed[number % len(allowed)] for number in wanted})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


@dataclass(frozen=True, slots=True)
class Tree:
    """A process that runs, with its descendants."""

    pid: int

    def _pids(self) -> list[int]:
        found = [self.pid]
        for pid in found:
            for task in Path(f"/proc/{pid}/task").iterdir():
                found += map(int, (task / "children").read_text().split())
        return found

    def memory(self) -> int:
        """Bytes of all its processes, shared ones counted once (the sum of PSS)."""
        lines = (Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines() for pid in self._pids())
        return 1024 * sum(int(line.split()[1]) for each in lines for line in each if line.startswith("Pss:"))

    def cpu(self) -> float:
        """Seconds of all its processes so far, user and system."""
        stats = (Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in self._pids())
        return sum(int(each[11]) + int(each[12]) for each in stats) / os.sysconf("SC_CLK_TCK")

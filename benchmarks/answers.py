"""Speed and memory of `halfopen serve`: summaries and time series over a year, beside DuckDB over the same files."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from random import Random
from statistics import median, quantiles
from typing import Any, Final

import duckdb
from measure import MIB, CommandError
from report import Report, mib

import dataset
from halfopen.model import Stage
from halfopen.radar.windows import stamp
from halfopen.store.query import QUARTER
from server import Server, ask, serving

HERE: Final = Path(__file__).resolve().parent
PATH: Final = "/client/v4/radar/tcp_resets_timeouts"
CLIENTS: Final = 32
WEEK: Final = 7
YEAR: Final = 364
IDLE: Final = 60
"""Seconds of rest before memory is looked at."""

MEMORY: Final = 200 * MIB
MEDIAN: Final = 0.010
SLOWEST: Final = 0.050

FILTERS: Final[dict[str, Sequence[tuple[str, str, str]]]] = {
    "none": [("", "", "TRUE")],
    "a network": [("asn", f"{number}", f"asn = {number}") for number in dataset.NETWORKS[::5]],
    "a country": [("location", f"{code}", f"location = '{code}'") for code in dataset.LOCATIONS],
    "a continent": [
        ("continent", code, f"continent = '{code}'") for code in sorted({*map(str, dataset.CONTINENTS)})
    ],
    "a port": [("serverPort", port, f"server_port = {port}") for port in ("443", "80", "22", "8443")],
    "a country and a port": [
        ("serverPort=443&location", f"{code}", f"location = '{code}' AND server_port = 443")
        for code in dataset.LOCATIONS
    ],
}
"""Filters by what they say: parameter, value, condition in SQL."""


@dataclass(frozen=True, slots=True)
class Question:
    """A kind of question; of each there are some hundred that differ in window and filter."""

    words: str
    path: str
    days: int
    step: int | None  # s: length of a bucket
    filters: str
    interval: str = ""

    def asked(self) -> Iterator[tuple[str, str]]:
        """The target of each request, and the same in SQL: none comes twice, all reach into the live hour."""
        ends = [dataset.END - QUARTER * n for n in range(4)]
        windows = [(end - self.days * dataset.DAY - QUARTER * n, end) for n in range(180) for end in ends]
        chance = Random(self.words + self.filters)
        chance.shuffle(windows)
        filters = chance.sample(FILTERS[self.filters], len(FILTERS[self.filters]))
        for (start, end), (name, value, condition) in zip(windows, cycle(filters)):
            query = f"dateStart={stamp(start)}&dateEnd={stamp(end)}"
            query += f"&{name}={value}" if name else ""
            query += f"&aggInterval={self.interval}" if self.interval else ""
            bucket = f"bucket - bucket % {self.step}" if self.step else "0"
            first, last = (
                f"'{stamp(at)[:10]}'" for at in (start - WEEK * dataset.DAY, end)
            )  # parted by week
            yield (
                f"{PATH}/{self.path}?{query}",
                f"SELECT {bucket} AS bucket, stage, sum(connections), sum(weight), sum(squares) FROM rollups "
                f"WHERE day >= {first} AND day <= {last} AND bucket >= {start} AND bucket < {end} "
                f"AND stage <> 5 AND {condition} GROUP BY ALL",
            )


KINDS: Final = (
    ("summary 7d", "summary", WEEK, None, ""),
    ("timeseries_groups 7d by 1h", "timeseries_groups", WEEK, 3600, ""),
    ("timeseries_groups 7d by 15m", "timeseries_groups", WEEK, 900, "15m"),
    ("summary 52w", "summary", YEAR, None, ""),
    ("timeseries_groups 52w by 1d", "timeseries_groups", YEAR, 86400, ""),
)


def store_of(cache: Path) -> Path:
    """The store, made when it is asked for the first time."""
    store = cache / "dataset"
    if not store.exists():
        print(f"making {store} ...", file=sys.stderr, flush=True)
        subprocess.run([sys.executable, HERE / "dataset.py", store], check=True)
    return store


def answers(cache: Path, rounds: int, quick: bool, report: Report) -> None:
    """Answers of a real server, cold and warm, to one client and to many, and what memory it takes."""
    store = store_of(cache)
    requests = 30 if quick else 300
    questions = [
        Question(words, path, days, step, filters, interval)
        for words, path, days, step, interval in KINDS
        for filters in FILTERS
    ]
    size = sum(file.stat().st_size for file in store.rglob("*.parquet"))
    report.say(
        f"{dataset.DAYS} days of {dataset.EACH_DAY:,} connections and an hour of {len(dataset.RATES)} live sensors, "
        f"{mib(size)} MiB in {sum(1 for _ in store.rglob('*.parquet')):,} files."
    )
    with tempfile.TemporaryDirectory(dir=cache) as data:
        with serving(Path(data), "--store", str(store)) as server:
            rest = 1 if quick else IDLE
            time.sleep(rest)
            fresh = server.processes.memory()
            ask(server, [next(each.asked())[0] for each in questions], 1)
            time.sleep(rest)
            idle = server.processes.memory()
            _warm(server, questions, requests, store, report)
            time.sleep(rest)
            loaded = server.processes.memory()
        cold = {question: _cold(question, store, Path(data), rounds) for question in _few(questions)}
    report.table(
        ("first answer of a new server, files not in the page cache", "filter", "median ms", "slowest ms"),
        [(q.words, q.filters, _ms(median(each)), _ms(max(each))) for q, each in cold.items()],
    )
    for words, found in (
        ("before the first question", fresh),
        (f"after {len(questions)} answers", idle),
        ("after all of them", loaded),
    ):
        report.target(
            f"serve, memory after an idle minute {words}",
            f"< {mib(MEMORY)} MiB",
            f"{mib(found)} MiB",
            found < MEMORY,
        )
    report.data["serve"] = {"fresh": fresh, "idle": idle, "loaded": loaded}


def _few(questions: Sequence[Question]) -> list[Question]:
    return [each for each in questions if each.filters in ("none", "a network", "a country")]


def _warm(server: Server, questions: Sequence[Question], requests: int, store: Path, report: Report) -> None:
    files = f"read_parquet('{store}/rollups/grain=15m/*/*.parquet', hive_partitioning = true)"
    peer = duckdb.connect()
    peer.execute("SET parquet_metadata_cache = true")
    peer.execute(f"CREATE VIEW rollups AS SELECT * REPLACE (day::DATE AS day) FROM {files}")
    target, sql = next(questions[0].asked())
    told = {
        name: float(value)
        for name, value in server.get(f"{target}&normalization=RAW_VALUES")["summary_0"].items()
    }
    counted = {Stage(stage).name: weight for _, stage, _, weight, _ in peer.execute(sql).fetchall()}
    if told != counted:
        raise CommandError(f"the answer is not DuckDB's: {told}, {counted}")
    rows = []
    worst: dict[tuple[int, int], list[float]] = {}
    for question in questions:
        asked = question.asked()
        ask(server, (target for target, _ in islice(asked, 10)), 1)  # files into the page cache
        cells = [question.words, question.filters]
        for clients, count in ((1, requests), (CLIENTS, requests)):
            targets = [target for target, _ in islice(asked, count)]
            before = server.processes.cpu()
            taken, whole = ask(server, targets, clients)
            spent = server.processes.cpu() - before
            p50, p99 = median(taken), quantiles(taken, n=100)[98]
            slowest = worst.setdefault((question.days, clients), [0.0, 0.0])
            slowest[:] = max(slowest[0], p50), max(slowest[1], p99)
            cells += [_ms(p50), _ms(p99)]
            if clients > 1:
                cells += [f"{len(taken) / whole:.0f}", _ms(spent / len(taken))]
            else:
                alone = p50
        beside = median(_timed(partial(_fetched, peer, sql)) for _, sql in islice(asked, 8))
        cells += [_ms(beside), f"{beside / alone:.1f}"]
        rows.append(tuple(cells))
    target = next(target for target, _ in questions[0].asked())
    for clients in (1, CLIENTS):
        taken, whole = ask(server, [target] * (requests * 4), clients)
        report.say(
            f"An answer that is kept, {clients} client{'s' * (clients > 1)}: p50 {_ms(median(taken))} ms, "
            f"p99 {_ms(quantiles(taken, n=100)[98])} ms, {len(taken) / whole:,.0f} requests/s."
        )
    report.table(
        (
            "question", "filter", "1 client: p50 ms", "p99 ms", f"{CLIENTS} clients: p50 ms", "p99 ms",
            "requests/s", "CPU ms of the server", "DuckDB ms", "of it to ours",
        ),
        rows,
    )  # fmt: skip
    for days, clients, limits in (
        (WEEK, 1, (MEDIAN, SLOWEST)), (WEEK, CLIENTS, (None, SLOWEST)), (YEAR, 1, (None, SLOWEST)), (YEAR, CLIENTS, (None, SLOWEST)),
    ):  # fmt: skip
        for limit, name, found in zip(limits, ("p50", "p99"), worst[days, clients], strict=True):
            if limit:
                words = f"{days} days, {clients} client{'s' * (clients > 1)}: worst {name} of all rows"
                report.target(words, f"< {_ms(limit)} ms", f"{_ms(found)} ms", found < limit)


def _cold(question: Question, store: Path, data: Path, rounds: int) -> list[float]:
    """Seconds of the first answer of a new server while the files of the store are not in the page cache."""
    taken = []
    for target, _ in islice(question.asked(), rounds):
        with serving(data, "--store", str(store)) as server:
            for path in store.rglob("*"):
                if path.is_file():
                    _forget(path)
            taken += ask(server, [target], 1)[0]
    return taken


def _forget(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(handle)


def _fetched(peer: Any, sql: str) -> object:
    return peer.execute(sql).fetchall()


def _timed(do: Callable[[], object]) -> float:
    begin = time.perf_counter()
    do()
    return time.perf_counter() - begin


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f}"

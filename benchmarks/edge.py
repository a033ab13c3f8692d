"""What an edge carries, and what its connections cost, beside nginx as a reverse proxy and a tunnel of OpenSSH to the same origin."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Final

from measure import MIB, CommandError, cores
from report import Report, mib
from tests.edge.place import Place
from visitors import Taken, ask, download, upload
from ways import (
    LARGE,
    REST,
    SMALL,
    Way,
    connector,
    connectors,
    forwarded,
    origin,
    program,
    proxied,
    tunnelled,
)

PROTOCOLS: Final = {"http2": "HTTP/2", "quic": "QUIC"}
KINDS: Final = {SMALL: "1 KiB", LARGE: "1 MiB"}
CLIENTS: Final = (1, 32, 256)
IDLE: Final = 250
"""Connectors, of four connections each, whose memory is taken."""

CROWD: Final = 2_000
"""Connectors of the whole crowd, of four connections each."""

EACH: Final = 4
REPLICAS: Final = 5
"""Connectors of a tunnel in the crowd."""

RATE: Final = 2_500
"""Small requests a second over HTTP/2 that a core of the edge is to carry."""

BULK: Final = {"http2": (100, 100), "quic": (30, 15)}
"""MB/s from origin to visitor, and the other way."""

MEMORY: Final = 100 << 10
"""Bytes of an idle connection over HTTP/2."""

NGINX: Final = "nginx"
SSH: Final = "ssh -R"


@dataclass(frozen=True, slots=True)
class Carried:
    """One large body."""

    rate: float  # bytes/s
    cpu: float  # s of the middle for a GB


def edge(cache: Path, rounds: int, quick: bool, report: Report) -> None:
    """Requests and bulk over each way, then many connections that do nothing."""
    if program("wrk") is None:
        raise CommandError("left out, not installed: wrk (Debian: wrk)")
    if len(os.sched_getaffinity(0)) < 2:
        raise CommandError("left out: it takes two cores to tell an edge from its load")
    memory = Path("/dev/shm")  # so that no disk is measured
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else cache) as name, cores(REST):
        folder = Path(name)
        folder.chmod(0o700)
        huge = (64 if quick else 512) * MIB
        with origin(folder, huge) as port:
            ways: dict[str, Callable[[], AbstractContextManager[Way]]] = {
                NGINX: partial(proxied, folder / "proxy", port),
                SSH: partial(forwarded, folder / "ssh", port),
            }
            places = {each: Place(_new(folder / each), port) for each in PROTOCOLS}
            for protocol, place in places.items():
                ways[_ours(protocol)] = partial(tunnelled, place, protocol)
            with _opened(ways, report) as opened:
                _requests(opened, 1 if quick else rounds, 1 if quick else 4, report)
                _bulk(opened, 1 if quick else rounds, huge, folder / "files" / "put" / str(huge), report)
            for protocol in PROTOCOLS:
                if _ours(protocol) in opened:
                    where = Place(_new(folder / f"crowd-{protocol}"), port)
                    _crowd(where, protocol, quick, report)


def _new(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _ours(protocol: str) -> str:
    return f"halfopen edge, {PROTOCOLS[protocol]}"


@contextmanager
def _opened(
    ways: Mapping[str, Callable[[], AbstractContextManager[Way]]], report: Report
) -> Iterator[dict[str, Way]]:
    """Those of the ways that lead to the origin, warm."""
    with ExitStack() as open_:
        found = {}
        for name, way in ways.items():
            try:
                opened = open_.enter_context(way())
                ask(opened, SMALL, CLIENTS[1], 1)
            except CommandError as error:
                report.say(f"- {name}: {error}")
            else:
                found[name] = opened
        report.say(f"The connector is {connector()}.")
        yield found


def _requests(ways: Mapping[str, Way], rounds: int, seconds: int, report: Report) -> None:
    taken: dict[tuple[int, int, str], list[Taken]] = {}
    failed: set[tuple[int, int, str]] = set()
    for _ in range(rounds):
        for size in (SMALL, LARGE):
            for clients in CLIENTS:
                for name, way in ways.items():
                    key = (size, clients, name)
                    if key in failed:
                        continue
                    try:
                        found = ask(way, size, clients, seconds)
                    except CommandError as error:
                        report.say(f"- failed: {name}, {clients} clients, {KINDS[size]}: {error}")
                        failed.add(key)
                    else:
                        taken.setdefault(key, []).append(found)
    rows, medians = [], {}
    for (size, clients, name), each in taken.items():
        mid = medians[size, clients, name] = Taken(
            median(one.rate for one in each),
            median(one.p99 for one in each),
            median(one.cpu for one in each),
        )
        rows.append(
            (
                name, KINDS[size], str(clients), f"{mid.rate:,.0f}", f"{mid.p99 * 1e3:.1f}",
                f"{mid.cpu * 1e6:,.0f}", f"{1 / mid.cpu:,.0f}" if mid.cpu else "-",
            )
        )  # fmt: skip
    report.table(
        ("way", "body", "clients", "requests/s", "p99 ms", "CPU us a request", "of a whole core: per s"), rows
    )
    _request_targets(medians, report)
    report.data["edge: requests"] = {" ".join(map(str, key)): asdict(each) for key, each in medians.items()}


def _request_targets(medians: Mapping[tuple[int, int, str], Taken], report: Report) -> None:
    ours = medians.get((SMALL, 32, _ours("http2")))
    if ours is None:
        return
    core = 1 / ours.cpu
    report.target("edge: small requests/s of a core, HTTP/2", f">= {RATE:,}", f"{core:,.0f}", core >= RATE)
    for clients in CLIENTS:
        mine, ssh = (medians.get((SMALL, clients, name)) for name in (_ours("http2"), SSH))
        if mine and ssh:
            ratio = mine.rate / ssh.rate
            report.target(
                f"edge: small requests/s beside {SSH}, {clients} clients",
                ">= 1 x",
                f"{ratio:.2f} x",
                ratio >= 1,
            )


def _bulk(ways: Mapping[str, Way], rounds: int, size: int, put: Path, report: Report) -> None:
    kinds = {"origin to visitor": download, "visitor to origin": upload}
    taken: dict[tuple[str, str], list[Carried]] = {}
    for _ in range(rounds):
        for kind, carry in kinds.items():
            for name, way in ways.items():
                before, begin = way.middle.cpu(), time.perf_counter()
                try:
                    carry(way, size)
                except (CommandError, OSError) as error:
                    report.say(f"- failed: {name}, {kind}: {error}")
                    continue
                lasted, spent = time.perf_counter() - begin, way.middle.cpu() - before
                taken.setdefault((kind, name), []).append(Carried(size / lasted, spent / size * 1e9))
                put.unlink(missing_ok=True)
    rows, medians = [], {}
    for (kind, name), each in taken.items():
        mid = medians[kind, name] = Carried(median(one.rate for one in each), median(one.cpu for one in each))
        rows.append((name, kind, f"{mid.rate / 1e6:,.0f}", f"{mid.cpu:.2f}"))
    report.table(("way", f"one body of {size // MIB} MiB", "MB/s", "CPU s a GB"), rows)
    for protocol, wanted in BULK.items():
        for kind, least in zip(kinds, wanted, strict=True):
            if found := medians.get((kind, _ours(protocol))):
                rate = found.rate / 1e6
                report.target(
                    f"edge: MB/s {kind}, {PROTOCOLS[protocol]}", f">= {least}", f"{rate:,.0f}", rate >= least
                )
    report.data["edge: bulk"] = {" ".join(key): asdict(each) for key, each in medians.items()}


def _crowd(place: Place, protocol: str, quick: bool, report: Report) -> None:
    """Connectors that stay, first some, then all; and a visitor of one of them."""
    rows: list[tuple[str, ...]] = []
    found: dict[str, float] = {}
    waited = 2 if quick else 30
    with ExitStack() as open_:
        try:
            way = open_.enter_context(tunnelled(place, protocol))
            ask(way, SMALL, 32, 1)
            fresh, there = way.middle.memory(), 0
            for wanted in (IDLE // 10, CROWD // 40) if quick else (IDLE, CROWD):
                made = [  # of tunnels that lead nowhere
                    place.tunnel(f"idle-{number}", remote=False)[1]
                    for number in range(there, wanted, REPLICAS)
                ]
                tokens = [token for token in made for _ in range(REPLICAS)]
                begin, before = time.perf_counter(), way.middle.cpu()
                open_.enter_context(connectors(place, protocol, tokens))
                lasted, spent = time.perf_counter() - begin, way.middle.cpu() - before
                came = (wanted - there) * EACH
                there = wanted
                time.sleep(waited / 10)
                each = (way.middle.memory() - fresh) / (wanted * EACH)
                before = way.middle.cpu()
                time.sleep(waited)
                idle = (way.middle.cpu() - before) / waited
                visitors = ask(way, SMALL, 32, 1 if quick else 5)
                found[f"{wanted * EACH} bytes"], found[f"{wanted * EACH} idle"] = each, idle
                rows.append(
                    (
                        f"{wanted:,}", f"{wanted * EACH:,}", f"{came / lasted:,.0f}", f"{spent / came * 1e3:.2f}",
                        mib(way.middle.memory()), f"{each / 1024:.0f}", f"{idle * 100:.1f}", f"{visitors.rate:,.0f}",
                        f"{visitors.p99 * 1e3:.1f}",
                    )
                )  # fmt: skip
        except CommandError as error:
            report.say(f"- failed: {_ours(protocol)}, many connectors: {error}")
    if not rows:
        return
    report.say("", f"Idle connectors, {PROTOCOLS[protocol]}:")
    report.table(
        (
            "connectors", "connections", "registered/s", "CPU ms each", "edge, MiB", "KiB a connection", "CPU % while idle",
            "32 visitors beside: requests/s", "p99 ms",
        ),
        rows,
    )  # fmt: skip
    kib = next(iter(found.values())) / 1024
    if protocol == "http2":
        most = MEMORY / 1024
        report.target(
            "edge: memory of an idle connection, HTTP/2", f"< {most:.0f} KiB", f"{kib:.0f} KiB", kib < most
        )
    report.data[f"edge: idle, {protocol}"] = found

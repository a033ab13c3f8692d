"""Speed of the tunnels' registry and API: 10,000 tunnels with 40,000 connections, on SQLite and on PostgreSQL."""

from __future__ import annotations

import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from random import Random
from statistics import median, quantiles
from typing import Any, Final
from uuid import UUID

import psycopg
from measure import CommandError
from report import Report
from sqlalchemy import insert
from tests.databases.cluster import Cluster, programs, running

from halfopen.accounts import Accounts
from halfopen.config import key_file
from halfopen.database.database import FILE, Database
from halfopen.tunnels.installation import Installation
from halfopen.tunnels.registrations import Refused, Registration
from halfopen.tunnels.schema import TUNNELS
from halfopen.tunnels.sessions import Session
from halfopen.tunnels.vault import Vault
from server import ask, serving

TUNNELS_IN_ALL: Final = 10_000
EACH: Final = 4
"""Connections of a tunnel, all of one connector."""

CALLERS: Final = 64
"""Threads that register at once, a connection at a time, as connectors come."""

REGISTERED: Final = 5_000
REQUESTS: Final = 2_000
MEDIAN: Final = 0.005
SLOWEST: Final = 0.020
RATES: Final = {"SQLite": 1_000, "PostgreSQL": 2_000}

_SECRET: Final = bytes(32)
_CHANCE: Final = Random(1)
_IDS: Final = [str(UUID(int=_CHANCE.getrandbits(128), version=4)) for _ in range(TUNNELS_IN_ALL)]


def tunnels(cache: Path, quick: bool, report: Report) -> None:
    """Registrations of both databases, then the answers of a server on SQLite."""
    count = 1_000 if quick else TUNNELS_IN_ALL
    report.say(f"{count:,} tunnels of one account with {count * EACH:,} connections.")
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        rows = []
        for name, database in (("SQLite", nullcontext(None)), ("PostgreSQL", _postgresql())):
            if name == "PostgreSQL" and programs() is None:
                report.say("- PostgreSQL is left out: it is not installed (Debian: postgresql)")
                continue
            data = Path(folder) / name
            data.mkdir(mode=0o700)
            with database as url:
                rows.append(_registrations(name, data, url, count, report))
        report.table(
            (
                "database", "filled, connections/s", f"{CALLERS} callers, each its own: per s", "p50 ms", "p99 ms",
                "bare inserts, a commit each: per s", "ours beside it",
            ),
            rows,
        )  # fmt: skip
        _answers(Path(folder) / "SQLite", count, REQUESTS // 10 if quick else REQUESTS, report)


@contextmanager
def _postgresql() -> Iterator[str]:
    # In a short path, as names of sockets are; with its own defaults, so a commit is on the disk.
    with tempfile.TemporaryDirectory(prefix="halfopen-pg-") as folder:
        Path(folder).chmod(0o755)
        with running(Path(folder), {}), Cluster(folder).database() as url:
            yield url


def _registrations(name: str, data: Path, url: str | None, count: int, report: Report) -> tuple[str, ...]:
    _make_tunnels(data, url, count)
    here = Installation(data, url)
    account = here.accounts.every_account()[0].id
    edge = here.edges.enrol("bench", "lhr01")
    session = here.registry.begin(edge.id)
    everyone = [_asked(account, tunnel, index) for tunnel in range(count) for index in range(EACH)]
    begin = time.perf_counter()
    for first in range(0, len(everyone), 200):
        _register(here, session, everyone[first : first + 200])
    filled = len(everyone) / (time.perf_counter() - begin)

    again = _CHANCE.sample(everyone, min(REGISTERED, len(everyone)))  # each comes back, and replaces itself
    taken: list[float] = []

    def one(each: Registration) -> None:
        begin = time.perf_counter()
        _register(here, session, [each])
        taken.append(time.perf_counter() - begin)

    begin = time.perf_counter()
    with ThreadPoolExecutor(CALLERS) as callers:
        list(callers.map(one, again))
    rate = len(again) / (time.perf_counter() - begin)
    bare = _bare(data, url, again[: len(again) // 5])
    # As the edge would: what was replaced is closed.
    here.registry.heartbeat(session, [])
    here.close()
    report.target(f"registrations/s on {name}", f">= {RATES[name]:,}", f"{rate:,.0f}", rate >= RATES[name])
    report.data[f"registrations {name}"] = {"filled": filled, "rate": rate, "bare": bare}
    p50, p99 = median(taken), quantiles(taken, n=100)[98]
    return name, f"{filled:,.0f}", f"{rate:,.0f}", _ms(p50), _ms(p99), f"{bare:,.0f}", f"{rate / bare:.2f}"


def _make_tunnels(data: Path, url: str | None, count: int) -> None:
    """As `Tunnels.create` makes them, in one transaction."""
    database = Database.open(data, url)
    vault = Vault(key_file(data))
    with closing(Accounts(database)) as accounts:
        (account, *_) = accounts.every_account()
        with database.writing() as connection:
            connection.execute(
                insert(TUNNELS),
                [
                    {
                        "id": identifier, "account_id": account.id, "name": f"tunnel-{number:05}",
                        "config_src": ("local", "cloudflare")[number % 2], "secret": vault.seal(identifier, _SECRET),
                        "created": database.now(connection), "ran": False,
                    }
                    for number, identifier in enumerate(_IDS[:count])
                ],
            )  # fmt: skip


def _asked(account: str, tunnel: int, index: int) -> Registration:
    return Registration(
        account=account,
        tunnel=_IDS[tunnel],
        secret=_SECRET,
        connector=_IDS[-tunnel],  # any id, the same each time
        conn_index=index,
        version="2026.8.2",
        arch="linux_amd64",
        features=("serialized_headers", "support_datagram_v2", "support_quic_eof", "allow_remote_config"),
        origin_ip=f"198.51.100.{tunnel % 250}",
    )


def _register(here: Installation, session: Session, asked: Sequence[Registration]) -> None:
    for told in here.registry.register(session, asked):
        if isinstance(told, Refused):
            raise CommandError(f"a registration was refused: {told.cause}")


def _bare(data: Path, url: str | None, asked: Sequence[Registration]) -> float:
    """Rows a second that the database's own driver inserts into a table without indexes, each in a commit of its own."""
    rows = [(each.tunnel, each.connector, each.conn_index, each.version, each.origin_ip) for each in asked]
    table = "CREATE TABLE bare (tunnel TEXT, connector TEXT, place INTEGER, version TEXT, origin_ip TEXT)"
    if url is None:
        with closing(sqlite3.connect(data / "bare.sqlite", isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(table)
            return _rate(lambda row: connection.execute("INSERT INTO bare VALUES (?, ?, ?, ?, ?)", row), rows)
    with psycopg.connect(url, autocommit=True) as peer:
        peer.execute(table)
        return _rate(lambda row: peer.execute("INSERT INTO bare VALUES (%s, %s, %s, %s, %s)", row), rows)


def _rate(do: Callable[[Any], object], rows: Sequence[Any]) -> float:
    begin = time.perf_counter()
    for row in rows:
        do(row)
    return len(rows) / (time.perf_counter() - begin)


def _answers(data: Path, count: int, requests: int, report: Report) -> None:
    database = sqlite3.connect(data / FILE)
    (account,) = database.execute("SELECT DISTINCT account_id FROM tunnels").fetchone()
    base = f"/client/v4/accounts/{account}/cfd_tunnel"
    anybody = [_CHANCE.choice(_IDS[:count]) for _ in range(requests)]
    names = [f"tunnel-{_CHANCE.randrange(count):05}" for _ in range(requests)]
    kinds: dict[str, Iterator[str]] = {
        "connections of a tunnel": (f"{base}/{each}/connections" for each in anybody),
        "a tunnel": (f"{base}/{each}" for each in anybody),
        "by name": (f"{base}?name={each}" for each in names),
        "a page of 50": (f"{base}?per_page=50&page={1 + n % 20}" for n in range(requests // 10)),
        "a page of 50 of those that are healthy": (
            f"{base}?status=healthy&per_page=50&page={1 + n % 20}" for n in range(requests // 10)
        ),
        "by the beginning of the name, 10 of them": (
            f"{base}?include_prefix={each[:-1]}&is_deleted=false" for each in names[: requests // 10]
        ),
    }
    peer = _peer(database, anybody)
    rows = []
    with serving(data, permissions=["Cloudflare Tunnel Read"]) as server:
        for words, targets in kinds.items():
            asked = list(targets)
            ask(server, asked[:20], 1)
            taken, _ = ask(server, asked, 1)
            many, whole = ask(server, asked, 32)
            p50, p99 = median(taken), quantiles(taken, n=100)[98]
            rows.append(
                (words, _ms(p50), _ms(p99), _ms(quantiles(many, n=100)[98]), f"{len(many) / whole:,.0f}")
            )
            if words == "connections of a tunnel":
                report.target(
                    "connections of a tunnel, p50", f"< {_ms(MEDIAN)} ms", f"{_ms(p50)} ms", p50 < MEDIAN
                )
                report.target(
                    "connections of a tunnel, p99", f"< {_ms(SLOWEST)} ms", f"{_ms(p99)} ms", p99 < SLOWEST
                )
    database.close()
    report.table(
        ("asked over HTTP, SQLite", "1 client: p50 ms", "p99 ms", "32 clients: p99 ms", "requests/s"), rows
    )
    report.say(f"The rows of a tunnel's connections out of bare SQLite: {_ms(peer)} ms.")


def _peer(database: sqlite3.Connection, ids: Sequence[str]) -> float:
    query = "SELECT * FROM connections JOIN connectors USING (tunnel_id) WHERE tunnel_id = ? AND dead IS NULL"
    taken = []
    for each in ids:
        begin = time.perf_counter()
        database.execute(query, (each,)).fetchall()
        taken.append(time.perf_counter() - begin)
    return median(taken)


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.2f}"

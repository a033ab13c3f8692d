"""The dataset: where it lies, who delivers to it, and what is known of clients' places."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import Final

from halfopen.cli import options
from halfopen.cli.checks.finding import Examined, Finding, Level

_OLD: Final = 180
"""Days after which a places file is old: networks move."""

_PATIENCE: Final = 3.0
"""Seconds for the turn of whoever commits."""


def places(examined: Examined) -> Iterator[Finding]:
    """Which places files a server would use."""
    from halfopen.places import Places

    sources = Places.open(options.places(examined.serve, examined.data)).sources
    if not sources:
        yield Finding(
            Level.note, "places", "no places files: networks and countries of clients are unknown",
            f"put MMDB files into {examined.data / 'places'} (docs/places.md says where to get them)",
        )  # fmt: skip
    for each in sources:
        age = None if each.built is None else (datetime.now(UTC).date() - each.built).days
        words = f"{each.path}, {'without a date' if age is None else f'{age:,} days old'}: {', '.join(each.gives) or 'nothing known'}"
        if not each.gives:
            yield Finding(Level.problem, "places", words, "a file with networks or countries")
        elif age is not None and age > _OLD:
            yield Finding(Level.note, "places", words, "a newer one: addresses change hands")
        else:
            yield Finding(Level.ok, "places", words)


def store(examined: Examined) -> Iterator[Finding]:
    """Whether the dataset opens, whether one can commit to it, and whether its rollups keep up."""
    from halfopen.errors import LeaseError
    from halfopen.store.ledger import LATENESS
    from halfopen.store.schema import CONNECTIONS
    from halfopen.store.store import Store

    with closing(Store(examined.store)) as opened:
        facts = opened.info()
        connections = next(each for each in facts.tables if each.name == CONNECTIONS.name)
        words = f"{facts.place} opens: {connections.rows:,} connections in {connections.files:,} files"
        try:
            with opened.committer(patience=_PATIENCE).lock:
                yield Finding(Level.ok, "store", words)
        except LeaseError as error:
            yield Finding(
                Level.note,
                "store",
                f"{words}; {error}",
                "right while something large is ingested; otherwise end that process",
            )
        since = opened.waiting()
        if since is not None:
            behind = int(time.time()) - since
            yield Finding(
                Level.problem if behind > LATENESS else Level.note, "store",
                f"its rollups lack connections that came {_ago(behind)}, so charts do not show them",
                "the next commit brings them up, or `halfopen store prune`; where that fails it says why, as server and sensor do in their logs",
            )  # fmt: skip


def sensors(examined: Examined) -> Iterator[Finding]:
    """Whether the sensors that deliver are alive, and how far they have come."""
    from halfopen.store.ledger import LATENESS
    from halfopen.store.store import Store

    with closing(Store(examined.store)) as opened:
        facts = opened.info()
    now = int(time.time())
    last = {each.name: each for each in sorted(facts.sensors, key=lambda each: each.seen)}
    if not last:
        yield Finding(
            Level.note,
            "sensors",
            "none has delivered",
            "`halfopen sense` watches this host; captures need none",
        )
    for name, each in last.items():
        heard, lag = now - each.seen, now - each.watermark
        words = f"{name} was heard of {_ago(heard)} and has delivered all up to {_ago(lag)}"
        if heard > LATENESS:
            remedy = f"start it, or let go of it: halfopen store forget --sensor {name}"
            yield Finding(Level.problem, "sensors", words, remedy)
        elif lag > 2 * LATENESS:
            yield Finding(Level.note, "sensors", words, "it is behind; its own log says why")
        else:
            yield Finding(Level.ok, "sensors", words)
    for name in facts.running_twice:
        words = f"{name} runs twice: what both see is counted twice"
        yield Finding(Level.problem, "sensors", words, "end one of them, or give it another --name")


def _ago(seconds: int) -> str:
    for unit, length in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length:,} {unit} ago"
    return f"{max(seconds, 0)} s ago"

"""Rollups follow connections: what each committed version added, less what it removed, in all grains."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from typing import Any, Final

import pyarrow.compute as pc

from halfopen.store.engine import Engine
from halfopen.store.place import Overtaken
from halfopen.store.schema import KEYS, KINDS, LESS, ROLLUPS, WHOLE
from halfopen.store.tables import Change, File, Table

FOLLOWED: Final = "connections"
"""Application transaction of rollups: the last version of connections that they hold."""

PRUNED: Final = "pruned"
"""Application transaction of rollups that counts how often rows went by retention."""

DATA: Final = "data"
RETENTION: Final = "retention"
ERASURE: Final = "erasure"
LAYOUT: Final = "layout"
"""Kinds of commits. Only data changes the rollups: what retention removes from connections stays in them, and erasure
takes nothing out of connections but who they were from."""

VERSIONS_AT_ONCE: Final = 200
"""Versions followed in one commit after a long absence."""

# A row that adds up to nothing goes, but for the rounding of sums of weights.
SOMETHING: Final = "sum(connections) <> 0 OR abs(sum(weight)) > 1e-6 OR abs(sum(squares)) > 1e-6"

_SUMS: Final = "sum(connections)::BIGINT AS connections, sum(weight) AS weight, sum(squares) AS squares"
_ORDER: Final = "kind, asn, continent, location, bucket"

QUARTERS: Final = f"""
    SELECT '{WHOLE}' AS kind, bucket, sensor, coalesce(asn, 0) AS asn, coalesce(location, '') AS location,
           coalesce(continent, '') AS continent, stage, signature, tags, ip_version, server_port,
           CASE WHEN file IS NULL THEN 0 ELSE ingested - ingested % 86400 END AS ingested,
           sum(sign)::BIGINT AS connections, sum(sign * weight) AS weight, sum(sign * weight * weight) AS squares
    FROM (SELECT *, 1 AS sign FROM {{added}} UNION ALL BY NAME SELECT *, -1 AS sign FROM {{removed}})
    GROUP BY ALL
    HAVING sum(sign) <> 0 OR abs(sum(sign * weight)) > 1e-6 OR abs(sum(sign * weight * weight)) > 1e-6
    ORDER BY {_ORDER}
"""


def _summed(source: str, **replaced: str) -> str:
    """Rows of a source added up, with expressions in the place of some keys."""
    keys = ", ".join(f"{replaced[key]} AS {key}" if key in replaced else key for key in KEYS)
    return f"SELECT {keys}, {_SUMS} FROM {source} GROUP BY ALL HAVING {SOMETHING}"


def _less(kind: str, kept: Sequence[str]) -> str:
    blank = {
        column.name: "''" if column.type == "string" else "0"
        for column in ROLLUPS.columns
        if column.name in KEYS and column.name not in (*kept, "bucket", "ingested")
    }
    return _summed("{rows}", **{**blank, "kind": f"'{kind}'"})


_DAYS: Final = f"{_summed('{quarters}', bucket='bucket - bucket % 86400')} ORDER BY {_ORDER}"
_LESS: Final = f"{' UNION ALL '.join(_less(*each) for each in KINDS.items())} ORDER BY {_ORDER}"
MERGED: Final = f"{_summed('{rows}')} ORDER BY {_ORDER}"
_ON_TOP: Final = MERGED.format(rows="(SELECT * FROM {old} UNION ALL BY NAME SELECT * FROM {new})")

PARTITION: Final = {"15m": "week", "1d": "month"}
"""What one partition of a grain spans: of files that are many a question takes long to open them."""

SHORT: Final = 1 << 15
"""Rows up to which a file is written anew with what comes on top of it; longer ones upkeep puts together."""

_FOLD: Final = 8
"""And only if it is at most so many times as long as what comes: else little would be written again and again."""


def changes_rows(change: Change) -> bool:
    """Whether rollups have to follow a version of the connections."""
    return change.kind == DATA and bool(change.added or change.removed)


class Follower:
    """Brings rollups up to connections, exactly once: each commit carries the version followed, and is refused
    if somebody else followed it first."""

    def __init__(self, connections: Table, rollups: Table, engine: Engine) -> None:
        self._connections, self._rollups, self._engine = connections, rollups, engine
        self._looked = 0  # versions up to here held no data, or are followed

    def follow(self) -> int:
        """Take in what the snapshot held of connections has new, and give the number of versions with data."""
        followed = 0
        while True:
            self._rollups.refresh()
            reached = self._rollups.transaction(FOLLOWED)
            last = max(reached, self._looked)
            changes: list[Change] = []
            while last < self._connections.version and len(changes) < VERSIONS_AT_ONCE:
                last += 1
                change = self._connections.change(last)
                if changes_rows(change):
                    changes.append(change)
            if changes or last - reached >= VERSIONS_AT_ONCE:
                try:
                    _append(self._connections, self._rollups, self._engine, changes, last)
                except Overtaken:
                    continue
                followed += len(changes)
            self._looked = last
            if last >= self._connections.version:
                return followed


def _append(connections: Table, rollups: Table, engine: Engine, changes: Sequence[Change], last: int) -> None:
    added = {path for change in changes for path in change.added}
    removed = {path for change in changes for path in change.removed}
    both = added & removed  # came and went: neither need be read
    quarters = engine.ask(
        QUARTERS,
        {
            "added": connections.source(sorted(added - both)),
            "removed": connections.source(sorted(removed - both)),
        },
    )
    files, old = on_top(rollups, engine, quarters)
    rollups.commit(DATA, {FOLLOWED: last}, files, old)


def on_top(rollups: Table, engine: Engine, quarters: Any) -> tuple[list[File], list[File]]:
    """New files for what comes on top, as quarters of an hour, in all grains; and the files in whose place they are."""
    days = engine.ask(_DAYS, {"quarters": quarters})
    new: list[File] = []
    old: list[File] = []
    for period, rows in (("15m", quarters), ("1d", days)):
        for grain, of_grain in ((period, rows), (period + LESS, engine.ask(_LESS, {"rows": rows}))):
            for partition, part in _parted(of_grain, grain):
                under = _under(part, [file for file in rollups.files() if file.partition == partition])
                if under:
                    sources = {"old": rollups.source(file.path for file in under), "new": part}
                    part = engine.ask(_ON_TOP, sources)
                if part.num_rows:
                    new.append(rollups.write(part, partition))
                old += under
    return new, old


def _parted(rows: Any, grain: str) -> Iterator[tuple[dict[str, str], Any]]:
    """The rows of each partition of a grain."""
    days = pc.cast(pc.divide(rows["bucket"], 86400).cast("int32"), "date32")
    starts = pc.floor_temporal(days, unit=PARTITION[grain.removesuffix(LESS)])
    for day in pc.unique(starts):
        yield {"grain": grain, "day": day.as_py().isoformat()}, rows.filter(pc.equal(starts, day))


def _under(part: Any, files: Sequence[File]) -> list[File]:
    """Which files of a partition are short enough to be written anew together with what comes on top of them."""
    taken, total = [], part.num_rows
    for file in sorted(files, key=lambda each: each.rows):
        if file.rows > _FOLD * total or total + file.rows > SHORT:
            break
        taken.append(file)
        total += file.rows
    return taken


def partition_of(grain: str, time: int) -> str:
    """The partition that holds a time (s) in a grain."""
    day = day_of(time)
    if PARTITION[grain.removesuffix(LESS)] == "week":
        return (day - timedelta(day.weekday())).isoformat()
    return day.replace(day=1).isoformat()


def day_of(time: int) -> date:
    """The UTC day of a time (s)."""
    return date.fromordinal(date(1970, 1, 1).toordinal() + time // 86400)


def start_of(partition: str) -> int:
    """Where a partition begins, s since the epoch."""
    return (date.fromisoformat(partition) - date(1970, 1, 1)).days * 86400

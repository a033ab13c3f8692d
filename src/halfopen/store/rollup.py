"""Rollups follow connections: what each committed version added, less what it removed, in all grains."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any, Final

import pyarrow.compute as pc

from halfopen.store.engine import Engine
from halfopen.store.place import Overtaken
from halfopen.store.schema import KEYS
from halfopen.store.tables import Change, File, Table

FOLLOWED: Final = "connections"
"""Application transaction of rollups: the last version of connections that they hold."""

PRUNED: Final = "pruned"
"""Application transaction of rollups that counts how often rows went by retention."""

DATA: Final = "data"
RETENTION: Final = "retention"
LAYOUT: Final = "layout"
"""Kinds of commits. What retention removes from connections stays in the rollups."""

VERSIONS_AT_ONCE: Final = 200
"""Versions followed in one commit after a long absence."""

KEY_LIST: Final = ", ".join(KEYS)
"""The keys, as SQL names them."""

# A row that adds up to nothing goes, but for the rounding of sums of weights.
SOMETHING: Final = "sum(connections) <> 0 OR abs(sum(weight)) > 1e-6 OR abs(sum(squares)) > 1e-6"

_QUARTERS: Final = """
    SELECT bucket, sensor, coalesce(asn, 0) AS asn, coalesce(location, '') AS location,
           coalesce(continent, '') AS continent, stage, signature, tags, ip_version, server_port,
           CASE WHEN file IS NULL THEN 0 ELSE ingested - ingested % 86400 END AS ingested,
           sum(sign)::BIGINT AS connections, sum(sign * weight) AS weight, sum(sign * weight * weight) AS squares
    FROM (SELECT *, 1 AS sign FROM {added} UNION ALL BY NAME SELECT *, -1 AS sign FROM {removed})
    GROUP BY ALL
    HAVING sum(sign) <> 0 OR abs(sum(sign * weight)) > 1e-6 OR abs(sum(sign * weight * weight)) > 1e-6
    ORDER BY asn, bucket
"""

_DAYS: Final = f"""
    SELECT {KEY_LIST.replace("bucket", "bucket - bucket % 86400 AS bucket", 1)},
           sum(connections)::BIGINT AS connections, sum(weight) AS weight, sum(squares) AS squares
    FROM {{quarters}} GROUP BY ALL HAVING {SOMETHING} ORDER BY asn, bucket
"""

PARTITION: Final = {"15m": "day", "1d": "month"}
"""What one partition of a grain spans."""

WORLD: Final = "-world"
"""Ends the names of the grains without network and place: few rows for the questions asked most."""

_WORLD: Final = f"""
    SELECT {KEY_LIST.replace("asn, location, continent", "0::BIGINT AS asn, '' AS location, '' AS continent")},
           sum(connections)::BIGINT AS connections, sum(weight) AS weight, sum(squares) AS squares
    FROM {{rows}} GROUP BY ALL HAVING {SOMETHING} ORDER BY bucket
"""


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
                if change.kind == DATA and (change.added or change.removed):
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
        _QUARTERS,
        {
            "added": connections.source(sorted(added - both)),
            "removed": connections.source(sorted(removed - both)),
        },
    )
    days = engine.ask(_DAYS, {"quarters": quarters})
    files = []
    for grain, rows in (("15m", quarters), ("1d", days)):
        world = engine.ask(_WORLD, {"rows": rows})
        files += [*written(rollups, rows, grain), *written(rollups, world, grain + WORLD)]
    rollups.commit(DATA, {FOLLOWED: last}, files)


def written(rollups: Table, rows: Any, grain: str) -> list[File]:
    """New files of one grain, one for each partition that `rows` fall into."""
    days = pc.cast(pc.divide(rows["bucket"], 86400).cast("int32"), "date32")
    starts = pc.floor_temporal(days, unit=PARTITION[grain.removesuffix(WORLD)])
    return [
        rollups.write(rows.filter(pc.equal(starts, day)), {"grain": grain, "day": day.as_py().isoformat()})
        for day in pc.unique(starts)
    ]


def partition_of(grain: str, time: int) -> str:
    """The partition that holds a time (s) in a grain."""
    day = date.fromordinal(date(1970, 1, 1).toordinal() + time // 86400)
    return (day if PARTITION[grain.removesuffix(WORLD)] == "day" else day.replace(day=1)).isoformat()

"""What keeps a store small: merging, compaction, retention, vacuum. By a committer, beside others.

Readers are never disturbed: files leave the table in one commit, and the disk only hours later. New files are
written without the committer's lock and committed under it, so that sensors do not wait for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

from halfopen.errors import UsageError
from halfopen.model import SECOND
from halfopen.store.committer import Committer
from halfopen.store.place import Overtaken
from halfopen.store.rewrite import rewritten
from halfopen.store.rollup import ERASURE, LAYOUT, MERGED, PRUNED, RETENTION, SHORT
from halfopen.store.tables import File, Table

DAY: Final = 86400

SMALL: Final = 64 << 20
"""Bytes below which a file is worth putting together with others."""

AT_ONCE: Final = 256 << 20
"""Bytes of small files put together in one go: bounds the memory."""

QUIET: Final = DAY
"""Seconds without a new file after which a partition is put together whatever it consists of."""

VACUUM_AFTER: Final = 24
"""Hours for which files that left the table stay on the disk: longer than any reader uses a snapshot."""

_COMPACTED: Final = "SELECT * FROM {rows} ORDER BY start_ns"

_ERASED: Final = """
    SELECT * REPLACE (CASE WHEN {test} THEN NULL ELSE client END AS client,
                      CASE WHEN {test} THEN NULL ELSE trigger END AS trigger)
    FROM {{rows}}
"""


@dataclass(frozen=True, slots=True)
class Work:
    """What upkeep did."""

    compacted: int = 0  # files of connections put together
    merged: int = 0  # files of rollups put together
    pruned: int = 0  # rows of connections that went by retention
    pruned_rollups: int = 0  # rows of rollups that went by retention
    vacuumed: int = 0  # files deleted


class Upkeep:
    """Upkeep of a store by a committer."""

    def __init__(self, committer: Committer) -> None:
        self._committer = committer

    def compact(self, least: int = 8) -> Work:
        """Merge rollup rows and compact connections, in partitions with `least` small files or more, or quiet ones.

        The short files of rollups are left to the follower: it may write them anew at any moment.
        """
        committer = self._committer
        return Work(
            compacted=self._together(committer.connections, _COMPACTED, least),
            merged=self._together(committer.rollups, MERGED, least, SHORT),
        )

    def prune(self, keep_connections: int, keep_rollups: int) -> Work:
        """Retention: let go of what is older (s), counted from ingestion for files, from the SYN for sensors."""
        if keep_rollups < keep_connections:
            # Else a file replaced later would be taken out of rollups that no longer hold it.
            raise UsageError("keep-rollups", keep_rollups, f"at least keep-connections ({keep_connections})")
        committer = self._committer
        now = int(committer.clock())
        limit, rollup_limit = now - keep_connections, now - keep_rollups
        rollup_limit -= rollup_limit % DAY  # or a day would be gone in one grain and not in the other
        old = f"CASE WHEN file IS NULL THEN start_ns < {limit * SECOND} ELSE ingested < {limit} END"
        old_rollups = (
            f"CASE WHEN ingested = 0 THEN bucket < {rollup_limit} ELSE ingested < {rollup_limit} END"
        )
        return Work(
            pruned=self._less(committer.connections, old),
            pruned_rollups=self._less(committer.rollups, old_rollups),
        )

    def vacuum(self, hours: int = VACUUM_AFTER) -> Work:
        """Delete files that left the tables more than `hours` ago, once the rollups have followed their leaving.

        `hours` must be longer than a query, a compaction and the ingestion of a file take: their files are not
        in the table yet.
        """
        committer = self._committer
        committer.follow()
        return Work(
            vacuumed=sum(_vacuumed(each, hours) for each in (committer.connections, committer.rollups))
        )

    def forget_client(self, names: Sequence[str]) -> int:
        """Take a client's address, however `names` call it, out of its connections, and the names it asked for.

        The connections themselves stay, and count: they are as if nothing of either had been kept. Gives their number.
        """
        committer = self._committer
        table = committer.connections
        while True:
            with committer.lock:
                table.refresh()
                files = table.files()
            done = rewritten(table, files, committer.engine, "client = ANY($1)", [list(names)], _ERASED)
            if not done.old or self._commit(table, done.old, done.new, ERASURE):
                return done.rows

    def _less(self, table: Table, test: str) -> int:
        """Let go of the rows that pass the test, all in one commit, and give their number."""
        with self._committer.lock:
            table.refresh()
            files = table.files()
        done = rewritten(table, files, self._committer.engine, test)
        return done.rows if done.old and self._commit(table, done.old, done.new, RETENTION) else 0

    def _together(self, table: Table, query: str, least: int, short: int = 0) -> int:
        with self._committer.lock:
            table.refresh()
            small = [file for file in table.files() if file.size < SMALL]
        quiet = (self._committer.clock() - QUIET) * 1000
        done = 0
        for _, each in groupby(sorted(small, key=_partition), key=_partition):
            members = sorted(each, key=lambda file: file.size)
            enough = 2
            if max(file.modified for file in members) > quiet:
                members = [file for file in members if file.rows >= short]
                enough = max(least, 2)
            group: list[File] = []
            size = 0
            for file in members:
                size += file.size
                if size <= AT_ONCE:
                    group.append(file)
            if len(group) >= enough:
                rows = self._ask(query, table, group)
                new = [table.write(rows, group[0].partition)] if rows.num_rows else []
                done += len(group) if self._commit(table, group, new, LAYOUT) else 0
        return done

    def _commit(self, table: Table, old: Sequence[File], new: Sequence[File], kind: str) -> bool:
        """Put new files in the place of old ones; not if one of those left the table meanwhile: the next run
        sees to it."""
        with self._committer.lock:
            table.refresh()
            if not {each.path for each in old} <= {each.path for each in table.files()}:
                return False
            numbers = {PRUNED: table.transaction(PRUNED) + 1} if kind == RETENTION else {}
            try:
                table.commit(kind, numbers, new, old, moves=kind == LAYOUT)
            except Overtaken:
                return False
        return True

    def _ask(self, query: str, table: Table, files: Sequence[File]) -> Any:
        return self._committer.engine.ask(query, {"rows": table.source(f.path for f in files)})


def _vacuumed(table: Table, hours: int) -> int:
    # A handle of its own: listing an object store may take long, and sensors should not wait for it.
    try:
        return Table(table.place, table.layout).vacuum(hours)
    except Overtaken:
        return 0  # the next run sees to it


def _partition(file: File) -> list[tuple[str, str]]:
    return sorted(file.partition.items())

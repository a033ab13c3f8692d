"""A Delta table as this room uses it: files of our own making, committed under application transactions.

Every commit is made from a snapshot whose transactions were looked at, and carries transactions itself:
delta-rs refuses it if another commit with one of them has come in between. Commits that remove files all carry
the transaction ``rewrite``, because of removed files alone delta-rs sees no conflict.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import isqrt
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import CommitProperties, DeltaTable, Field, PostCommitHookProperties, Transaction
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from deltalake.transaction import AddAction, RemoveAction

from halfopen.errors import StoreError
from halfopen.store.engine import Mixed
from halfopen.store.place import Overtaken, Place, sync
from halfopen.store.schema import ADDED, FORMAT, Layout, completed

REWRITE: Final = "rewrite"
"""Application transaction of every commit that removes files."""

CHECKPOINT_AFTER: Final = 50
"""Commits between two checkpoints of the log: as many files at most are read to open a table."""

CONFIGURATION: Final = {
    "delta.dataSkippingNumIndexedCols": "0",
    "delta.logRetentionDuration": "interval 6 hours",
    "delta.deletedFileRetentionDuration": "interval 25 hours",
}
"""A commit each second makes many log entries: what is older than the first, `Table.vacuum` tidies away."""

LISTING: Final = 60
"""Seconds after which the log is listed whatever the next version's file says: it may have been tidied away."""

LOOSE: Final = 12 * 3600
"""Seconds for which a data file may wait for its commit: hours later vacuum takes it for a left-over."""

# Checkpoints and log clean-up are our own: they must be on the disk before they are relied upon.
_NO_HOOKS: Final = PostCommitHookProperties(create_checkpoint=False, cleanup_expired_logs=False)


@dataclass(frozen=True, slots=True)
class File:
    """One data file of a table; `path` is relative to the table."""

    path: str
    partition: Mapping[str, str]
    size: int  # bytes
    rows: int
    modified: int  # ms since the epoch


@dataclass(frozen=True, slots=True)
class Change:
    """What one committed version did to the rows: paths of added and removed files, to what end, and when (ms since the epoch)."""

    kind: str
    made: int
    added: Sequence[str]
    removed: Sequence[str]


class Table:
    """One table of a store. Not safe to share among threads; a thread that asks opens its own."""

    def __init__(self, place: Place, layout: Layout, check: Callable[[], None] | None = None) -> None:
        """Open the table; `check` is asked before each commit and raises where it must not be made."""
        self.place = place
        self.layout = layout
        self._check = check
        try:
            self._delta = DeltaTable(place.uri, storage_options=place.options)
        except TableNotFoundError as error:
            raise StoreError(place.uri, _missing(place, layout)) from error
        except (DeltaError, OSError) as error:
            raise StoreError(place.uri, str(error)) from error
        self._listed = time.monotonic()
        self._known: tuple[int, dict[str, int]] = (-1, {})
        self._files: tuple[int, list[File]] = (-1, [])
        self._refuse_foreign()

    @classmethod
    def make(cls, place: Place, layout: Layout) -> Table:
        """The table at `place`, created if there is none."""
        place.make()
        try:
            DeltaTable.create(
                place.uri,
                layout.whole,
                mode="ignore",
                partition_by=list(layout.partitions),
                name=f"halfopen {layout.name} {FORMAT}",  # Delta knows no properties of other makers
                description=layout.words,
                configuration=CONFIGURATION,
                storage_options=place.options,
            )
        except (DeltaError, OSError) as error:
            raise StoreError(place.uri, f"cannot be written: {error}") from error
        table = cls(place, layout)
        table._sync_log(0)
        return table

    def _refuse_foreign(self) -> None:
        metadata, protocol = self._delta.metadata(), self._delta.protocol()
        name = self.layout.name
        features = [*(protocol.reader_features or []), *(protocol.writer_features or [])]
        if (
            "deletionVectors" in features
            or metadata.configuration.get("delta.enableDeletionVectors") == "true"
        ):
            raise StoreError(self.place.uri, f"table {name!r} has deletion vectors, which are not read here")
        if protocol.min_reader_version > 1:
            raise StoreError(
                self.place.uri, f"table {name!r} needs reader version {protocol.min_reader_version} of Delta"
            )
        found = (metadata.name or "").removeprefix(f"halfopen {name} ")
        if not found.isdecimal():
            raise StoreError(self.place.uri, f"table {name!r} is not one of ours")
        if int(found) > FORMAT:
            raise StoreError(self.place.uri, f"format {found} is newer than {FORMAT}, the newest known here")

    @property
    def version(self) -> int:
        """Version of the snapshot held."""
        return int(self._delta.version())

    @property
    def identity(self) -> str:
        """What tells this table from any other that ever lay at its place."""
        return str(self._delta.metadata().id)

    def refresh(self) -> None:
        """Take the newest snapshot; where nothing was committed this costs a look at one file name."""
        now = time.monotonic()
        if self.place.local and not self._log(self.version + 1).exists() and now - self._listed < LISTING:
            return
        self._listed = now
        try:
            self._delta.update_incremental()
        except (DeltaError, OSError) as error:
            raise StoreError(self.place.uri, str(error)) from error

    def files(self) -> list[File]:
        """The data files of the snapshot."""
        if self._files[0] != self.version:
            actions = pa.table(self._delta.get_add_actions(flatten=True))
            names = self.layout.partitions
            parts = [actions[f"partition.{name}"].cast("string").to_pylist() for name in names]
            partitions = (dict(zip(names, values, strict=True)) for values in zip(*parts, strict=True))
            facts = [
                actions[name].to_pylist()
                for name in ("path", "size_bytes", "num_records", "modification_time")
            ]
            files = [
                File(path, partition, size, rows, modified)
                for partition, path, size, rows, modified in zip(partitions, *facts, strict=True)
            ]
            self._files = self.version, files
        return self._files[1]

    def source(self, paths: Iterable[str]) -> Any:
        """The rows of some files, as `Engine.ask` takes them."""
        chosen = list(paths)
        schema = self.layout.written
        if not chosen:
            return schema.empty_table()
        if self.place.local:
            files = [f"{self.place.uri}/{path}" for path in chosen]
            return files if set(ADDED).isdisjoint(schema.names) else Mixed(files)
        import pyarrow.dataset  # it imports pandas where there is one: a second of a start

        return pyarrow.dataset.dataset(chosen, schema=schema, format="parquet", filesystem=self.place.files)

    def transaction(self, application: str) -> int:
        """The last version committed under an application transaction; 0 for none."""
        if self._known[0] != self.version:
            self._known = self.version, {}
        known = self._known[1]
        if application not in known:  # half a millisecond for each
            known[application] = self._delta.transaction_version(application) or 0
        return known[application]

    def write(self, rows: Any, partition: Mapping[str, str]) -> File:
        """Write a data file; it belongs to the table once it is committed."""
        return self.write_parts(self._row_groups(rows), partition)

    def write_parts(self, parts: Iterator[Any], partition: Mapping[str, str]) -> File:
        """Write a data file, each part as a row group while it comes; all have the same types, and text may be
        dictionary-encoded."""
        folder = "/".join(f"{name}={partition[name]}" for name in self.layout.partitions)
        path = f"{folder}/{uuid.uuid4()}.parquet"
        schema = self.layout.written
        rows = 0

        def written() -> Iterator[Any]:
            nonlocal rows
            for part in parts:
                rows += part.num_rows
                whole = completed(part, schema)
                yield whole.cast(_as_written(whole.schema, schema))

        size = self.place.write(path, written(), self.layout.repeating)
        return File(path, dict(partition), size, rows, time.time_ns() // 1_000_000)

    def _row_groups(self, rows: Any) -> Iterator[Any]:
        apart = self.layout.apart
        if apart is None:
            yield rows
            return
        # To look at a group costs as much as to read 400 rows: of this size both come to the same.
        most = max(1 << 13, 20 * isqrt(rows.num_rows))
        for value in pc.unique(rows[apart]):
            same = rows.filter(pc.equal(rows[apart], value))
            for first in range(0, same.num_rows, most):
                yield same.slice(first, most)

    def commit(
        self,
        kind: str,
        transactions: Mapping[str, int],
        add: Sequence[File] = (),
        remove: Sequence[File] = (),
        *,
        moves: bool = False,
    ) -> None:
        """Commit from the snapshot held, and take the new one; it is on the disk when this returns.

        `moves` says that the same rows were only laid out anew. Raises `Overtaken` if another commit under one
        of the transactions came first; the snapshot is then the newest.
        """
        if self._check:
            self._check()
        self._widen()
        numbers = dict(transactions)
        if remove:
            numbers[REWRITE] = self.transaction(REWRITE) + 1
        now = time.time_ns() // 1_000_000
        if any(file.modified < now - LOOSE * 1000 for file in add):
            raise StoreError(self.place.uri, f"files waited for their commit for over {LOOSE // 3600} hours")
        actions: list[AddAction | RemoveAction] = [
            AddAction(f.path, f.size, f.partition, f.modified, not moves, json.dumps({"numRecords": f.rows}))
            for f in add
        ]
        actions += [RemoveAction(f.path, not moves, now, f.size, dict(f.partition)) for f in remove]
        before = self.version
        with self._committing():
            self._delta.create_write_transaction(
                actions,
                "append",
                self.layout.whole,
                list(self.layout.partitions),
                commit_properties=CommitProperties(
                    custom_metadata={"halfopen": kind},
                    max_commit_retries=1,  # delta-rs counts attempts
                    app_transactions=[Transaction(name, number) for name, number in numbers.items()],
                ),
                post_commithook_properties=_NO_HOOKS,
            )
        self._delta.update_incremental()
        if self.version == before + 1 and self._known[0] == before:
            self._known = self.version, {**self._known[1], **numbers}  # nobody else came in between
        self._sync_log(before + 1)
        if self.version // CHECKPOINT_AFTER != before // CHECKPOINT_AFTER:
            self._checkpoint()

    def _widen(self) -> None:
        """Give a table that was made before the columns that were added since; raises as `commit`."""
        there = {field.name for field in self._delta.schema().fields}
        missing = [Field.from_arrow(field) for field in self.layout.whole if field.name not in there]
        if not missing:
            return
        before = self.version
        with self._committing():
            self._delta.alter.add_columns(missing, post_commithook_properties=_NO_HOOKS)
        self._sync_log(before + 1)
        if self.version > before + 1:  # what is to be committed was decided without the versions in between
            raise Overtaken(f"version {before + 1}")

    @contextmanager
    def _committing(self) -> Iterator[None]:
        """Tell why a commit could not be made."""
        before = self.version
        try:
            yield
        except CommitFailedError as error:
            self.refresh()
            if self.version == before:  # nobody came first: the commit itself failed
                raise StoreError(self.place.uri, f"cannot be written: {error}") from error
            raise Overtaken(str(error)) from error
        except (DeltaError, OSError) as error:
            raise StoreError(self.place.uri, f"cannot be written: {error}") from error

    def change(self, version: int) -> Change:
        """What a version did to the rows."""
        found = self.place.read(f"_delta_log/{version:020}.json")
        if found is None:
            raise StoreError(
                self.place.uri, f"version {version} is gone from the log of {self.layout.name!r}"
            )
        kind, made, added, removed = "", 0, [], []
        for line in found[0].splitlines():
            action = json.loads(line)
            if "commitInfo" in action:
                kind, made = (
                    action["commitInfo"].get("halfopen", ""),
                    action["commitInfo"].get("timestamp", 0),
                )
            elif "add" in action and action["add"]["dataChange"]:
                added.append(action["add"]["path"])
            elif "remove" in action and action["remove"]["dataChange"]:
                removed.append(action["remove"]["path"])
        return Change(kind, made, added, removed)

    def vacuum(self, hours: int) -> int:
        """Delete files that left the table more than `hours` ago, and give their number; tidy the log.

        Raises `Overtaken` if other files left it meanwhile: delta-rs notes a vacuum in the log.
        """
        try:
            gone = self._delta.vacuum(
                retention_hours=hours,
                dry_run=False,
                enforce_retention_duration=False,
                full=True,
                post_commithook_properties=_NO_HOOKS,
            )
            self._delta.cleanup_metadata()
        except CommitFailedError as error:
            raise Overtaken(str(error)) from error
        except (DeltaError, OSError) as error:
            raise StoreError(self.place.uri, str(error)) from error
        before = self.version
        self._delta.update_incremental()
        self._sync_log(before)
        return len(gone)

    def _checkpoint(self) -> None:
        self._delta.create_checkpoint()
        if self.place.local:
            folder = self.place.local / "_delta_log"
            for path in [*folder.glob(f"{self.version:020}.*"), folder / "_last_checkpoint", folder]:
                sync(path)

    def _log(self, version: int) -> Any:
        assert self.place.local is not None
        return self.place.local / "_delta_log" / f"{version:020}.json"

    def _sync_log(self, since: int) -> None:
        if self.place.local:
            for version in range(since, self.version + 1):
                if self._log(version).exists():  # older ones may have been tidied away
                    sync(self._log(version))
            sync(self.place.local / "_delta_log")


def _missing(place: Place, layout: Layout) -> str:
    """Why no table is found at a place."""
    if place.local:
        try:
            next((place.local / "_delta_log").iterdir(), None)
        except FileNotFoundError:
            pass
        except OSError as error:  # what may not be read is not there to delta-rs
            return error.strerror or str(error)
    return f"there is no table {layout.name!r} here: nothing was ingested yet (halfopen ingest FILE)"


def _as_written(given: Any, wanted: Any) -> Any:
    """The schema `wanted`, but text that is given dictionary-encoded stays so: Parquet takes it as it is."""
    kinds = [given.field(field.name).type for field in wanted]
    return pa.schema(
        [
            field.with_type(kind) if pa.types.is_dictionary(kind) and kind.value_type == field.type else field
            for field, kind in zip(wanted, kinds, strict=True)
        ]
    )

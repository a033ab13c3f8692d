"""Batches are taken exactly once, in order; files as a whole; rollups follow whatever happens."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from halfopen.errors import StoreError
from halfopen.store import committer as committing
from halfopen.store import tables
from halfopen.store.committer import Batch
from halfopen.store.intake import Intake
from halfopen.store.query import Filters, Gap
from halfopen.store.store import Store
from halfopen.store.upkeep import Upkeep
from tests.store.conftest import Clock
from tests.store.rows import BEGIN, SPAN, Row, counted, row, table

ALL = Filters(), BEGIN, BEGIN + SPAN


def batch(number: int, *rows: Row, sensor: str = "lyon", incarnation: str = "one", **more: Any) -> Batch:
    return Batch(sensor, incarnation, number, more.pop("watermark", BEGIN + 900), table(rows), **more)


def total(store: Store) -> int:
    quarters = sum(cell.connections for cell in store.dataset.now().counts(*ALL, 900))
    assert sum(cell.connections for cell in store.dataset.now().counts(*ALL, 86400)) == quarters
    return quarters


def test_sequences_are_contiguous(store: Store) -> None:
    committer = store.committer()
    first, beyond, again = committer.commit([batch(1, row()), batch(3, row()), batch(1, row())])
    assert (first.taken, first.held, first.expected) == (True, True, 2)
    assert (beyond.taken, beyond.held, beyond.expected) == (False, False, 2)
    assert (again.taken, again.held, again.expected) == (False, True, 2)
    many = committer.commit([batch(2, row()), batch(3, row()), batch(1, row(), incarnation="two")])
    assert all(each.taken for each in many)
    committer = store.committer()
    assert not committer.commit([batch(3, row())])[0].taken
    assert committer.commit([batch(4)])[0].taken
    committer.follow()
    assert total(store) == 4


def test_rollups_are_replayed(store: Store) -> None:
    committer = store.committer()
    for number in range(1, 4):
        committer.commit([batch(number, row(BEGIN + number * 900))])
    assert total(store) == 0
    assert store.committer().follow() == 3
    assert total(store) == 3
    assert committer.follow() == 0


class _NoLease:
    step = 0.0

    def attempt(self) -> None: ...

    def check(self) -> None: ...

    def release(self) -> None: ...


def test_committers_that_overtake_each_other_lose_and_double_nothing(store: Store) -> None:
    committers = [store.committer(lease=_NoLease()) for _ in range(2)]
    taken = 0
    for number in range(1, 5):
        for committer in (committers[number % 2], committers[1 - number % 2]):
            # both hold old snapshots, and both were sent the same batch
            taken += committer.commit([batch(number, row())])[0].taken
            committer.follow()
    assert taken == 4
    assert total(store) == 4


def test_a_stale_snapshot_is_overtaken(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = (store.committer(lease=_NoLease()) for _ in range(2))
    refresh = two.connections.refresh
    calls: list[object] = []

    def late() -> None:
        refresh()
        if not calls:
            calls.append(one.commit([batch(1, row())]))

    monkeypatch.setattr(two.connections, "refresh", late)
    receipt = two.commit([batch(1, row())])[0]
    assert (receipt.held, receipt.taken) == (True, False)
    two.follow()
    one.follow()
    assert total(store) == 1


def test_a_follower_behind_another_ends(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = (store.committer(lease=_NoLease()) for _ in range(2))
    one.commit([batch(1, row())])
    one.follow()
    monkeypatch.setattr(two.connections, "refresh", lambda: None)
    assert two.follow() == 0
    assert total(store) == 1


def test_a_file_comes_whole_and_once(store: Store) -> None:
    committer = store.committer()
    parts = [table([row(), row(BEGIN + 86400)]), table([row(BEGIN + 2 * 86400)])]
    committer.commit([batch(1, row())])
    first = committer.ingest("digest", "lab", "{}", iter(parts))
    assert (first.rows, first.number) == (3, 1)
    assert committer.ingest("digest", "lab", "{}", iter(parts)) == first
    with pytest.raises(StoreError, match="other options"):
        committer.ingest("digest", "lab", "{more}", iter(parts))
    committer.follow()
    assert total(store) == 4


def test_records_of_files_are_not_lost_to_who_overtakes(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = (store.committer(lease=_NoLease()) for _ in range(2))
    refresh = two.ledger.refresh
    calls: list[object] = []

    def late() -> None:
        refresh()
        if len(calls) < 3:  # before the parts are judged and twice behind it
            calls.append(one.ingest(f"other {len(calls)}", "lab", "", [table([row()])]))

    monkeypatch.setattr(two.ledger, "refresh", late)
    two.ingest("digest", "lab", "", [table([row()])])
    assert {each.digest for each in store.info().files} == {"digest", "other 0", "other 1", "other 2"}
    two.follow()
    assert total(store) == 4


def test_files_that_may_be_gone_are_not_committed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    committer = store.committer()
    monkeypatch.setattr(tables, "LOOSE", -1)
    with pytest.raises(StoreError, match="waited for their commit"):
        committer.commit([batch(1, row())])
    monkeypatch.undo()
    assert committer.commit([batch(1, row())])[0].taken


def test_parts_that_follow_one_another_lie_in_one_file(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(committing, "PARTS_OF_A_FILE", 2)
    day = 86400
    parts = [
        table([row(BEGIN)]),
        table([row(BEGIN + 1), row(BEGIN + day)]),
        table([row(BEGIN + day + 1)]),  # the third part: a new file, though of the same day
        table([row(BEGIN + day + 2), row(BEGIN + day + 3)]),
        table([row(BEGIN + day + 4)]),
    ]
    committer = store.committer()
    assert committer.ingest("digest", "lab", "", iter(parts)).rows == 7
    found = sorted((file.partition["day"], file.rows) for file in committer.connections.files())
    assert found == [("2026-11-23", 2), ("2026-11-24", 1), ("2026-11-24", 1), ("2026-11-24", 3)]
    committer.follow()
    assert total(store) == 7


def test_text_that_comes_dictionary_encoded_is_stored_as_text(store: Store) -> None:
    plain = table([row(client=None), row(client="192.0.2.7", trigger="a.example"), row(client="192.0.2.7")])
    encoded = pa.table(
        {
            name: column.dictionary_encode() if column.type == pa.string() else column
            for name, column in zip(plain.column_names, plain.columns, strict=True)
        }
    )
    committer = store.committer()
    committer.ingest("plain", "lab", "", [plain, plain.slice(1)])
    committer.ingest("encoded", "lab", "", [encoded, encoded.slice(1)])
    source = {"rows": committer.connections.source(file.path for file in committer.connections.files())}

    def stored(digest: str) -> Any:
        return store.engine.ask(
            "SELECT * EXCLUDE (file, incarnation) FROM {rows} WHERE file = ? ORDER BY sequence, client, trigger",
            source, [digest],
        )  # fmt: skip

    assert stored("encoded").equals(stored("plain"))
    assert stored("plain")["client"].to_pylist() == ["192.0.2.7"] * 2 + [None] + ["192.0.2.7"] * 2


def test_a_replaced_file_leaves_nothing_behind(store: Store) -> None:
    committer = store.committer()
    committer.ingest("other", "lab", "", [table([row(BEGIN + 60)])])
    committer.ingest("digest", "lab", "", [table([row(weight=0.1 + 0.2), row(BEGIN + 86400, stage=3)])])
    committer.follow()
    Upkeep(committer).compact(2)  # rows of both in one file
    replaced = committer.ingest("digest", "lab", "x", [table([row(BEGIN + 900, stage=4)])], replace=True)
    assert replaced.number == 2
    committer.follow()
    truth = [("lab", row(BEGIN + 60)), ("lab", row(BEGIN + 900, stage=4))]
    for merged in (False, True):
        if merged:
            Upkeep(committer).compact(2)
        for step in (900, 86400):
            assert sorted(store.dataset.now().counts(*ALL, step)) == pytest.approx(counted(truth, *ALL, step))


def test_a_file_whose_rows_went_by_retention_is_not_replaced(store: Store, clock: Clock) -> None:
    committer = store.committer()
    committer.ingest("digest", "lab", "", [table([row()])])
    committer.follow()
    clock.now += 100
    assert Upkeep(committer).prune(50, 400 * 86400).pruned == 1
    assert total(store) == 1
    with pytest.raises(StoreError, match="gone by retention"):
        committer.ingest("digest", "lab", "x", [table([row()])], replace=True)


def test_a_record_without_its_commit_does_not_count(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    committer = store.committer()
    with monkeypatch.context() as patch:
        patch.setattr(committer.connections, "commit", _fails)
        with pytest.raises(RuntimeError):
            committer.ingest("digest", "lab", "old", [table([row()])])
    assert store.info().files == ()
    assert committer.ingest("digest", "lab", "new", [table([row()])]).options == "new"
    assert [each.options for each in store.info().files] == ["new"]


def _fails(*_: object, **__: object) -> None:
    raise RuntimeError


def test_waiting_batches_go_into_one_commit(store: Store) -> None:
    committer = store.committer()
    before = committer.connections.version
    intake = Intake(committer, lambda error: pytest.fail(str(error)), 0.1)
    waiting = [intake.put(batch(1, row(), sensor=f"s{n}")) for n in range(10)]
    with pytest.raises(StoreError, match="sequences begin at 1"):
        intake.put(batch(0))
    assert all(each.result(20).taken for each in waiting)
    intake.close()
    assert committer.connections.version == before + 1
    assert total(store) == 10


def test_a_batch_is_acknowledged_though_the_rollups_cannot_follow(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Exception] = []
    committer = store.committer()
    monkeypatch.setattr(committer, "follow", _fails)
    intake = Intake(committer, told.append, 0)
    assert intake.put(batch(1, row())).result(20).taken
    intake.close()
    assert [type(each) for each in told] == [RuntimeError]


def test_what_libraries_say_is_told_on_one_line_without_colours() -> None:
    error = StoreError("/data/store", "\x1b[31mno log\x1b[0m\n\n  in 2 files\n")
    assert str(error) == "/data/store: no log in 2 files"


def test_buckets_close_by_watermarks_or_by_time(store: Store, clock: Clock) -> None:
    now = int(clock.now) - int(clock.now) % 900
    clock.now = now + 60
    committer = store.committer()
    assert store.dataset.now().state().closed == now - 1800
    committer.ingest("digest", "lab", "", [table([row(now - 900)])])
    committer.follow()
    assert store.dataset.now().state().closed == now  # D15: a file closes at once
    committer.commit([batch(1, watermark=now - 100)])
    committer.commit([batch(1, watermark=now - 1000, sensor="oslo")])
    assert store.dataset.now().state().closed == now - 1800
    committer.commit([batch(2, watermark=now + 5, sensor="oslo")])
    assert store.dataset.now().state().closed == now - 900
    clock.now += 86400
    assert store.dataset.now().state().closed == now + 86400 - 1800


def test_gaps_of_sensors(store: Store, clock: Clock) -> None:
    now = int(clock.now) - int(clock.now) % 900
    clock.now = now
    committer = store.committer()
    committer.commit([batch(1, watermark=now - 7200)])
    assert store.dataset.now().gaps(now - 86400, now) == [Gap("lyon", now - 7200, now - 1800)]
    committer.commit([batch(2, watermark=now, since=now - 3600)])
    assert store.dataset.now().gaps(now - 86400, now) == [Gap("lyon", now - 7200, now - 3600)]
    assert store.dataset.now().gaps(now - 3600, now) == []
    committer.forget_sensor("lyon")
    assert store.dataset.now().gaps(now - 86400, now) == []


def test_a_pause_that_began_after_the_watermark_is_as_long_as_it_says(store: Store, clock: Clock) -> None:
    """A connection of before the pause is still open: the watermark waits for it, and has nothing to do with the gap."""
    now = int(clock.now) - int(clock.now) % 900
    clock.now = now
    committer = store.committer()
    committer.commit([batch(1, watermark=now - 1200)])
    paused = batch(2, watermark=now - 1100, since=now - 300, until=now - 310)
    for _ in range(2):  # the second time it comes again
        committer.commit([paused])
        assert store.dataset.now().gaps(now - 86400, now) == [Gap("lyon", now - 310, now - 300)]


def test_retention_counts_from_the_syn_or_from_ingestion(store: Store, clock: Clock) -> None:
    committer = store.committer()
    clock.now = BEGIN + 10 * 86400 + 5000
    committer.ingest("digest", "lab", "", [table([row()])])
    committer.commit([batch(1, row(), row(BEGIN + 9 * 86400))])
    committer.follow()
    Upkeep(committer).compact(2)
    before = store.dataset.now().state().version
    work = Upkeep(committer).prune(2 * 86400, 5 * 86400)
    assert (work.pruned, work.pruned_rollups) == (1, 10)  # one row in each of five kinds of two grains
    assert store.dataset.connections(*ALL, limit=10).num_rows == 2
    assert total(store) == 2
    assert store.dataset.now().state().version != before
    clock.now += 6 * 86400
    Upkeep(committer).prune(2 * 86400, 5 * 86400)
    assert total(store) == 0
    assert store.info().tables[0].files == 0
    Upkeep(committer).vacuum(0)


@pytest.mark.parametrize("trouble", ["nothing", "foreign", "newer", "vectors"])
def test_what_is_no_store_is_refused(tmp_path: Path, trouble: str) -> None:
    from deltalake import DeltaTable

    from halfopen.store.schema import CONNECTIONS

    place = tmp_path / "connections"
    if trouble != "nothing":
        name = "halfopen connections 2" if trouble == "newer" else "halfopen connections 1"
        vectors = {"delta.enableDeletionVectors": "true"} if trouble == "vectors" else None
        DeltaTable.create(
            str(place), CONNECTIONS.whole, name=None if trouble == "foreign" else name, configuration=vectors
        )
    words = {
        "nothing": "no table",
        "foreign": "not one of ours",
        "newer": "newer",
        "vectors": "deletion vectors",
    }
    with pytest.raises(StoreError, match=words[trouble]):
        Store(tmp_path)


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError):
        Store(tmp_path / "file" / "store", create=True)


def test_what_is_acknowledged_is_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path / "store", create=True, threads=1)
    committer = store.committer()
    synced: list[str] = []
    fsync = os.fsync

    def watched(handle: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{handle}").readlink()))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", watched)
    committer.commit([batch(1, row())])
    files = [Path(path).relative_to(tmp_path / "store") for path in synced]
    data = next(path for path in files if path.suffix == ".parquet" and path.parts[0] == "connections")
    entry = Path("connections/_delta_log/00000000000000000001.json")
    for path in (
        data,
        data.parent,
        Path("connections"),
        entry,
        entry.parent,
        Path(".sensors.parquet.new"),
        Path(),
    ):
        assert path in files, path
    assert files.index(data.parent) < files.index(entry)
    store.close()


def test_a_commit_that_fails_is_no_race(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    from deltalake.exceptions import CommitFailedError

    class Broken:
        def __init__(self, whole: object) -> None:
            self.whole = whole

        def __getattr__(self, name: str) -> object:
            return getattr(self.whole, name)

        def create_write_transaction(self, *_: object, **__: object) -> None:
            raise CommitFailedError("no space left")

    committer = store.committer()
    with monkeypatch.context() as patch:
        patch.setattr(committer.connections, "_delta", Broken(committer.connections._delta))
        with pytest.raises(StoreError, match="no space left"):
            committer.commit([batch(1, row())])
    assert committer.commit([batch(1, row())])[0].taken

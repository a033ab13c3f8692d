"""A dataset made before a column was added goes on as it is, and has the column with the next commit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from halfopen.store.committer import Batch, application_of_file
from halfopen.store.ledger import Ingested, Ledger
from halfopen.store.place import Overtaken, Place
from halfopen.store.query import Filters
from halfopen.store.rollup import DATA
from halfopen.store.schema import ADDED, CONNECTIONS
from halfopen.store.store import Store
from halfopen.store.tables import Table
from halfopen.store.told import told
from halfopen.store.upkeep import Upkeep
from tests.store.conftest import Clock
from tests.store.rows import BEGIN, SPAN, Row, row, table

BEFORE = replace(CONNECTIONS, columns=tuple(each for each in CONNECTIONS.columns if each.name not in ADDED))
PACKETS = bytes(range(24))
DAY = (date(1970, 1, 1) + timedelta(BEGIN // 86400)).isoformat()
CLIENT = "192.0.2.77"


def stamped(*rows: Row, digest: str) -> Any:
    """Rows as they lay in a file of before."""
    given = {
        "sensor": "lab", "incarnation": digest, "sequence": 1, "file": digest, "bucket": BEGIN, "ingested": BEGIN,
    }  # fmt: skip
    return pa.Table.from_pylist([each | given for each in rows], BEFORE.written)


@pytest.fixture
def old(where: str, clock: Clock) -> Iterator[Store]:
    """A store of before with a capture of two connections."""
    place = Place(where)
    place.make()
    connections = Table.make(place / BEFORE.name, BEFORE)
    file = connections.write(stamped(row(), row(BEGIN + 1, client=CLIENT), digest="old"), {"day": DAY})
    connections.commit(DATA, {application_of_file("old"): 1}, [file])
    Ledger(place).put_file(Ingested("old", 1, "lab", "", 2, BEGIN, BEGIN + 900, []), 0)
    with closing(Store(where, create=True, threads=1, freshness=0, clock=clock)) as store:
        yield store


def shown(store: Store) -> list[tuple[int, bytes | None]]:
    """The time of each connection (s) and its packets, oldest first, the same on both ways out of the store."""
    rows = store.dataset.connections(Filters(), BEGIN, BEGIN + SPAN, 100)
    found = list(zip(rows["start_ns"].to_pylist(), rows["first_packets"].to_pylist(), strict=True))
    assert [each is None for each in told(rows)["first_packets"].to_pylist()] == [
        each is None for _, each in found
    ]
    streamed = [
        packets for part in store.dataset.stream(None, None) for packets in part["first_packets"].to_pylist()
    ]
    assert sorted(streamed, key=repr) == sorted((packets for _, packets in found), key=repr)
    return [(start // 10**9 - BEGIN, packets) for start, packets in reversed(found)]


def batch(number: int, start: int) -> Batch:
    return Batch(
        "lyon", "one", number, BEGIN, table([row(BEGIN + start, client=CLIENT, first_packets=PACKETS)])
    )


def test_it_is_read_as_it_is(old: Store) -> None:
    assert shown(old) == [(0, None), (1, None)]


def test_old_and_new_rows_live_together(old: Store) -> None:
    committer = old.committer()
    assert committer.commit([batch(1, 2)])[0].taken
    assert committer.follow() == 2
    expected = [(0, None), (1, None), (2, PACKETS)]
    assert shown(old) == expected
    assert Upkeep(committer).compact(2).compacted == 2
    assert shown(old) == expected
    assert Upkeep(committer).forget_client([CLIENT]) == 2
    assert shown(old) == expected
    committer.ingest("old", "lab", "again", [table([row(BEGIN + 3, first_packets=PACKETS)])], replace=True)
    assert shown(old) == [(2, PACKETS), (3, PACKETS)]
    committer.follow()
    assert (
        sum(cell.connections for cell in old.dataset.now().counts(Filters(), BEGIN, BEGIN + SPAN, 900)) == 2
    )


def test_files_of_before_are_written_anew_with_the_column(old: Store) -> None:
    committer = old.committer()
    assert Upkeep(committer).forget_client([CLIENT]) == 1
    assert shown(old) == [(0, None), (1, None)]
    assert old.committer().forget_capture("old").rows == 2
    assert shown(old) == []


def test_others_see_the_column_at_the_end(old: Store) -> None:
    old.committer().commit([batch(1, 2)])
    found = DeltaTable(old.place.uri + "/connections", storage_options=old.place.options)
    assert [field.name for field in found.schema().fields] == CONNECTIONS.whole.names


def test_who_was_overtaken_by_the_column_decides_again(old: Store) -> None:
    one, other = (Table(old.place / CONNECTIONS.name, CONNECTIONS) for _ in range(2))
    before = Table(old.place / CONNECTIONS.name, BEFORE)
    one.commit(DATA, {"a": 1})
    with pytest.raises(Overtaken):
        other.commit(DATA, {"a": 1})
    with pytest.raises(Overtaken):
        before.commit(DATA, {"b": 1})
    before.commit(DATA, {"b": 1})  # by a program of before
    assert one.transaction("a") == 1
    other.refresh()
    assert (other.transaction("a"), other.transaction("b")) == (1, 1)

"""What is taken out of a store is gone from rows and sums alike, whatever others do meanwhile, on both kinds of place."""

from __future__ import annotations

from typing import Any

import pytest

from halfopen.errors import StoreError
from halfopen.store import upkeep as room
from halfopen.store.query import Filters
from halfopen.store.rewrite import Rewritten, rewritten
from halfopen.store.store import Store
from halfopen.store.upkeep import Upkeep
from tests.store.rows import BEGIN, SPAN, row, table

ALL = Filters(), BEGIN, BEGIN + SPAN
CLIENT = "192.0.2.77"


def ingested(store: Store) -> Any:
    """A committer, after two captures whose rows share files: three connections, two of them of `CLIENT`."""
    committer = store.committer()
    hers = row(BEGIN + 60, client=CLIENT, trigger="shop.example", trigger_kind="sni", weight=2.0)
    committer.ingest("one", "lab", "", [table([row(BEGIN), hers])])
    committer.ingest("two", "lab", "", [table([hers])])
    committer.follow()
    Upkeep(committer).compact(2)
    return committer


def weights(store: Store) -> list[float]:
    """The sum of all weights, in both grains."""
    return [float(sum(store.dataset.now().counts(*ALL, step).weight)) for step in (900, 86400)]


def test_a_capture_goes_with_its_sums(store: Store) -> None:
    committer = ingested(store)
    assert weights(store) == [5.0, 5.0]
    assert committer.forget_capture("one").rows == 2
    committer.follow()
    assert weights(store) == [2.0, 2.0]
    assert [each.digest for each in store.info().files] == ["two"]
    with pytest.raises(StoreError, match="no such capture"):
        committer.forget_capture("one")
    assert committer.ingest("one", "lab", "again", [table([row(BEGIN)])]).number == 3
    committer.follow()
    assert weights(store) == [3.0, 3.0]


@pytest.mark.parametrize("met", [False, True])
def test_a_client_goes_though_files_are_put_together(
    store: Store, met: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    committer = ingested(store)
    others: list[object] = []

    def late(*given: Any) -> Rewritten:
        found = rewritten(*given)
        if met and not others:  # a file that was read leaves the table before it is replaced
            others.append(store.committer().ingest("two", "lab", "x", [table([row(BEGIN)])], replace=True))
        return found

    monkeypatch.setattr(room, "rewritten", late)
    count = 1 if met else 2
    assert Upkeep(committer).forget_client([CLIENT, "another"]) == count
    found = store.dataset.connections(*ALL, 10).to_pylist()
    assert [each["client"] for each in found].count(None) == count
    assert CLIENT not in {each["client"] for each in found}
    assert {each["trigger"] for each in found} == {None}
    committer.follow()
    assert weights(store) == ([4.0, 4.0] if met else [5.0, 5.0])
    assert Upkeep(committer).forget_client([CLIENT]) == 0
    assert committer.forget_capture("one").rows == 2  # as many as there ever were

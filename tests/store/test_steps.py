"""A committer is killed before every single step that it takes: nothing is lost, nothing doubled."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from tests.store.processes import Worker
from tests.store.roles import opened
from tests.store.steps import work
from tests.store.truth import Spool, agree, settle


@pytest.mark.parametrize(
    ("where", "turns", "stride"),
    # In an object store who was killed keeps its turn for half a minute, and moto takes ten times as long.
    [("local", True, 1), ("s3", False, 5)],
    indirect=["where"],
)
def test_killed_before_each_step(where: str, turns: bool, stride: int, tmp_path: Path) -> None:
    opened(where, create=True).close()
    spool = Spool(tmp_path, "web-1", "one")
    last = 1
    while Worker(tmp_path / "log", work, where, turns, spool, last).killed():
        agree(where, [spool])
        last += stride
        assert last < 200, "a round takes more steps each time"
    assert last > 20
    with closing(opened(where)) as store:
        settle(where, store.committer(), [spool])

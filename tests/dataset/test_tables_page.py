"""What docs/tables.md shows works as it stands there, on a dataset of this project."""

from __future__ import annotations

from contextlib import closing, redirect_stdout
from io import StringIO
from pathlib import Path

import numpy as np
import pytest

from halfopen.model import FIRST_PACKET
from halfopen.store.store import Store
from tests.house.project import DOCS, code
from tests.store.rows import BEGIN, row, table

STAGES = (1, 1, 3)
"""Of the connections in the dataset, each of which stands for 1,234; one more was kept without its packets."""


@pytest.mark.parametrize("shown", code(DOCS / "tables.md", "python"))
def test_other_programs_read_the_tables(shown: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(Store(tmp_path / "store", create=True)) as store:
        committer = store.committer()
        packets = np.zeros(2, FIRST_PACKET)
        rows = []
        for stage in STAGES:
            packets["flags"] = 0x02, stage
            rows.append(row(BEGIN, stage=stage, weight=1234.0, first_packets=packets.tobytes()))
        rows.append(row(BEGIN, stage=4))
        committer.ingest("digest", "lab", "", [table(rows)])
        committer.follow()
    monkeypatch.chdir(tmp_path)
    with redirect_stdout(StringIO()) as said:
        exec(shown, {})
    assert "1234.0" in said.getvalue()
    assert "2468.0" in said.getvalue()


def test_none_is_left_out() -> None:
    page = DOCS / "tables.md"
    assert len(code(page, "python")) == 5
    assert "These five are run by the tests." in page.read_text()

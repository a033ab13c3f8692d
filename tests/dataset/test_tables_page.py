"""What docs/tables.md shows works as it stands there, on a dataset of this project."""

from __future__ import annotations

from contextlib import closing, redirect_stdout
from io import StringIO
from pathlib import Path

import pytest

from halfopen.store.store import Store
from tests.house.project import DOCS, code
from tests.store.rows import BEGIN, row, table

STAGES = (1, 1, 3)
"""Of the connections in the dataset, each of which stands for 1,234."""


@pytest.mark.parametrize("shown", code(DOCS / "tables.md", "python"))
def test_other_programs_read_the_tables(shown: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(Store(tmp_path / "store", create=True)) as store:
        committer = store.committer()
        rows = [row(BEGIN, stage=stage, weight=1234.0) for stage in STAGES]
        committer.ingest("digest", "lab", "", [table(rows)])
        committer.follow()
    monkeypatch.chdir(tmp_path)
    with redirect_stdout(StringIO()) as said:
        exec(shown, {})
    assert "1234.0" in said.getvalue()
    assert "2468.0" in said.getvalue()


def test_none_is_left_out() -> None:
    page = DOCS / "tables.md"
    assert len(code(page, "python")) == 4
    assert "These four are run by the tests." in page.read_text()

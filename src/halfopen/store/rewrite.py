"""Files of a table written anew, without some of their rows or with other values in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from halfopen.store.engine import Engine
from halfopen.store.tables import File, Table

REST: Final = "SELECT * FROM {{rows}} WHERE ({test}) IS NOT TRUE"
"""Leaves the rows out that pass the test."""


@dataclass(slots=True)
class Rewritten:
    """Files, what is to take their place, and how many of their rows passed the test. To be committed."""

    old: list[File] = field(default_factory=list)
    new: list[File] = field(default_factory=list)
    rows: int = 0


def rewritten(
    table: Table,
    files: Sequence[File],
    engine: Engine,
    test: str,
    values: Sequence[object] = (),
    becomes: str = REST,
) -> Rewritten:
    """Those of `files` that hold rows which pass a test in SQL, each as the query `becomes` gives it.

    `values` are what both name as ``$1``, ``$2`` and so on.
    """
    found = Rewritten()
    for file in files:
        source = {"rows": table.source([file.path])}
        counted = engine.ask(f"SELECT count(*) FILTER (WHERE {test}) AS n FROM {{rows}}", source, values)
        if count := counted["n"][0].as_py():
            found.rows += count
            found.old.append(file)
            rows = engine.ask(becomes.format(test=test), source, values)
            if rows.num_rows:
                found.new.append(table.write(rows, file.partition))
    return found

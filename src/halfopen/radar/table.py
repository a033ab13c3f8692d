"""An answer as CSV: several series side by side, columns as Radar names them (A10)."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from typing import TypeAlias

Groups: TypeAlias = Mapping[str, str]
"""A summary: the value of each group."""

Columns: TypeAlias = Mapping[str, Sequence[str]]
"""A time series: `timestamps`, and the values of each group."""

Ranks: TypeAlias = Sequence[Mapping[str, str | int]]
"""A top list: its rows, which have the same fields."""

_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def table(result: Mapping[str, Groups | Columns | Ranks], fields: Sequence[str]) -> str:
    """The series of a result by name; `fields` are the columns of a top list, also of one without rows.

    Lines end with CRLF, cells are quoted where RFC 4180 asks for it; shorter series end in empty cells.
    """
    columns: list[tuple[str, Iterable[object]]] = []
    for name, series in result.items():
        title = name[:1].upper() + name[1:]
        if isinstance(series, Mapping):
            columns += [
                (f"{title} {key}", [values] if isinstance(values, str) else values)
                for key, values in series.items()
            ]
        else:
            columns += [
                (f"{title} {_WORDS.sub(' ', field)}", [row[field] for row in series]) for field in fields
            ]
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\r\n")
    rows.writerow([title for title, _ in columns])
    rows.writerows(zip_longest(*(values for _, values in columns), fillvalue=""))
    return text.getvalue()

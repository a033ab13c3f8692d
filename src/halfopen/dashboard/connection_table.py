"""Single connections as CSV, in the flat columns that ``halfopen classify`` has them in; without their packets."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from halfopen.store.told import TOLD

_NESTED: Final = ("evidence", "trigger")
_LEFT: Final = "first_packets"


def _columns() -> Iterator[str]:
    for field in TOLD:
        if field.name in _NESTED:
            yield from (f"{field.name}_{each.name}" for each in field.type)
        elif field.name != _LEFT:
            yield field.name


def table(rows: Iterable[Mapping[str, Any]]) -> str:
    """Rows of the API as CSV (RFC 4180): ``evidence_...``, ``trigger_...``, tags separated by spaces."""
    text = io.StringIO()
    lines = csv.DictWriter(text, list(_columns()), lineterminator="\r\n", extrasaction="ignore")
    lines.writeheader()
    lines.writerows(map(_flat, rows))
    return text.getvalue()


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    nested = {f"{name}_{key}": value for name in _NESTED for key, value in (row.get(name) or {}).items()}
    return {**row, **nested, "tags": " ".join(row["tags"] or ())}

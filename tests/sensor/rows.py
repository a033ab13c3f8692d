"""Connections that can be told apart, as a sensor puts them into its spool."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tests.store.rows import row, table

COUNTS = ("resets", "reset_acks", "reset_echoes", "data_after_reset")


def connections(numbers: Iterable[int], start: int, weight: float = 1.0) -> Any:
    """A connection for each number, which it carries as `duplicates`; all with their SYN at `start` (s)."""
    plain = dict.fromkeys(COUNTS, 0) | {"weight": weight}
    return table(row(start, duplicates=number, **plain) for number in numbers)


def numbers_of(rows: Any) -> list[int]:
    """Which connections these are."""
    found: list[int] = rows["duplicates"].to_pylist()
    return found

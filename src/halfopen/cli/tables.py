"""Tables that verbs print: for people in columns, with ``--json`` for programs."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any

from halfopen.cli.text import columns, printable

Cell = str | int | date | Sequence[str] | None
"""What a table has in a cell; none: there is nothing to tell."""


def add_json(verb: ArgumentParser) -> None:
    """Add ``--json``."""
    verb.add_argument("--json", action="store_true", help="as JSON")


def show(
    args: Namespace, head: Sequence[str], rows: Sequence[Sequence[Cell]], right: Sequence[int] = ()
) -> None:
    """Print rows below their head, columns in `right` aligned right; with ``--json`` a list of `objects`."""
    if args.json:
        print_json(objects(head, rows))
    else:
        print("\n".join(columns([head, *(tuple(map(_shown, row)) for row in rows)], right)))


def objects(head: Sequence[str], rows: Sequence[Sequence[Cell]]) -> list[dict[str, Cell]]:
    """Each row by the words of the head, such as ``last_used``."""
    keys = [word.lower().replace(" ", "_") for word in head]
    return [dict(zip(keys, row, strict=True)) for row in rows]


def print_json(value: object) -> None:
    """Print a value; times in UTC, ISO 8601."""
    print(json.dumps(value, indent=2, default=_plain))


def _plain(value: Any) -> str:
    return f"{value.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" if isinstance(value, datetime) else str(value)


def _shown(cell: Cell) -> str:
    match cell:
        case str():
            return printable(cell) or "-"
        case int():
            return f"{cell:,}"
        case datetime():
            return f"{cell:%Y-%m-%d %H:%M}"
        case date() | None:
            return str(cell or "-")
    return ", ".join(map(printable, cell)) or "-"

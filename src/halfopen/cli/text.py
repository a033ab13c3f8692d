"""Words and columns that several verbs print."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from ipaddress import IPv6Address

from halfopen.model import SECOND


def printable(text: str) -> str:
    """Text from outside, safe for a terminal."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text
    )


def counted(number: int, word: str) -> str:
    """Such as ``1 tunnel`` or ``1,234 tunnels``."""
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def address_and_port(high: int, low: int, port: int) -> str:
    """One end of a connection, its address in two halves (`model`)."""
    address = IPv6Address(high << 64 | low)
    return f"{address.ipv4_mapped}:{port}" if address.ipv4_mapped else f"[{address}]:{port}"


def columns(rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> Iterator[str]:
    """Rows of text in columns as wide as their widest cell; those in `right` are aligned right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (
            cell.rjust(width) if place in right else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        yield "  ".join(cells).rstrip()


def instant(time: int) -> str:
    """A time stamp (ns) as RFC 3339 text in UTC."""
    return f"{datetime.fromtimestamp(time // SECOND, UTC):%Y-%m-%dT%H:%M:%S}.{time % SECOND:09}Z"

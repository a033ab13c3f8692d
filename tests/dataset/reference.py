"""What the answers must be, in plain Python from the lines of `classify --format ndjson`.

Written from the decisions alone (A5, A9, A18) and apart from `halfopen.radar`, so that the two can be held
against each other.
"""

from __future__ import annotations

import gzip
import json
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

STAGES = ("post_syn", "post_ack", "post_psh", "later_in_flow", "no_match")
"""In the order of a CSV file, which settles equal remainders."""

HOUR, DAY, WEEK = 3600, 86400, 604800
STEPS = {"15m": 900, "1h": HOUR, "1d": DAY, "1w": WEEK}


@dataclass(frozen=True)
class Connection:
    """A line of ndjson, as far as answers know it; `start` in s."""

    start: int
    stage: str
    signature: str
    tags: frozenset[str]
    asn: int | None
    location: str | None
    continent: str | None
    ip_version: int
    server_port: int
    sensor: str
    weight: Fraction = Fraction(1)  # 1 / sampling rate


Test = Callable[[Connection], bool]


def everything(_: Connection) -> bool:
    return True


def connections(lines: str, sensors: Mapping[str, str], shifts: Mapping[str, int]) -> list[Connection]:
    """The connections of files, each as its sensor and moved by its shift (s); no sensor: left aside."""
    found = []
    for line in lines.splitlines():
        row = json.loads(line)
        file = row["file"]
        found.append(
            Connection(
                # The shift is whole seconds: what is behind the point stays.
                int(datetime.fromisoformat(row["start"][:19] + "+00:00").timestamp()) + shifts.get(file, 0),
                row["stage"],
                row["signature"],
                frozenset(row["tags"]),
                row["asn"],
                row["location"],
                row["continent"],
                6 if ":" in row["client"] else 4,
                row["server_port"],
                sensors[file],
            )
        )
    return found


def last_packet(path: Path) -> int:
    """The largest time stamp (s) of a pcap file."""
    raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    order = "<" if raw[0] in (0xD4, 0x4D) else ">"
    at, last = 24, 0
    while at < len(raw):
        seconds, _, kept, _ = struct.unpack_from(f"{order}4I", raw, at)
        at += 16 + kept
        last = max(last, seconds)
    return last


def shares(counts: Sequence[Fraction]) -> list[str]:
    """Percentages that add up to 100: the largest remainders get the millionths that are left over."""
    total = sum(counts)
    if not total:
        return ["0"] * len(counts)
    exact = [count * 100 * 10**6 / total for count in counts]
    units = [int(share) for share in exact]
    order = sorted(range(len(counts)), key=lambda index: (units[index] - exact[index], index))
    for index in order[: 100 * 10**6 - sum(units)]:
        units[index] += 1
    return [text(unit) for unit in units]


def text(millionths: int) -> str:
    """A number of millionths as a decimal without zeros at its end."""
    digits = f"{millionths:07d}"
    return f"{digits[:-6]}.{digits[-6:]}".rstrip("0").rstrip(".")


def raw_value(count: Fraction) -> str:
    """A weighted count, rounded half up to 6 decimals."""
    return text(int(count * 10**6 + Fraction(1, 2)))


def counted(rows: Iterable[Connection], test: Test, start: int, end: int) -> list[Fraction]:
    """How many connections of each stage the rows of start <= SYN < end stand for."""
    sums = dict.fromkeys(STAGES, Fraction(0))
    for row in rows:
        if row.stage in sums and start <= row.start < end and test(row):
            sums[row.stage] += row.weight
    return list(sums.values())


def summary(rows: Iterable[Connection], test: Test, start: int, end: int) -> dict[str, str]:
    """One series of a summary of start <= SYN < end."""
    return dict(zip(STAGES, shares(counted(rows, test, start, end)), strict=True))


def series(
    rows: Iterable[Connection], test: Test, start: int, end: int, token: str, closed: int
) -> dict[str, list[str]]:
    """One time series, from the bucket of `start` to that of `end`; finer than a day only what is `closed`."""
    step = STEPS[token]
    # Monday the 5th of January 1970 was four days after the epoch.
    offset = 4 * DAY if token == "1w" else 0
    begin, last = (at - (at - offset) % step for at in (start, end))
    chosen = [row for row in rows if test(row)]
    columns: dict[str, list[str]] = {"timestamps": [], **{stage: [] for stage in STAGES}}
    weight = Fraction(0)
    for at in range(begin, last + 1, step):
        if step < DAY and at + step > closed:
            break
        counts = counted(chosen, everything, at, at + step)
        weight += sum(counts)
        columns["timestamps"].append(datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
        for stage, share in zip(STAGES, shares(counts), strict=True):
            columns[stage].append(share)
    return columns if weight else {name: [] for name in columns}


def csv(series: Mapping[str, Mapping[str, Any]]) -> str:
    """Series of equal length side by side."""
    titles = [f"{name[0].upper()}{name[1:]} {key}" for name, one in series.items() for key in one]
    columns = [
        [values] if isinstance(values, str) else values for one in series.values() for values in one.values()
    ]
    lines = [titles, *zip(*columns, strict=True)]
    return "".join(",".join(line) + "\r\n" for line in lines)

"""On a file system of 1 MiB: put until the disk and the memory take no more, deliver, and put again; says what became of it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from halfopen.sensor.batch_file import rows_of
from halfopen.sensor.spool import Spool
from tests.sensor.rows import connections, numbers_of
from tests.store.rows import BEGIN


def main(directory: Path) -> None:
    """Print the numbers that were acknowledged, delivered, and the spool's own counts."""
    spool = Spool(directory / "web-1", memory=100_000)
    acknowledged: list[int] = []
    delivered: list[int] = []
    gaps = []
    clock, number = BEGIN, 0

    def put() -> None:
        nonlocal clock, number
        clock, numbers = clock + 10, range(number, number + 100)
        number += 100
        if spool.put(connections(numbers, clock - 5), clock, since=BEGIN if clock == BEGIN + 10 else None):
            acknowledged.extend(numbers)

    while spool.lost < 500:
        put()
    trouble = spool.trouble
    while (batch := spool.first()) is not None:
        delivered += numbers_of(rows_of(batch.stream))
        gaps += [batch.since] if batch.since else []
        spool.forget(batch)
        if len(delivered) > 2000 and number < 10**6:
            put()
            number += 10**6
    spool.close()
    again = Spool(directory / "web-1")
    while (batch := again.first()) is not None:
        delivered += numbers_of(rows_of(batch.stream))
        gaps += [batch.since] if batch.since else []
        again.forget(batch)
    print(json.dumps({
        "acknowledged": acknowledged, "delivered": delivered, "trouble": trouble, "gaps": gaps, "end": clock,
        "lost": spool.lost, "spooled": spool.spooled, "put": number,
    }))  # fmt: skip


if __name__ == "__main__":
    main(Path(sys.argv[1]))

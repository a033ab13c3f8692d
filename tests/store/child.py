# ruff: noqa: E402 - what is kept out must be so before the first import
"""Processes for the tests: one that writes until it is killed, one that reads beside it.

python -m tests.store.child write DIRECTORY ACKNOWLEDGED
python -m tests.store.child read DIRECTORY SECONDS
"""

from __future__ import annotations

import random
import sys
import threading
import time
from typing import Any, Final


class _NoPandas:
    """Arrow imports pandas where there is one: two seconds of a start that nobody here needs."""

    def find_spec(self, name: str, *_: Any) -> None:
        if name == "pandas":
            raise ModuleNotFoundError(name)


if __name__ == "__main__":
    sys.meta_path.insert(0, _NoPandas())

from halfopen.store.committer import Batch
from halfopen.store.query import Dimension, Filters
from halfopen.store.store import Store
from halfopen.store.upkeep import Upkeep
from tests.store.rows import BEGIN, SPAN, Row, row, table

SENSORS: Final = ("lyon", "oslo")
LAST: Final = BEGIN + 2 * 86400

ROWS: Final = 10
"""Rows of each batch."""

DIGEST: Final = "digest"


def batch_rows(sensor: str, number: int) -> list[Row]:
    chance = random.Random(f"{sensor} {number}")
    return [
        row(
            chance.randrange(BEGIN, LAST),
            stage=chance.randrange(5),
            asn=64496 + chance.randrange(3),
            weight=4.0,
        )
        for _ in range(ROWS)
    ]


def file_rows(number: int) -> list[Row]:
    chance = random.Random(number)
    return [row(chance.randrange(BEGIN, LAST), stage=chance.randrange(5)) for _ in range(5 + number % 7)]


def write(where: str, acknowledged: int) -> None:
    """Commit, replace a file, roll up, compact and vacuum; say what was acknowledged."""
    store = Store(where, create=True, threads=1)
    committer = store.committer()
    upkeep = Upkeep(committer)
    say("ready")
    threading.Thread(target=compact, args=(upkeep,), daemon=True).start()
    number = max(acknowledged, 1)  # the last one again: its acknowledgement may have been lost
    while True:
        receipts = committer.commit(
            [Batch(sensor, "one", number, BEGIN, table(batch_rows(sensor, number))) for sensor in SENSORS]
        )
        assert all(receipt.held for receipt in receipts)
        say(f"held {number}")
        if number % 5 == 0:
            held = committer.connections.transaction(f"file:{DIGEST}")
            record = committer.ingest(DIGEST, "lab", "", [table(file_rows(held + 1))], replace=True)
            say(f"file {record.number}")
        committer.follow()
        number += 1


def compact(upkeep: Upkeep) -> None:
    while True:
        upkeep.compact(4)
        time.sleep(0.1)
        upkeep.vacuum(1)


def read(where: str, seconds: float) -> None:
    """Whatever a reader sees is what some commit left, and never goes back."""
    store = Store(where, threads=1)
    seen, reads = 0, 0
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        whole = store.dataset.counts(
            Filters(), BEGIN, BEGIN + SPAN, (86400, 900)[reads % 2], Dimension.sensor
        )
        counts = {sensor: sum(cell.connections for cell in whole if cell.key == sensor) for sensor in SENSORS}
        assert counts["lyon"] == counts["oslo"] >= seen, counts
        assert counts["lyon"] % ROWS == 0, counts
        seen = counts["lyon"]
        rows = store.dataset.connections(Filters(), BEGIN, BEGIN + SPAN, limit=10_000)["sensor"].to_pylist()
        assert rows.count("lyon") == rows.count("oslo"), rows.count("lyon")
        reads += 1
    say(f"{reads} {seen}")


def say(words: str) -> None:
    print(words, flush=True)


if __name__ == "__main__":
    verb, place, number = sys.argv[1:]
    write(place, int(number)) if verb == "write" else read(place, float(number))

"""A process that commits to a store beside others, in its turns; it says what it has done, line by line.

python -m tests.store.turns WHERE WORK NAME COUNT

deliver: batches 1 to COUNT of sensor NAME, one after another without a pause.
ingest: COUNT files, known by NAME and their number.
compact: COUNT times.
hold: take a turn, in an object store for a short term; after each of COUNT lines on standard input deliver a batch of sensor NAME in it, then end it.
"""

from __future__ import annotations

import sys

import tests.store.lean  # noqa: F401
from halfopen.errors import LeaseError
from halfopen.store import object_lease
from halfopen.store.committer import Batch, Committer
from halfopen.store.store import Store
from halfopen.store.upkeep import Upkeep
from tests.store.rows import BEGIN, Row, row, table


def rows(number: int) -> list[Row]:
    """Those of a batch or a file."""
    return [row(BEGIN + number * 60 + second, stage=second) for second in range(3)]


def deliver(committer: Committer, name: str, number: int) -> None:
    (receipt,) = committer.commit([Batch(name, "one", number, BEGIN, table(rows(number)))])
    say(f"{number} {receipt.taken}")


def hold(committer: Committer, name: str, count: int) -> None:
    object_lease.TERM = 2.0  # type: ignore[misc]
    try:
        with committer.lock:
            say("holds")
            for number in range(1, count + 1):
                sys.stdin.readline()
                deliver(committer, name, number)
    except LeaseError as error:
        say(error.reason)


def main(where: str, work: str, name: str, count: int) -> None:
    committer = Store(where, threads=1).committer(told=lambda holder: say(f"waits for {holder}"))
    if work == "hold":
        hold(committer, name, count)
        return
    for number in range(1, count + 1):
        if work == "deliver":
            deliver(committer, name, number)
        elif work == "ingest":
            committer.ingest(f"{name} {number}", name, "", [table(rows(number))])
        elif work == "compact":
            Upkeep(committer).compact(2)
        committer.follow()


def say(words: str) -> None:
    print(words, flush=True)


if __name__ == "__main__":
    where, work, name, count = sys.argv[1:]
    main(where, work, name, int(count))

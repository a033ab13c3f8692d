"""The pure-Python flow table over one capture: the same answers, a packet at a time."""

from __future__ import annotations

import sys

from halfopen.capture.source import Capture
from halfopen.connections.limits import Limits
from halfopen.connections.reference.tracker import ReferenceTracker
from halfopen.model import new_counters


def main(file: str) -> None:
    """Judge every connection of `file` and print how many."""
    capture = Capture(file, [file])
    tracker = ReferenceTracker(Limits(), new_counters())
    decided = 0
    for batch in capture.batches():
        decided += sum(len(final.rows) for final in tracker.feed(batch))
    decided += sum(len(final.rows) for final in tracker.finish(capture.clock))
    print(decided)


if __name__ == "__main__":
    main(sys.argv[1])

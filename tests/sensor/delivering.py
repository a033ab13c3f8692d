"""A sensor that puts connections one batch after the other, each number printed once it is acknowledged, and delivers."""

from __future__ import annotations

import sys
import time
from itertools import count
from pathlib import Path

from halfopen.sensor.delivery import Delivery
from halfopen.sensor.remote import Remote
from halfopen.sensor.spool import Spool
from tests.sensor.rows import connections


def main(directory: str, url: str, token: str, first: int) -> None:
    """Run until killed; numbers begin with `first`."""
    spool = Spool(Path(directory))
    Delivery(spool, Remote(url, Path(token), "web-1"), first_wait=0.02, longest_wait=0.1)
    since: int | None = int(time.time())
    for number in count(first):
        now = int(time.time())
        if spool.put(connections([number], now), now, since=since):
            print(number, flush=True)
        since = None
        time.sleep(0.05)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))

"""Halfopen: how TCP connections to your servers die.

::

    import halfopen

    table = halfopen.classify(["capture.pcap"])  # a pyarrow.Table, one row per connection
    table.to_pandas(), polars.from_arrow(table)
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow

__version__ = "0.1.0"


def classify(
    paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    joined: bool = False,
    idle_timeout: float = 10.0,
    server_ports: Iterable[int] = (),
    server_nets: Iterable[str] = (),
    places: Iterable[str | os.PathLike[str]] = (),
    all: bool = False,  # noqa: A002
    jobs: int | None = None,
) -> pyarrow.Table:
    """Judge the connections in captures: one row each, with the columns of ``halfopen.arrow.SCHEMA``.

    `paths` are files, directories or patterns; `joined` takes all files as one rotated capture.
    `idle_timeout` is in seconds. Ports, and networks in CIDR notation, say who the servers are;
    none means everybody. `places` are MMDB files or directories of them. `all` adds connections
    without a stage. `jobs` is the number of threads, by default one per core.

    The metadata of the table's schema holds, as JSON under ``halfopen``, the counters and the
    damage met. Raises `errors.UsageError` for a parameter that cannot be used, and
    `errors.CaptureError` if nothing was readable.
    """
    from ipaddress import ip_network
    from pathlib import Path

    from halfopen.arrow import record_batch, table
    from halfopen.capture.source import open_captures
    from halfopen.connections.limits import Limits
    from halfopen.errors import UsageError
    from halfopen.model import SECOND
    from halfopen.pipeline import Judge, cores
    from halfopen.places import Places

    if not 0 < idle_timeout <= 1e6:
        raise UsageError("idle_timeout", idle_timeout, "seconds, more than 0 and at most 1,000,000")
    try:
        nets = tuple(ip_network(net, strict=False) for net in server_nets)
    except ValueError as error:
        raise UsageError("server_nets", error, "addresses and networks in CIDR notation") from None
    limits = Limits(
        idle_timeout=round(idle_timeout * SECOND), server_ports=frozenset(server_ports), server_nets=nets
    )
    sources = [Path(place) for place in places]
    judge = Judge(limits, Places.open(sources) if sources else None, jobs or cores(), left_out=all)
    several = [paths] if isinstance(paths, (str, os.PathLike)) else paths
    captures = open_captures([os.fspath(path) for path in several], joined=joined)
    batches = list(judge.run(captures, lambda judged: map(record_batch, judged)))
    if not judge.account.readable:
        raise judge.account.problems[0]
    return table(batches, judge.account.about())

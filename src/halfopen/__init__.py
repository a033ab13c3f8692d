"""Halfopen: how TCP connections to your servers die.

::

    import halfopen

    table = halfopen.classify(["capture.pcap"])  # a pyarrow.Table, one row per connection
    table.to_pandas(), polars.from_arrow(table)
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from operator import index
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import pyarrow

_Path: TypeAlias = "str | os.PathLike[str]"

__version__ = "0.1.0"


def classify(
    paths: _Path | Iterable[_Path],
    *,
    joined: bool = False,
    idle_timeout: float = 10.0,
    server_ports: int | Iterable[int] = (),
    server_nets: str | Iterable[str] = (),
    max_connections: int = 1 << 20,
    places: _Path | Iterable[_Path] = (),
    all: bool = False,  # noqa: A002
    jobs: int | None = None,
) -> pyarrow.Table:
    """Judge the connections in captures: one row each, with the columns of ``halfopen.arrow.SCHEMA``.

    `paths` are files, directories or patterns, one or several; `joined` takes all files as one rotated capture.
    `idle_timeout` is in seconds. Ports, and networks in CIDR notation, say who the servers are;
    none means everybody. With more than `max_connections` open at once in a capture, one is evicted,
    SYN-only ones first. `places` are MMDB files or directories of them. `all` adds connections
    without a stage. `jobs` is the number of threads, 1 to 1024, by default one per core.

    The metadata of the table's schema holds, as JSON under ``halfopen``, the counters and the
    damage met. Raises `errors.UsageError` for a parameter that cannot be used, and
    `errors.CaptureError` if nothing was readable.
    """
    from ipaddress import ip_network
    from numbers import Real

    from halfopen.arrow import record_batch, table
    from halfopen.capture.source import open_captures
    from halfopen.connections.limits import MOST_CONNECTIONS, Limits
    from halfopen.errors import UsageError
    from halfopen.model import SECOND
    from halfopen.pipeline import Judge, cores
    from halfopen.places import Places

    if not isinstance(idle_timeout, Real) or not 0 < idle_timeout <= 1e6:
        raise UsageError("idle_timeout", idle_timeout, "seconds, more than 0 and at most 1,000,000")
    nets = _several("server_nets", server_nets, "addresses and networks in CIDR notation, as text")
    try:
        networks = tuple(ip_network(net, strict=False) for net in nets)
    except ValueError:
        accepted = "addresses and networks such as 192.0.2.0/24 or 2001:db8::/32"
        raise UsageError("server_nets", ", ".join(map(str, nets)), accepted) from None
    limits = Limits(
        idle_timeout=round(idle_timeout * SECOND),
        max_connections=_whole("max_connections", max_connections, MOST_CONNECTIONS),
        server_ports=_ports(server_ports),
        server_nets=networks,
    )
    threads = cores() if jobs is None else _whole("jobs", jobs, 1024)
    sources = _several("places", places, "MMDB files or directories of them")
    accepted = "a capture, a directory or a pattern, or several"
    if not (given := _several("paths", paths, accepted)):
        raise UsageError("paths", "an empty list", accepted)
    judge = Judge(limits, Places.open(sources) if sources else None, threads, left_out=all)
    captures = open_captures(given, joined=joined)
    batches = list(judge.run(captures, lambda judged: map(record_batch, judged)))
    if not judge.account.readable:
        raise judge.account.problems[0]
    return table(batches, judge.account.about())


def _several(name: str, given: _Path | Iterable[_Path], accepted: str) -> list[str]:
    """One, or several, as a list of text."""
    from halfopen.errors import UsageError

    try:
        return [os.fspath(each) for each in ([given] if isinstance(given, (str, os.PathLike)) else given)]
    except TypeError:
        raise UsageError(name, repr(given), accepted) from None


def _whole(name: str, value: int, most: int) -> int:
    """A whole number from 1 to `most`."""
    from halfopen.errors import UsageError

    if not hasattr(value, "__index__") or not 1 <= index(value) <= most:
        raise UsageError(name, repr(value), f"a whole number from 1 to {most:,}")
    return index(value)


def _ports(given: int | Iterable[int]) -> frozenset[int]:
    """One port, or several."""
    several = given if isinstance(given, Iterable) else [given]
    return frozenset(_whole("server_ports", port, 65535) for port in several)

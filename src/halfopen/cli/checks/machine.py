"""The machine: privileges, the clock, room on the disk, names."""

from __future__ import annotations

import ctypes
import os
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from halfopen.cli.checks.finding import Examined, Finding, Level
from halfopen.database.database import FILE
from halfopen.sensor.privileges import Capability, held

_SYNCHRONIZED: Final = Path("/run/systemd/timesync/synchronized")

# <sys/timex.h>
_TIMEX_LONGS: Final = 26  # size of struct timex, 208 bytes
_STATUS_LONG: Final = 5  # its member `status`
_STA_UNSYNC: Final = 0x40

_LITTLE: Final = 1 << 30
_TOO_LITTLE: Final = 100 << 20
"""Bytes that are free."""


def privileges(examined: Examined) -> Iterator[Finding]:
    """Whether a sensor could be started from here."""
    needed = Capability.CAP_NET_RAW if examined.sense.nflog is None else Capability.CAP_NET_ADMIN
    if held(needed):
        yield Finding(Level.ok, "privileges", f"a sensor may be started from here ({needed.name})")
        return
    yield Finding(
        Level.note, "privileges", f"a sensor cannot be started from here: {needed.name} is lacking",
        "start `halfopen up` or `sense` as root with --user NAME, or by a unit of packaging/systemd; captures can be ingested without",
    )  # fmt: skip


def clock(examined: Examined) -> Iterator[Finding]:
    """Whether something keeps the clock right, and whether it went back. Nobody outside is asked."""
    newest = max(
        (path.stat().st_mtime for path in (examined.data / FILE, examined.data) if path.exists()), default=0
    )
    if newest > time.time() + 3600:
        yield Finding(
            Level.problem, "clock", "it is behind what was written here last: connections would get wrong times",
            "put it right (date -u; timedatectl set-ntp true)",
        )  # fmt: skip
    elif _is_kept() or _SYNCHRONIZED.exists():
        yield Finding(Level.ok, "clock", "the system says that it is kept right")
    else:
        yield Finding(
            Level.note, "clock", "unknown: the system does not say that anything keeps it right",
            "timedatectl set-ntp true, or another NTP client; in a container the host sees to it",
        )  # fmt: skip


def _is_kept() -> bool:
    """Whether the kernel is told by somebody what time it is (adjtimex(2))."""
    told = (ctypes.c_long * _TIMEX_LONGS)()
    adjtimex = getattr(ctypes.CDLL(None), "adjtimex", None)
    return adjtimex is not None and adjtimex(told) >= 0 and not told[_STATUS_LONG] & _STA_UNSYNC


def disk(examined: Examined) -> Iterator[Finding]:
    """How much room there is for what is kept."""
    for place in dict.fromkeys((str(examined.data), examined.store)):
        if "://" in place or not os.path.exists(place):  # noqa: PTH110 - of a URL, too
            continue
        free = shutil.disk_usage(place).free
        words = f"{free / (1 << 30):,.1f} GiB are free for {place}"
        if free < _LITTLE:
            level = Level.problem if free < _TOO_LITTLE else Level.note
            yield Finding(
                level, "disk", words, "make room, or keep less (--keep-connections, --keep-rollups)"
            )
        else:
            yield Finding(Level.ok, "disk", words)


def names(examined: Examined) -> Iterator[Finding]:
    """Where names lead that were asked about; others are not looked up, since that tells the resolver of them."""
    for name in examined.names:
        try:
            told = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "no name of a host"
            yield Finding(
                Level.problem,
                "DNS",
                f"{name} leads nowhere ({why})",
                f"a record for {name} at its domain's DNS",
            )
            continue
        addresses = list(dict.fromkeys(str(each[4][0]) for each in told))
        words = f"{name} is {', '.join(addresses)}"
        if any(map(_is_ours, addresses)):
            yield Finding(Level.ok, "DNS", f"{words}: this machine")
        else:
            yield Finding(
                Level.note, "DNS", f"{words}: no address of this machine",
                "right where something in front hands on to here; else correct the record",
            )  # fmt: skip


def _is_ours(address: str) -> bool:
    """Whether an address is one of this machine."""
    try:
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True

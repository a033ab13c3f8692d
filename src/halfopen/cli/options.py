"""Options that verbs share, and their values: from text, or a UsageError that says what is accepted."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping
from datetime import timedelta
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Final

from halfopen.errors import UsageError
from halfopen.model import SECOND

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from halfopen.connections.limits import Limits
    from halfopen.privacy import Privacy

_MINUTES: Final = {"s": 1, "m": 60, "h": 3600}
_DAYS: Final = {"h": 3600, "d": 86_400, "w": 604_800}
"""Seconds of units of time."""


def seconds(name: str) -> Callable[[str], int]:
    """Seconds, with fractions, as nanoseconds."""

    def read(text: str) -> int:
        try:
            value = float(text)
        except ValueError:
            value = 0.0
        if not (isfinite(value) and 0 < value <= 1e6):
            raise UsageError(name, text, "seconds, more than 0 and at most 1,000,000")
        return round(value * SECOND)

    return read


def count(name: str, most: int) -> Callable[[str], int]:
    """A whole number from 1 to `most`."""

    def read(text: str) -> int:
        if not (text.isascii() and text.isdigit() and 1 <= int(text) <= most):
            raise UsageError(name, text, f"a whole number from 1 to {most:,}")
        return int(text)

    return read


def ports(name: str) -> Callable[[str], frozenset[int]]:
    """Port numbers separated by commas."""

    def read(text: str) -> frozenset[int]:
        parts = text.split(",")
        if not all(part.isascii() and part.isdigit() and 1 <= int(part) <= 65535 for part in parts):
            raise UsageError(name, text, "ports from 1 to 65535, separated by commas")
        return frozenset(map(int, parts))

    return read


def days(name: str) -> Callable[[str], timedelta]:
    """Hours, days or weeks: a number and one of h, d, w."""
    return _span(name, _DAYS, "a time such as 12h, 30d or 52w")


def minutes(name: str) -> Callable[[str], timedelta]:
    """Seconds, minutes or hours: a number and one of s, m, h."""
    return _span(name, _MINUTES, "a time such as 30s, 3m or 1h")


def _span(name: str, units: Mapping[str, int], accepted: str) -> Callable[[str], timedelta]:
    def read(text: str) -> timedelta:
        number, unit = text[:-1], text[-1:]
        if (
            not (number.isascii() and number.isdigit() and len(number) <= 4 and int(number))
            or unit not in units
        ):
            raise UsageError(name, text, accepted)
        return timedelta(seconds=int(number) * units[unit])

    return read


def time(name: str) -> Callable[[str], int]:
    """A time in s since the epoch, floored to a quarter of an hour."""

    def read(text: str) -> int:
        from halfopen.radar.windows import time_of

        found = time_of(text) if len(text) <= 64 else None
        if found is None or found < 0:
            raise UsageError(name, text, "an ISO 8601 time since 1970 such as 2026-08-01T00:00:00Z")
        return found

    return read


def address(name: str) -> Callable[[str], IPv4Address | IPv6Address]:
    """An IPv4 or IPv6 address."""

    def read(text: str) -> IPv4Address | IPv6Address:
        try:
            return ip_address(text)
        except ValueError:
            raise UsageError(name, text, "an IPv4 or IPv6 address") from None

    return read


def networks(name: str) -> Callable[[str], tuple[IPv4Network | IPv6Network, ...]]:
    """Addresses or CIDR prefixes separated by commas; bits beyond the prefix are left aside."""

    def read(text: str) -> tuple[IPv4Network | IPv6Network, ...]:
        try:
            return tuple(ip_network(part, strict=False) for part in text.split(","))
        except ValueError:
            accepted = "addresses or networks such as 192.0.2.0/24 or 2001:db8::/32, separated by commas"
            raise UsageError(name, text, accepted) from None

    return read


def place(option: str, usual: int) -> Callable[[str], tuple[str, int]]:
    """Where to listen: an address or name, and a port, such as the usual one."""

    def read(text: str) -> tuple[str, int]:
        host, _, port = text.rpartition(":")
        if not host or not (port.isascii() and port.isdecimal()) or int(port) > 65535:
            raise UsageError(option, text, f"HOST:PORT such as 127.0.0.1:{usual} or [::1]:{usual}")
        return host.strip("[]"), int(port)

    return read


def prefixes(name: str) -> Callable[[str], tuple[int, int]]:
    """Lengths in bits of an IPv4 and an IPv6 prefix, separated by a comma."""

    def read(text: str) -> tuple[int, int]:
        parts = text.split(",")
        if len(parts) == 2 and all(part.isascii() and part.isdigit() and len(part) <= 3 for part in parts):
            v4, v6 = map(int, parts)
            if v4 <= 32 and v6 <= 128:
                return v4, v6
        accepted = "lengths in bits of an IPv4 and an IPv6 prefix such as 24,48, up to 32,128"
        raise UsageError(name, text, accepted)

    return read


def add_limits(verb: ArgumentParser) -> None:
    """Add what a verdict depends on beside the packets."""
    verb.add_argument(
        "--joined", action="store_true", help="the files are one rotated capture (tcpdump -G, -C)"
    )
    verb.add_argument(
        "--idle-timeout", metavar="S", type=seconds("--idle-timeout"), default="10",
        help="seconds of silence that make a timeout (default: 10)",
    )  # fmt: skip
    verb.add_argument(
        "--server-port", metavar="P,...", type=ports("--server-port"), default=frozenset(),
        help="only connections to these ports",
    )  # fmt: skip
    verb.add_argument(
        "--server-net", metavar="CIDR,...", type=networks("--server-net"), default=(),
        help="only connections to these networks",
    )  # fmt: skip


def add_places(verb: ArgumentParser, default: str = "none") -> None:
    """Add ``--places``; `default` says what there is without it."""
    verb.add_argument(
        "--places", metavar="DIR|FILE", action="append", default=[],
        help="MMDB files for network and country of the client; may be repeated, for each of them the first that knows answers "
        f"(default: {default})",
    )  # fmt: skip


def add_metrics(verb: ArgumentParser, usual: int) -> None:
    """Add ``--metrics``, for a process that serves nothing else."""
    verb.add_argument(
        "--metrics", metavar="HOST:PORT", type=place("--metrics", usual),
        help="where Prometheus finds /metrics, without a token (default: nowhere)",
    )  # fmt: skip


def expose(registry: CollectorRegistry, host: str, port: int) -> None:
    """Answer ``/metrics`` there from now on; UsageError where one cannot listen there."""
    from halfopen.edge.door import spoken
    from halfopen.exposition import serve

    try:
        serve(registry, host, port)
    except OSError as error:
        accepted = f"where one can listen ({error.strerror or error})"
        raise UsageError("--metrics", spoken((host, port)), accepted) from None


def add_privacy(verb: ArgumentParser) -> None:
    """Add ``--keep-clients`` and ``--keep-names``."""
    verb.add_argument(
        "--keep-clients", choices=("full", "truncated", "hash", "none"), default="truncated",
        help="what is kept of clients' addresses: all, the /24 or /48 (default), a keyed hash, or nothing",
    )  # fmt: skip
    verb.add_argument(
        "--keep-names", choices=("full", "domain", "hash", "none"), default="domain",
        help="what is kept of the names asked for: all, the registrable domain (default), a keyed hash, or nothing",
    )  # fmt: skip


def add_truncate(verb: ArgumentParser) -> None:
    """Add ``--truncate``, which goes with what `add_privacy` adds."""
    verb.add_argument(
        "--truncate", metavar="V4,V6", type=prefixes("--truncate"), default=None,
        help="how many bits are kept of a truncated IPv4 and IPv6 address (default: 24,48)",
    )  # fmt: skip


def privacy(args: Namespace, data: Path, truncated: tuple[int, int] | None = None) -> Privacy:
    """What the options let be kept, addresses `truncated` to so many bits of IPv4 and IPv6; hashes under the key of the
    data directory. UsageError where that key cannot be used, or where addresses are to be truncated and not truncated."""
    from halfopen.privacy import KEY_FILE, Address, Name, Privacy, made_key

    address, name = Address(args.keep_clients), Name(args.keep_names)
    if truncated is not None and address is not Address.truncated:
        raise UsageError("--keep-clients", address, "truncated, beside --truncate")
    key = made_key(data / KEY_FILE) if "hash" in (address, name) else b""
    return Privacy(address, name, key, *(truncated or ()))


def add_data(verb: ArgumentParser) -> None:
    """Add ``--data`` and ``--config``."""
    verb.add_argument(
        "--data", metavar="DIR",
        help="where this installation keeps what it knows (default: $XDG_DATA_HOME/halfopen, ~/.local/share/halfopen)",
    )  # fmt: skip
    verb.add_argument(
        "--config", metavar="FILE",
        help="settings, for what no flag and no variable HALFOPEN_... says (default: halfopen.toml in the data directory, if it is there)",
    )  # fmt: skip


def add_store(verb: ArgumentParser) -> None:
    """Add ``--store``."""
    verb.add_argument(
        "--store", metavar="DIR|URL",
        help="where the dataset lies: a directory or s3://bucket/prefix (default: store in the data directory)",
    )  # fmt: skip


def add_keep(verb: ArgumentParser) -> None:
    """Add ``--keep-connections`` and ``--keep-rollups``."""
    for name, default in (("connections", "30d"), ("rollups", "400d")):
        verb.add_argument(
            f"--keep-{name}", metavar="TIME", type=days(f"--keep-{name}"), default=default,
            help=f"how long {name} are kept, such as 12h, 30d or 52w (default: {default})",
        )  # fmt: skip


def keep(args: Namespace) -> tuple[int, int]:
    """Seconds for which connections and rollups are kept."""
    connections, rollups = (int(each.total_seconds()) for each in (args.keep_connections, args.keep_rollups))
    if rollups < connections:
        accepted = f"a time at least as long as --keep-connections ({_spoken(connections)})"
        raise UsageError("--keep-rollups", _spoken(rollups), accepted)
    return connections, rollups


def _spoken(seconds: int) -> str:
    hours = seconds // 3600
    return f"{hours}h" if hours % 24 else f"{hours // 24}d"


def store(args: Namespace, data: Path) -> str:
    """Where the dataset lies."""
    return str(args.store or data / "store")


def store_to_write(args: Namespace, data: Path) -> str:
    """The same, for a verb that writes to it; UsageError where what root made there could not be used by its owner."""
    from halfopen.config import must_own

    where = store(args, data)
    if Path(where).exists():
        must_own("--store" if args.store else "--data", Path(where))
    return where


def places(args: Namespace, data: Path) -> list[str]:
    """The places files of a server: those asked for, else the directory of them in the data directory, if there is one."""
    kept = data / "places"
    return [str(Path(each).absolute()) for each in args.places or ([kept] if kept.is_dir() else [])]


def limits(args: Namespace) -> Limits:
    """The limits that the options ask for."""
    from halfopen.connections.limits import Limits

    return Limits(
        idle_timeout=args.idle_timeout,
        server_ports=args.server_port,
        server_nets=args.server_net,
    )

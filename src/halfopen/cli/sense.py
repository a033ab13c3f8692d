"""``halfopen sense``: watch live traffic.

The order matters: sockets are opened first, with nothing but the standard library, then privileges are given
up, and only then is imported what starts threads.
"""

from __future__ import annotations

import re
import signal
import socket
import sys
import threading
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from halfopen.cli import options, output
from halfopen.errors import UsageError

if TYPE_CHECKING:
    from halfopen.capture.live.wire import Wire
    from halfopen.places import Places
    from halfopen.sampling import Sampling
    from halfopen.sensor.sensor import Outlet, Sensor

AUTO: Final = "auto"
"""The sample that adapts: all connections, fewer under pressure."""


def add(verbs: Any) -> None:
    """Add the verb to the command line."""
    verb = verbs.add_parser(
        "sense",
        help="watch live traffic",
        description="Watch the TCP connections to this host's servers, judge them as they end, and deliver them to the dataset. "
        "It keeps the first ten packets that each client sends, and of servers only SYN, FIN and RST.",
        epilog="SIGUSR1: say what was counted. SIGTERM, SIGINT: deliver what is final, and end. Exit codes: 0 done; "
        "1 what is needed is missing; 2 the command line cannot be used.",
        allow_abbrev=False,
    )
    source = verb.add_mutually_exclusive_group()
    source.add_argument(
        "-i", "--interface", metavar="NAME", action="append", default=[], dest="interfaces",
        help="what to watch; may be repeated; any: all interfaces, each packet where it comes in (default: any)",
    )  # fmt: skip
    source.add_argument(
        "--nflog", metavar="GROUP", type=_group,
        help="watch what the firewall logs to this group instead, by rules such as --print-nft prints",
    )  # fmt: skip
    verb.add_argument(
        "--print-nft", action="store_true", help="print rules of nftables for --nflog, and do nothing else"
    )
    verb.add_argument(
        "--server-port", metavar="P,...", type=options.ports("--server-port"), default=frozenset(),
        help="ports of the servers (default: those that this host listens on, followed as they change)",
    )  # fmt: skip
    verb.add_argument(
        "--server-net", metavar="CIDR,...", type=options.networks("--server-net"), default=(),
        help="networks of the servers (default: any)",
    )  # fmt: skip
    verb.add_argument(
        "--sample", metavar="N|auto", type=_sample, default=AUTO,
        help="one connection in N; auto: all, and fewer as long as table or processor cannot hold them (default: auto; with --nflog: 1)",
    )  # fmt: skip
    verb.add_argument(
        "--name",
        metavar="NAME",
        help="what the sensor is called in the dataset (default: the name of this host)",
    )
    options.add_data(verb)
    options.add_store(verb)
    verb.add_argument(
        "--to", metavar="URL", help="deliver to the server there, instead of into the dataset on this machine"
    )
    verb.add_argument(
        "--token-file", metavar="FILE", type=Path,
        help="with --to: a file with the token that `halfopen token create --permission sensor:write --sensor NAME` printed",
    )  # fmt: skip
    verb.add_argument(
        "--spool-size", metavar="MIB", type=options.count("--spool-size", 1 << 20), default="1024",
        help="how much may wait on the disk for its delivery (default: 1024)",
    )  # fmt: skip
    options.add_keep_of_clients(verb)
    verb.add_argument(
        "--idle-timeout", metavar="S", type=options.seconds("--idle-timeout"), default="10",
        help="seconds of silence that make a timeout (default: 10)",
    )  # fmt: skip
    verb.add_argument(
        "--max-connections", metavar="N", type=options.count("--max-connections", 1 << 26), default=str(1 << 20),
        help="connections followed at once; beyond, one is evicted, SYN-only ones first (default: 1048576)",
    )  # fmt: skip
    options.add_places(verb, "places in the data directory, if there is such a directory")
    verb.add_argument(
        "--user",
        metavar="NAME",
        help="whom to become once the sockets are open, where it was started as root",
    )
    options.add_metrics(verb, 9101)
    verb.add_argument(
        "--once", metavar="TIME", type=options.minutes("--once"),
        help="watch for so long, such as 60s, show what is seen, and deliver nothing",
    )  # fmt: skip
    verb.add_argument(
        "-o", "--output", metavar="OUT", dest="out",
        help="with --once: write each connection as a line of JSON to this file; - for standard output instead of the table",
    )  # fmt: skip
    verb.set_defaults(run=run)


def _group(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= 65535):
        raise UsageError("--nflog", text, "a group from 0 to 65535")
    return int(text)


def _sample(text: str) -> int | str:
    return AUTO if text == AUTO else options.count("--sample", 1 << 24)(text)


NO_PORTS: Final = frozenset({0})
"""Where nothing listens: no packet has this port, and an empty set would mean all."""


def run(args: Namespace) -> int:
    """Watch until told to stop."""
    if args.print_nft:
        return _print_rules(args)
    _check(args)
    with ExitStack() as stack:
        wires, ports = _opened(args, stack)
        from halfopen.sensor.privileges import drop

        drop(args.user)
        return _watch(args, wires(), ports)


def _check(args: Namespace) -> None:
    """What can be told before anything is opened."""
    if args.out is not None and args.once is None:
        raise UsageError("-o", args.out, "--once beside it: otherwise connections go into the dataset")
    if args.once is not None and args.to is not None:
        raise UsageError("--to", args.to, "no --once beside it, which delivers nothing")
    if (args.to is None) != (args.token_file is None):
        given = ("--token-file", args.token_file) if args.to is None else ("--to", args.to)
        raise UsageError(*given, "--to URL and --token-file FILE together")
    if args.to is not None and args.store is not None:
        raise UsageError("--store", args.store, "no --to beside it: rows are delivered to one place")
    if args.nflog is not None and args.server_port:
        raise UsageError(
            "--server-port", spoken(args.server_port), "no --nflog beside it: the rules say which ports"
        )

"""``halfopen sense``: watch live traffic.

The order matters: sockets are opened first, with nothing but the standard library, then privileges are given
up, and only then is imported what starts threads or has kernels, which are kept in the home of whoever it is then.
"""

from __future__ import annotations

import logging
import re
import signal
import socket
import threading
from argparse import Namespace
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from halfopen.capture.live import ANY
from halfopen.cli import options, output
from halfopen.cli.sources import AUTO, SNAPLEN, Firewall, Interfaces, one_in_how_many
from halfopen.errors import UsageError
from halfopen.model import SENSOR_NAME, SENSOR_NAMES

if TYPE_CHECKING:
    from halfopen.places import Places
    from halfopen.sampling import Sampling
    from halfopen.sensor.sensor import Outlet, Sensor

SPOOLS: Final = "sensors"
"""The folder of the data directory in which each sensor has its spool."""


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
    options.add_privacy(verb)
    options.add_truncate(verb)
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


def run(args: Namespace) -> int:
    """Watch until told to stop."""
    if args.print_nft:
        return _print_rules(args)
    _check(args)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # until there is something to say; it would end the process
    from halfopen.sensor.privileges import drop

    source = Firewall(args) if args.nflog is not None else Interfaces(args)
    with closing(source):
        drop(args.user)
        return _watch(args, source, source.read())


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
        raise UsageError("--store", args.store, "no --to beside it: connections are delivered to one place")
    if ANY in args.interfaces and len(set(args.interfaces)) > 1:
        raise UsageError("-i", ", ".join(args.interfaces), f"{ANY} alone, which is all of them, or others")
    if args.name is not None and not re.fullmatch(SENSOR_NAME, args.name):
        raise UsageError("--name", args.name, SENSOR_NAMES)
    if args.name is None and args.once is None and not re.fullmatch(SENSOR_NAME, _host()):
        raise UsageError("--name", f"{_host()}, the name of this host,", SENSOR_NAMES)


def _host() -> str:
    return socket.gethostname().partition(".")[0]


def _print_rules(args: Namespace) -> int:
    from halfopen.capture.live.listening import Listeners
    from halfopen.capture.live.nft import rules

    ports = args.server_port
    if not ports:
        with closing(Listeners()) as listeners:
            ports = listeners.ports()
    group = 1 if args.nflog is None else args.nflog
    print(rules(group, ports, args.server_net, one_in_how_many(args), SNAPLEN), end="")
    return 0


def _watch(args: Namespace, source: Interfaces | Firewall, sampling: Sampling) -> int:
    from halfopen.config import data_directory
    from halfopen.connections.limits import Limits
    from halfopen.connections.tracker import Tracker
    from halfopen.log import begin_log
    from halfopen.model import new_counters
    from halfopen.pipeline import LiveJudge
    from halfopen.places import Places

    begin_log()
    data = None if args.once is not None else data_directory(args.data)
    asked = args.places if data is None else options.places(args, data)
    places = Places.open(asked) if asked else None
    limits = Limits(
        idle_timeout=args.idle_timeout,
        max_connections=args.max_connections,
        server_nets=args.server_net,
        partial=True,
    )
    name = args.name or _host()
    tracker = Tracker(limits, new_counters(), sampling=sampling, packets=data is not None)
    judge = LiveJudge(name, tracker, places)

    def sensor(outlet: Outlet, told: Callable[[str], None]) -> Sensor:
        from halfopen.sensor.sensor import Sensor

        return Sensor(source.wires, judge, outlet, source.ports, adapts=source.adapts, told=told)

    if data is None:
        return _once(args, source, places, sensor)
    return _deliver(args, source, name, data, sensor)


def _deliver(
    args: Namespace,
    source: Interfaces | Firewall,
    name: str,
    data: Path,
    sensor: Callable[[Outlet, Callable[[str], None]], Sensor],
) -> int:
    import pyarrow as pa
    from prometheus_client import CollectorRegistry

    from halfopen.sensor.delivery import Delivery
    from halfopen.sensor.local import Local
    from halfopen.sensor.metrics import SensorMetrics
    from halfopen.sensor.outgoing import Outgoing
    from halfopen.sensor.remote import Remote
    from halfopen.sensor.spool import Spool

    pa.set_memory_pool(pa.system_memory_pool())  # Arrow's own keeps some 30 MiB more than is ever in use
    log = logging.getLogger("halfopen.sensor")
    receiver = Remote(args.to, args.token_file, name) if args.to else Local(options.store(args, data), name)
    privacy = options.privacy(args, data, args.truncate)
    with closing(Spool(data / SPOOLS / name, args.spool_size << 20)) as spool:
        delivery = Delivery(spool, receiver)
        try:
            outlet = Outgoing(spool, delivery, privacy, source.rate)
            with closing(sensor(outlet, log.info)) as watching:
                if args.metrics is not None:
                    registry = CollectorRegistry()
                    registry.register(SensorMetrics(lambda: watching.latest, outlet))
                    options.expose(registry, *args.metrics)
                log.info("%s watches %s, %s", name, _spoken(source), receiver.name)
                _run(watching)
        finally:
            if delivery.close():
                receiver.close()
    return 0


def _once(
    args: Namespace,
    source: Interfaces | Firewall,
    places: Places | None,
    sensor: Callable[[Outlet, Callable[[str], None]], Sensor],
) -> int:
    from halfopen.cli.live import Screen

    seconds = args.once.total_seconds()
    with ExitStack() as stack:
        lines = stack.enter_context(output.opened(args.out, [])) if args.out is not None else None
        screen = Screen(_spoken(source), seconds, places, lines)
        watching = stack.enter_context(closing(sensor(screen, lambda _: None)))
        timer = threading.Timer(seconds, watching.stop)
        timer.daemon = True
        timer.start()
        stack.callback(timer.cancel)
        if args.out != "-":
            stack.enter_context(screen.shown())
        _run(watching)
    return 0


def _run(watching: Sensor) -> None:
    """Watch until a signal says to stop."""
    signal.signal(signal.SIGTERM, lambda *_: watching.stop())
    signal.signal(signal.SIGINT, lambda *_: watching.stop())
    signal.signal(signal.SIGUSR1, lambda *_: watching.tell())
    watching.run()


def _spoken(source: Interfaces | Firewall) -> str:
    return ", ".join(wire.name for wire in source.wires)

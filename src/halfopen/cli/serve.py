"""``halfopen serve``: the API of the dataset over HTTP."""

from __future__ import annotations

import errno
import json
import os
import socket
import sys
from argparse import Namespace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from halfopen.cli import edge, options
from halfopen.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from halfopen.edge.metrics import EdgeMetrics
    from halfopen.edge.running import RunningEdge
    from halfopen.tunnels.installation import Installation

HEADERS_WITHIN: Final = 15.0
"""Seconds for the headers of a request to come, and for which a connection without one is kept."""


def add(verbs: Any) -> None:
    """Add the verb to the command line."""
    verb = verbs.add_parser(
        "serve",
        help="answer the API of the dataset",
        description="Answer /client/v4 over HTTP from what was ingested; a token for it is made by `halfopen token create`. "
        "Every 15 minutes small files are put together and what is older than is to be kept is removed.",
        allow_abbrev=False,
    )
    options.add_data(verb)
    options.add_store(verb)
    options.add_keep(verb)
    options.add_places(verb, "places in the data directory, if there is such a directory")
    verb.add_argument(
        "--host", metavar="HOST", default="127.0.0.1",
        help="where to listen: an address, or a name of which the first address is taken (default: 127.0.0.1)",
    )  # fmt: skip
    verb.add_argument(
        "--port", metavar="N", type=options.count("--port", 65535), default="8787", help="default: 8787"
    )  # fmt: skip
    verb.add_argument(
        "--trusted-proxy", metavar="CIDR,...", action="extend", type=options.networks("--trusted-proxy"), default=[],
        help="networks of reverse proxies, whose X-Forwarded-For or Forwarded tells the client; may be repeated (default: nobody's does)",
    )  # fmt: skip
    verb.add_argument(
        "--grace", metavar="TIME", type=options.minutes("--grace"), default="3m",
        help="how long a tunnel's connection that broke off is pending, such as 30s, 3m or 1h (default: 3m); the same for all servers of a database",
    )  # fmt: skip
    verb.add_argument(
        "--edge", action="store_true",
        help="be an edge, too, as `halfopen edge` is: connectors of tunnels connect to it, and visitors come in",
    )  # fmt: skip
    edge.add_listeners(verb, "--edge-listen", "with --edge: ")
    verb.set_defaults(run=run)


def run(args: Namespace) -> int:
    """Serve until told to stop."""
    from halfopen.cli.holder import mark
    from halfopen.config import data_directory
    from halfopen.places import Places
    from halfopen.server import DATA, GRACE, KEEP_CONNECTIONS, KEEP_ROLLUPS, PLACES, STORE, TRUSTED_PROXIES
    from halfopen.server.process import serve

    if not args.edge and (given := edge.given(args, "--edge-listen")):
        raise UsageError(given, "an option of an edge", "beside --edge")
    data = data_directory(args.data)
    keep_connections, keep_rollups = map(str, options.keep(args))
    places = options.places(args, data)
    Places.open(places)  # to tell now what is wrong with them
    os.environ |= {
        DATA: str(data),
        STORE: options.store(args, data),
        KEEP_CONNECTIONS: keep_connections,
        KEEP_ROLLUPS: keep_rollups,
        PLACES: json.dumps(places),
        GRACE: str(int(args.grace.total_seconds())),
        TRUSTED_PROXIES: ",".join(map(str, args.trusted_proxy)),
    }
    found = address("--host and --port", args.host, args.port)
    mark(data, args.port)  # for as long as this process lives
    serve(
        found, args.port, HEADERS_WITHIN, partial(_tell, found, args.port),
        partial(_begin_edge, args, data / edge.FOLDER) if args.edge else None,
    )  # fmt: skip
    return 0


async def _begin_edge(args: Namespace, folder: Path, here: Installation, metrics: EdgeMetrics) -> RunningEdge:
    from halfopen.edge.registry import OwnRegistry
    from halfopen.edge.running import RunningEdge
    from halfopen.edge.trust import Trust

    places, certificates = edge.listeners(args)
    begun = await RunningEdge.begin(
        OwnRegistry.of(here, edge.colo(args)), Trust(folder), places, certificates, metrics
    )
    edge.tell(begun.places, begun.way)
    return begun


def _tell(address: str, port: int) -> None:
    from halfopen.edge.door import spoken

    print(f"halfopen: serving http://{spoken((address, port))}/client/v4", file=sys.stderr, flush=True)


def address(options: str, host: str, port: int) -> str:
    """The first address of a host at which one can listen; UsageError, which names the options, where there is none, or it is taken:
    the server would share a port without a word."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise _nowhere(options, host, port, error.strerror) from None
    except UnicodeError:
        raise _nowhere(options, host, port, "no name of a host") from None
    why: str | None = None
    for family, _, _, _, (numeric, *_) in found:
        try:
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((numeric, port))
                return str(numeric)
        except OSError as error:
            why = error.strerror
            if error.errno == errno.EADDRINUSE:
                break  # at another address of this name few would look for it
    raise _nowhere(options, host, port, why)


def _nowhere(options: str, host: str, port: int, why: str | None) -> UsageError:
    return UsageError(options, f"{host} port {port}", f"where one can listen ({why})")

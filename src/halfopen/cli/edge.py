"""``halfopen edge``: an edge that runs, and who may be one."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from halfopen.cli import options
from halfopen.cli.deeds import deed, installation, minute
from halfopen.cli.text import columns
from halfopen.errors import UsageError

if TYPE_CHECKING:
    from halfopen.accounts import TokenRecord
    from halfopen.edge.metrics import EdgeMetrics
    from halfopen.edge.running import Places
    from halfopen.edge.visitors.certificates import Certificates
    from halfopen.tunnels.installation import Installation

KEY: Final = "HALFOPEN_EDGE_KEY"
"""Environment variable: the key of an edge that reports to a server elsewhere."""

FOLDER: Final = "edge"
"""Name of the folder, in the data directory, with the edge's certificates."""


def add(verbs: Any) -> None:
    """Add the verb to the command line."""
    edge = verbs.add_parser(
        "edge",
        help="be an edge, to which connectors of tunnels connect; enrol other edges",
        description="Without a deed: be an edge. Connectors of tunnels (cloudflared) connect to it, and visitors reach through it what "
        "is behind them. It reports to the database of the data directory, or with --registry to a server elsewhere.",
        allow_abbrev=False,
    )
    options.add_data(edge)
    add_listeners(edge, "--listen")
    edge.add_argument(
        "--registry", metavar="URL",
        help=f"the server to report to, such as https://api.example; the edge's key is taken from {KEY} (default: the database of "
        "the data directory)",
    )  # fmt: skip
    edge.add_argument(
        "--trusted-proxy", metavar="CIDR,...", action="extend", type=options.networks("--trusted-proxy"), default=[],
        help="networks of reverse proxies in front, whose X-Forwarded-For and -Proto go on; may be repeated (default: nobody's do)",
    )  # fmt: skip
    edge.add_argument(
        "--metrics", metavar="HOST:PORT", type=address("--metrics"),
        help="where Prometheus finds /metrics, without a token (default: nowhere)",
    )  # fmt: skip
    edge.set_defaults(run=_run)
    deeds = edge.add_subparsers(metavar="DEED")
    authority = deeds.add_parser(
        "ca", help="print what connectors trust the edge by",
        description="Print the certificate (PEM) that cloudflared is given with --cacert.", allow_abbrev=False,
    )  # fmt: skip
    options.add_data(authority)
    authority.set_defaults(run=_authority)
    names = deeds.add_parser(
        "dns", help="print the DNS records by which connectors find an edge",
        description="Print the records (lines of a zone file) that a resolver has to answer for cloudflared to find an edge without --edge.",
        allow_abbrev=False,
    )  # fmt: skip
    names.add_argument(
        "address", metavar="ADDRESS", type=options.address("ADDRESS"), nargs="+",
        help="of the edge, IPv4 or IPv6; two of one kind, at least, for four connections of each connector",
    )  # fmt: skip
    names.add_argument(
        "--port", metavar="N", type=options.count("--port", 65535), default="7844",
        help="where connectors connect (default: 7844)",
    )  # fmt: skip
    names.set_defaults(run=_names)
    enrol = deed(
        deeds, "enrol", _enrol, "let an edge report",
        "Enrol an edge and print its key, alone, on standard output. It is shown this once: only a hash of it is kept. An edge that "
        "was revoked gets a new key, and so does one that was left without.",
    )  # fmt: skip
    enrol.add_argument("name", metavar="NAME", help="of the edge, 1 to 63 characters")
    enrol.add_argument(
        "--colo",
        metavar="NAME",
        help="the place that clients are told, such as ams01 (default: the name, or what it was)",
    )
    deed(deeds, "list", _list, "show the edges", "Every edge: its name, place, age, and whether it is there.")
    revoke = deed(
        deeds, "revoke", _revoke, "let an edge report no more",
        "Make the key of an edge useless. What is connected to it counts as lost from now on.",
    )  # fmt: skip
    revoke.add_argument("name", metavar="NAME", help="of the edge")


def add_listeners(verb: ArgumentParser, connectors: str, when: str = "") -> None:
    """Add where an edge listens, for connectors by an option of this name, and what it is called; `when` is said before each."""
    verb.add_argument(
        connectors, metavar="HOST:PORT", type=address(connectors), default="127.0.0.1:7844",
        help=f"{when}where connectors connect, by QUIC and by HTTP/2 over TLS (default: 127.0.0.1:7844)",
    )  # fmt: skip
    verb.add_argument(
        "--visitors", metavar="HOST:PORT", type=address("--visitors"), default="127.0.0.1:8080",
        help=f"{when}where visitors come in, by HTTP (default: 127.0.0.1:8080)",
    )  # fmt: skip
    verb.add_argument(
        "--visitors-tls", metavar="HOST:PORT", type=address("--visitors-tls"),
        help=f"{when}where visitors come in by HTTPS, too, with the certificates of --certificates (default: nowhere)",
    )  # fmt: skip
    verb.add_argument(
        "--certificates", metavar="DIR", type=Path,
        help=f"{when}certificates for visitors, chosen by the names in them: NAME.pem with NAME.key, or NAME/fullchain.pem with "
        "NAME/privkey.pem as certbot keeps them; changes are seen by themselves",
    )  # fmt: skip
    verb.add_argument(
        "--colo", metavar="NAME", default="local",
        help=f"{when}name of the edge, and the place that clients are told (default: local)",
    )  # fmt: skip


def listeners(args: Namespace, connectors: tuple[str, int]) -> tuple[Places, Certificates | None]:
    """Where an edge is to listen, with which certificates."""
    from halfopen.edge.running import Places
    from halfopen.edge.visitors.certificates import Certificates

    if (args.visitors_tls is None) != (args.certificates is None):
        raise UsageError("--visitors-tls, --certificates", "one of them", "both, or none")
    certificates = None if args.certificates is None else Certificates(args.certificates)
    return Places(connectors, args.visitors, args.visitors_tls, args.trusted_proxy), certificates


def address(option: str) -> Callable[[str], tuple[str, int]]:
    """Where to listen: an address or name, and a port."""

    def read(text: str) -> tuple[str, int]:
        host, _, port = text.rpartition(":")
        if not host or not port.isdecimal() or int(port) > 65535:
            raise UsageError(option, text, "HOST:PORT such as 127.0.0.1:7844 or [::1]:7844")
        return host.strip("[]"), int(port)

    return read


def _authority(args: Namespace) -> int:
    from halfopen.config import data_directory
    from halfopen.edge.trust import Trust

    print(Trust(data_directory(args.data) / FOLDER).authority(), end="")
    return 0


def _names(args: Namespace) -> int:
    from halfopen.edge.discovery import records

    print("\n".join(records(args.address, args.port)))
    return 0


def _run(args: Namespace) -> int:
    import asyncio
    import logging
    import os

    import uvloop

    from halfopen.config import data_directory
    from halfopen.edge.metrics import EdgeMetrics
    from halfopen.edge.registry import FarRegistry, OwnRegistry
    from halfopen.edge.running import run
    from halfopen.edge.trust import Trust
    from halfopen.tunnels.sessions import SessionError

    logging.basicConfig(format="halfopen: %(message)s", level=logging.INFO, stream=sys.stderr)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    data = data_directory(args.data)
    trust = Trust(data / FOLDER)
    places, certificates = listeners(args, args.listen)
    metrics = EdgeMetrics()

    def be(registry: Any) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run(registry, trust, places, certificates, metrics, partial(tell, data / FOLDER)))

    if args.metrics is not None:
        _tell_metrics(metrics, *args.metrics)
    try:
        if args.registry:
            if not (key := os.environ.get(KEY)):
                raise UsageError(KEY, "not set", "the key that `halfopen edge enrol` printed")
            be(FarRegistry(args.registry, args.colo, key))
        else:
            with installation(args) as here:
                be(OwnRegistry.of(here, args.colo))
    except SessionError:
        print(f"halfopen: another process is the edge {args.colo} now", file=sys.stderr)
        return 1
    except OSError as error:
        raise UsageError(
            "--listen, --visitors, --visitors-tls",
            f"{args.listen}, {args.visitors}, {args.visitors_tls}",
            f"addresses that are free ({error.strerror})",
        ) from None
    return 0


def _tell_metrics(metrics: EdgeMetrics, host: str, port: int) -> None:
    from prometheus_client import start_http_server

    try:
        start_http_server(port, host, metrics.registry)
    except OSError as error:
        raise UsageError(
            "--metrics", f"{host}:{port}", f"an address that is free ({error.strerror})"
        ) from None


def tell(folder: Path, places: Places) -> None:
    """Say where an edge listens, and how connectors of this machine connect."""
    from halfopen.edge.trust import AUTHORITY

    connectors, visitors = (f"{host}:{port}" for host, port in (places.connectors, places.visitors))
    over_tls = f" and https://{places.tls[0]}:{places.tls[1]}" if places.tls else ""
    print(f"connectors: {connectors}, visitors: http://{visitors}{over_tls}")
    edges = " ".join([f"--edge {connectors}"] * 4)  # as many connections as places
    print("Connect a tunnel (its token: halfopen tunnel token NAME) by QUIC with:")
    print(f"  cloudflared tunnel --cacert {folder / AUTHORITY} {edges} run --token TOKEN")
    print("or, where UDP does not get through, by HTTP/2:")
    print(
        f"  cloudflared tunnel --cacert {folder / AUTHORITY} {edges} --protocol http2 run --token TOKEN",
        flush=True,
    )


def _enrol(here: Installation, args: Namespace) -> None:
    from halfopen.accounts.permissions import EDGE_REPORT

    if here.edges.named(args.name) is None:
        _revoke_keys(here, args.name)  # of an edge that was revoked, should that have been left half done
        here.edges.enrol(args.name, args.colo)
    elif any(each.revoked is None for each in _keys(here, args.name)):
        raise UsageError(
            "edge", args.name, "a name that no edge has, or a revoked one (halfopen edge revoke)"
        )
    key, record = here.accounts.create_token([EDGE_REPORT], edge=args.name, name=f"edge {args.name}")
    print(key, flush=True)
    print(
        f"halfopen: the key of edge {args.name} is token {record.id}; it is not shown again", file=sys.stderr
    )


def _list(here: Installation, _: Namespace) -> None:
    rows = [("Name", "Place", "Enrolled", "State")]
    here.registry.sweep()
    for each in here.edges.all():
        state = "revoked" if each.revoked is not None else "away" if each.alive is None else "there"
        rows.append((each.name, each.colo, minute(each.created), state))
    print("\n".join(columns(rows)))


def _revoke(here: Installation, args: Namespace) -> None:
    here.edges.revoke(args.name)
    _revoke_keys(here, args.name)


def _revoke_keys(here: Installation, name: str) -> None:
    for each in _keys(here, name):
        here.accounts.revoke_token(each.id)


def _keys(here: Installation, name: str) -> list[TokenRecord]:
    return [each for each in here.accounts.list_tokens() if each.edge == name]

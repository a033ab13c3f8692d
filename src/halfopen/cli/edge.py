"""``halfopen edge``: an edge that runs, and who may be one."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from halfopen.cli import options
from halfopen.cli.deeds import deed, installation, moment
from halfopen.cli.tables import add_json, show
from halfopen.config import EDGE_KEY
from halfopen.errors import UsageError

if TYPE_CHECKING:
    from halfopen.accounts import TokenRecord
    from halfopen.edge.connecting import Way
    from halfopen.edge.running import Places
    from halfopen.edge.visitors.certificates import Certificates
    from halfopen.tunnels.installation import Installation

CONNECTORS: Final = "127.0.0.1", 7844
VISITORS: Final = "127.0.0.1", 8080

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
        "--registry", metavar="URL", type=_server,
        help=f"the server to report to, such as https://api.example; the edge's key is taken from {EDGE_KEY} (default: the database of "
        "the data directory)",
    )  # fmt: skip
    edge.add_argument(
        "--trusted-proxy", metavar="CIDR,...", action="extend", type=options.networks("--trusted-proxy"), default=[],
        help="networks of reverse proxies in front, whose X-Forwarded-For and -Proto go on; may be repeated (default: nobody's do)",
    )  # fmt: skip
    options.add_metrics(edge, 9100)
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
        "address", metavar="ADDRESS", type=_of_an_edge, nargs="+",
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
    add_json(
        deed(
            deeds,
            "list",
            _list,
            "show the edges",
            "Every edge: its name, place, age, and whether it is there.",
        )
    )
    revoke = deed(
        deeds, "revoke", _revoke, "let an edge report no more",
        "Make the key of an edge useless. What is connected to it counts as lost from now on.",
    )  # fmt: skip
    revoke.add_argument("name", metavar="NAME", help="of the edge")


def add_listeners(verb: ArgumentParser, connectors: str, when: str = "") -> None:
    """Add where an edge listens, for connectors by an option of this name, and what it is called; `when` is said before each.

    What is not given is None: `listeners` and `colo` know what it is then.
    """
    verb.add_argument(
        connectors, metavar="HOST:PORT", type=options.place(connectors, CONNECTORS[1]), dest="connectors",
        help=f"{when}where connectors connect, by QUIC and by HTTP/2 over TLS (default: 127.0.0.1:7844)",
    )  # fmt: skip
    verb.add_argument(
        "--visitors", metavar="HOST:PORT", type=options.place("--visitors", VISITORS[1]),
        help=f"{when}where visitors come in, by HTTP (default: 127.0.0.1:8080)",
    )  # fmt: skip
    verb.add_argument(
        "--visitors-tls", metavar="HOST:PORT", type=options.place("--visitors-tls", 8443),
        help=f"{when}where visitors come in by HTTPS, too, with the certificates of --certificates (default: nowhere)",
    )  # fmt: skip
    verb.add_argument(
        "--certificates", metavar="DIR", type=Path,
        help=f"{when}certificates for visitors, chosen by the names in them: NAME.pem with NAME.key, or NAME/fullchain.pem with "
        "NAME/privkey.pem as certbot keeps them; changes are seen by themselves",
    )  # fmt: skip
    verb.add_argument(
        "--colo", metavar="NAME", type=_colo,
        help=f"{when}name of the edge, and the place that clients are told (default: local)",
    )  # fmt: skip


def given(args: Namespace, connectors: str) -> str:
    """Which of these options are given, in words; that for connectors has this name."""
    names = {connectors: args.connectors, "--visitors": args.visitors, "--visitors-tls": args.visitors_tls,
             "--certificates": args.certificates, "--colo": args.colo}  # fmt: skip
    return ", ".join(name for name, value in names.items() if value is not None)


def colo(args: Namespace) -> str:
    """What an edge is called."""
    return str(args.colo or "local")


def listeners(args: Namespace) -> tuple[Places, Certificates | None]:
    """Where an edge is to listen, with which certificates."""
    from halfopen.edge.running import Places
    from halfopen.edge.visitors.certificates import Certificates

    if (args.visitors_tls is None) != (args.certificates is None):
        raise UsageError("--visitors-tls, --certificates", "one of them", "both, or none")
    certificates = None if args.certificates is None else Certificates(args.certificates)
    places = Places(
        args.connectors or CONNECTORS, args.visitors or VISITORS, args.visitors_tls, args.trusted_proxy
    )
    return places, certificates


def _colo(text: str) -> str:
    from halfopen.tunnels.edges import NAME

    if not NAME.fullmatch(text):
        raise UsageError("--colo", text or "an empty name", "1 to 63 characters of 0-9, A-Z, a-z, ., _ and -")
    return text


def _server(text: str) -> str:
    """Where a server is, without the path of its API."""
    try:
        told = urlsplit(text)
        good = told.scheme in ("http", "https") and told.hostname and told.port != 0
    except ValueError:
        good = False
    if not good or told.query or told.fragment:
        raise UsageError("--registry", text, "the URL of a server such as https://api.example")
    return text.rstrip("/").removesuffix("/client/v4")


def _of_an_edge(text: str) -> IPv4Address | IPv6Address:
    found = options.address("ADDRESS")(text)
    if found.is_unspecified or found.is_multicast or "%" in text:
        raise UsageError("ADDRESS", text, "an address of one edge, without a zone")
    return found


def _authority(args: Namespace) -> int:
    from halfopen.config import data_directory
    from halfopen.edge.trust import Trust

    print(Trust(data_directory(args.data) / FOLDER).authority(), end="")
    return 0


def _names(args: Namespace) -> int:
    from halfopen.edge.discovery import records

    if twice := [each for each in args.address if args.address.count(each) > 1]:
        raise UsageError("ADDRESS", f"{twice[0]}, given twice,", "each address once")
    print("\n".join(records(args.address, args.port)))
    return 0


def _run(args: Namespace) -> int:
    import asyncio
    import os

    import uvloop

    from halfopen.config import data_directory
    from halfopen.edge.metrics import EdgeMetrics
    from halfopen.edge.registry import FarRegistry, OwnRegistry
    from halfopen.edge.running import run
    from halfopen.edge.trust import Trust
    from halfopen.log import begin_log

    begin_log()
    data = data_directory(args.data)
    trust = Trust(data / FOLDER)
    places, certificates = listeners(args)
    metrics = EdgeMetrics()

    def be(registry: Any) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run(registry, trust, places, certificates, metrics, tell))

    if args.metrics is not None:
        options.expose(metrics.registry, *args.metrics)
    if args.registry:
        be(FarRegistry(args.registry, colo(args), _key(os.environ.get(EDGE_KEY, ""), args.registry)))
    else:
        with installation(args) as here:
            be(OwnRegistry.of(here, colo(args)))
    return 0


def _key(text: str, server: str) -> str:
    accepted = f"the key that `halfopen edge enrol` printed, in {EDGE_KEY}"
    if not text:
        raise UsageError("--registry", f"{server} without a key", accepted)
    if not (text.isascii() and text.isprintable() and " " not in text):
        raise UsageError(EDGE_KEY, "a text with other characters than a key has", accepted)
    return text


def tell(places: Places, way: Way) -> None:
    """Say where an edge listens, and how connectors of this machine connect."""
    from halfopen.edge.door import spoken

    connectors, visitors = map(spoken, (places.connectors, places.visitors))
    over_tls = f" and https://{spoken(places.tls)}" if places.tls else ""
    print(f"connectors: {connectors}, visitors: http://{visitors}{over_tls}")
    of_address = ", ADDRESS one of this machine's" if way.anywhere else ""
    print(f"Connect a tunnel (its token: halfopen tunnel token NAME{of_address}) by QUIC with:")
    print(f"  {way.command('TOKEN')}")
    print("or, where UDP does not get through, by HTTP/2:")
    print(f"  {way.command('TOKEN', 'http2')}", flush=True)


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


def _list(here: Installation, args: Namespace) -> None:
    rows = []
    here.registry.sweep()
    for each in here.edges.all():
        rows.append((each.name, each.colo, moment(each.created), each.state))
    show(args, ("Name", "Place", "Enrolled", "State"), rows)


def _revoke(here: Installation, args: Namespace) -> None:
    here.edges.revoke(args.name)
    _revoke_keys(here, args.name)


def _revoke_keys(here: Installation, name: str) -> None:
    for each in _keys(here, name):
        here.accounts.revoke_token(each.id)


def _keys(here: Installation, name: str) -> list[TokenRecord]:
    return [each for each in here.accounts.list_tokens() if each.edge == name]

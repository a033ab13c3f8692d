"""``halfopen edge``: an edge that runs, and who may be one."""

from __future__ import annotations

import sys
from argparse import Namespace
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
    edge.add_argument(
        "--listen", metavar="HOST:PORT", type=_address("--listen"), default="127.0.0.1:7844",
        help="where connectors connect, by HTTP/2 over TLS (default: 127.0.0.1:7844)",
    )  # fmt: skip
    edge.add_argument(
        "--visitors", metavar="HOST:PORT", type=_address("--visitors"), default="127.0.0.1:8080",
        help="where visitors come in, by HTTP (default: 127.0.0.1:8080)",
    )  # fmt: skip
    edge.add_argument(
        "--visitors-tls", metavar="HOST:PORT", type=_address("--visitors-tls"),
        help="where visitors come in by HTTPS, too, with the certificates of --certificates (default: nowhere)",
    )  # fmt: skip
    edge.add_argument(
        "--certificates", metavar="DIR", type=Path,
        help="certificates for visitors, chosen by the names in them: NAME.pem with NAME.key, or NAME/fullchain.pem with "
        "NAME/privkey.pem as certbot keeps them; changes are seen by themselves",
    )  # fmt: skip
    edge.add_argument(
        "--colo", metavar="NAME", default="local",
        help="name of the edge, and the place that clients are told (default: local)",
    )  # fmt: skip
    edge.add_argument(
        "--registry", metavar="URL",
        help=f"the server to report to, such as https://api.example; the edge's key is taken from {KEY} (default: the database of "
        "the data directory)",
    )  # fmt: skip
    edge.add_argument(
        "--trusted-proxy", metavar="CIDR,...", action="extend", type=options.networks("--trusted-proxy"), default=[],
        help="networks of reverse proxies in front, whose X-Forwarded-For and -Proto go on; may be repeated (default: nobody's do)",
    )  # fmt: skip
    edge.set_defaults(run=_run)
    deeds = edge.add_subparsers(metavar="DEED")
    authority = deeds.add_parser(
        "ca", help="print what connectors trust the edge by",
        description="Print the certificate (PEM) that cloudflared is given with --cacert.", allow_abbrev=False,
    )  # fmt: skip
    options.add_data(authority)
    authority.set_defaults(run=_authority)
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


def _address(option: str) -> Callable[[str], tuple[str, int]]:
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


def _run(args: Namespace) -> int:
    import asyncio
    import logging
    import os

    import uvloop

    from halfopen.config import data_directory
    from halfopen.edge.registry import FarRegistry, OwnRegistry
    from halfopen.edge.running import Places, run
    from halfopen.edge.trust import Trust
    from halfopen.edge.visitors.certificates import Certificates
    from halfopen.tunnels.sessions import SessionError

    logging.basicConfig(format="halfopen: %(message)s", level=logging.INFO, stream=sys.stderr)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    data = data_directory(args.data)
    trust = Trust(data / FOLDER)
    if (args.visitors_tls is None) != (args.certificates is None):
        raise UsageError("--visitors-tls, --certificates", "one of them", "both, or none")
    certificates = None if args.certificates is None else Certificates(args.certificates)
    places = Places(args.listen, args.visitors, args.visitors_tls, args.trusted_proxy)

    def be(registry: Any) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run(registry, trust, places, partial(_listening, data / FOLDER), certificates))

    try:
        if args.registry:
            if not (key := os.environ.get(KEY)):
                raise UsageError(KEY, "not set", "the key that `halfopen edge enrol` printed")
            be(FarRegistry(args.registry, args.colo, key))
        else:
            with installation(args) as here:
                own = here.edges.named(args.colo) or here.edges.enrol(args.colo, args.colo)
                be(OwnRegistry(here, own))
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


def _listening(folder: Any, places: Any) -> None:
    from halfopen.edge.trust import AUTHORITY

    connectors, visitors = (f"{host}:{port}" for host, port in (places.connectors, places.visitors))
    over_tls = f" and https://{places.tls[0]}:{places.tls[1]}" if places.tls else ""
    print(f"connectors: {connectors}, visitors: http://{visitors}{over_tls}")
    print("Connect a tunnel (its token: halfopen tunnel token NAME) with:")
    print(
        f"  cloudflared tunnel --cacert {folder / AUTHORITY} {' '.join([f'--edge {connectors}'] * 4)} --protocol http2 run --token TOKEN",
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

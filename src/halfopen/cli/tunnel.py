"""``halfopen tunnel``: tunnels and what is connected to them, without a server in between."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from halfopen.cli.deeds import account_of, deed, moment, verb
from halfopen.cli.tables import Cell, add_json, objects, print_json, show
from halfopen.cli.text import printable
from halfopen.errors import UsageError

if TYPE_CHECKING:
    from halfopen.tunnels.installation import Installation
    from halfopen.tunnels.records import Tunnel


def add(verbs: Any) -> None:
    """Add the verb to the command line."""
    deeds = verb(
        verbs,
        "tunnel",
        "make, list, clean up or delete tunnels",
        "Tunnels of cloudflared, and what is connected to them. `cloudflared tunnel --api-url` does the same over HTTP.",
    )
    create = deed(
        deeds, "create", _create, "make a tunnel", "Make a tunnel and print its id, alone, on standard output."
    )  # fmt: skip
    create.add_argument("name", metavar="NAME", help="of the tunnel, once in its account")
    create.add_argument(
        "--local", action="store_true",
        help="it is configured by a file beside cloudflared (default: here, and pushed to its connectors)",
    )  # fmt: skip
    _of(create)
    take = deed(
        deeds, "import", _import, "adopt a tunnel from elsewhere",
        "Adopt a tunnel with its id, account and secret, and print its id, alone, on standard output: connectors that run "
        "with these credentials need no others. An account that is not there yet is made.",
    )  # fmt: skip
    take.add_argument(
        "credentials", metavar="CREDENTIALS",
        help="the credentials file of cloudflared (JSON), or the token of `cloudflared tunnel token`; - reads either from "
        "standard input",
    )  # fmt: skip
    take.add_argument(
        "--name", metavar="NAME", help="of the tunnel (default: imported- and the begin of its id)"
    )
    list_ = deed(
        deeds, "list", _list, "show the tunnels", "Every tunnel: its id, name, age, status and connections."
    )
    list_.add_argument("--deleted", action="store_true", help="those that are deleted")
    add_json(list_)
    _of(list_)
    for name, run, help_, words in (
        ("info", _info, "show what is connected", "The connectors of a tunnel and their connections, and its hostnames."),
        ("token", _token, "show what a connector is started with",
         "Print the token of a tunnel, alone, on standard output, for `cloudflared tunnel run --token`."),
        ("cleanup", _cleanup, "close what is connected",
         "Close every connection of a tunnel. Connectors that still have a good secret come back."),
        ("delete", _delete, "delete a tunnel", "Delete a tunnel of which nothing is connected. Its name is free again."),
    ):  # fmt: skip
        made = deed(deeds, name, run, help_, words)
        made.add_argument("tunnel", metavar="TUNNEL", help="its name or id")
        _of(made)
        if name == "info":
            add_json(made)
        if name == "cleanup":
            made.add_argument("--connector", metavar="ID", help="only of this connector")
        if name == "delete":
            made.add_argument("--force", "-f", action="store_true", help="close what is connected first")


def _of(made: ArgumentParser) -> None:
    made.add_argument("--account", metavar="ID", help="whose tunnel (default: the only account)")


def _create(here: Installation, args: Namespace) -> None:
    account = account_of(here, args.account)
    tunnel, _ = here.tunnels.create(account, args.name, "local" if args.local else "cloudflare")
    print(tunnel.id)


def _import(here: Installation, args: Namespace) -> None:
    from halfopen.tunnels.vault import RunToken

    given = args.credentials
    token = RunToken.parse(given) or RunToken.parse(_read(given))
    if token is None:
        # Not shown: it may be a secret with a typing error.
        accepted = "a credentials file of cloudflared, or a token; - for one of them on standard input"
        raise UsageError("CREDENTIALS", "what was given", accepted)
    tunnel, is_new = here.tunnels.adopt(token, args.name or f"imported-{token.tunnel[:8]}")
    if is_new:
        print(f"halfopen: account {token.account} is new", file=sys.stderr)
    print(tunnel.id)


def _read(given: str) -> str:
    """What the file of a name holds, or standard input for ``-``; nothing where there is none."""
    if given == "-":
        return sys.stdin.buffer.read().decode(errors="replace")
    try:
        return Path(given).read_text(errors="replace")
    except (OSError, ValueError):
        if given.endswith(".json"):  # no token, so that it can be named
            raise
        return ""


def _list(here: Installation, args: Namespace) -> None:
    from halfopen.tunnels.catalogue import Filter

    rows: list[tuple[Cell, ...]] = []
    page = 1
    while True:
        found, _ = here.tunnels.find(account_of(here, args.account), Filter(deleted=args.deleted), page, 1000)
        for each in found:
            rows.append((each.id, each.name, moment(each.created), each.status.value, _places(each)))
        if len(found) < 1000:
            break
        page += 1
    show(args, ("Id", "Name", "Created", "Status", "Connections"), rows)


def _places(tunnel: Tunnel) -> list[str]:
    """Live connections by place, as cloudflared shows them: 2xams01, 2xpar01."""
    live = [link.colo for link in tunnel.links if link.lost is None]
    return [f"{live.count(colo)}x{colo}" for colo in sorted(set(live))]


def _info(here: Installation, args: Namespace) -> None:
    tunnel = _named(here, args)
    hostnames = list(here.hostnames.of_tunnel(tunnel.id))
    head = "Connector", "Version", "Arch", "Since", "Configuration", "Place", "Origin", "State"
    rows = [
        (
            connector.id, connector.version, connector.arch, moment(link.opened), connector.config_version,
            link.colo, link.origin_ip, "live" if link.lost is None else "pending",
        )
        for connector in here.tunnels.connectors(tunnel.account, tunnel.id)
        for link in connector.links
    ]  # fmt: skip
    if args.json:
        told = {"id": tunnel.id, "name": tunnel.name, "status": tunnel.status.value, "hostnames": hostnames}
        print_json(told | {"connections": objects(head, rows)})
        return
    print(f"{printable(tunnel.name)} ({tunnel.id}) is {tunnel.status.value}")
    print(f"hostnames: {', '.join(hostnames) or 'none'}")
    if rows:
        show(args, head, rows)
    else:
        print("nothing is connected")


def _token(here: Installation, args: Namespace) -> None:
    tunnel = _named(here, args)
    print(here.tunnels.token(tunnel.account, tunnel.id))


def _cleanup(here: Installation, args: Namespace) -> None:
    tunnel = _named(here, args)
    try:
        connector = args.connector and str(UUID(args.connector))
    except ValueError:
        words = "the UUID of a connector (halfopen tunnel info)"
        raise UsageError("--connector", args.connector, words) from None
    here.tunnels.clean_up(tunnel.account, tunnel.id, connector)


def _delete(here: Installation, args: Namespace) -> None:
    tunnel = _named(here, args)
    here.tunnels.delete(tunnel.account, tunnel.id, args.force)


def _named(here: Installation, args: Namespace) -> Tunnel:
    """The tunnel that was named, by its id or name."""
    from halfopen.tunnels.catalogue import Filter

    account = account_of(here, args.account)
    for which in (Filter(id=args.tunnel.lower()), Filter(name=args.tunnel)):
        found, _ = here.tunnels.find(account, which, 1, 1)
        if found:
            return found[0]
    raise UsageError("TUNNEL", args.tunnel, "the name or id of a tunnel (halfopen tunnel list)")

"""``halfopen zone``: the domains whose hostnames an account's tunnels may have."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING, Any

from halfopen.cli.deeds import deed, moment, verb
from halfopen.cli.tables import add_json, show

if TYPE_CHECKING:
    from halfopen.tunnels.installation import Installation


def add(verbs: Any) -> None:
    """Add the verb to the command line."""
    deeds = verb(
        verbs,
        "zone",
        "give domains to accounts",
        "Domains, each with all below it, whose hostnames the tunnels of one account may have. A hostname in no zone leads nowhere.",
    )
    add_ = deed(
        deeds, "add", _add, "give a domain to an account",
        "Give a domain to an account and print the zone's id, alone, on standard output.",
    )  # fmt: skip
    add_.add_argument("account", metavar="ACCOUNT", help="id of the account")
    add_.add_argument("name", metavar="DOMAIN", help="such as example.com")
    add_json(deed(deeds, "list", _list, "show the zones", "Every zone: its id, domain, account and age."))
    remove = deed(
        deeds, "remove", _remove, "take a domain back",
        "Take a domain from its account. Its hostnames lead nowhere from now on.",
    )  # fmt: skip
    remove.add_argument("name", metavar="DOMAIN", help="such as example.com")
    hostnames = deed(
        deeds, "hostnames", _hostnames, "show what leads to tunnels",
        "The hostnames of a domain that lead to tunnels: which, to which, and whether a claim or the tunnel's configuration says so.",
    )  # fmt: skip
    hostnames.add_argument("name", metavar="DOMAIN", help="such as example.com")
    add_json(hostnames)
    release = deed(
        deeds, "release", _release, "give a claimed hostname back",
        "Give back a hostname that was claimed (`cloudflared tunnel route dns`). It leads to the oldest tunnel whose configuration "
        "names it, or nowhere.",
    )  # fmt: skip
    release.add_argument("name", metavar="HOSTNAME", help="such as app.example.com")


def _add(here: Installation, args: Namespace) -> None:
    print(here.hostnames.add_zone(args.account, args.name).id)


def _list(here: Installation, args: Namespace) -> None:
    rows = [(each.id, each.name, each.account, moment(each.created)) for each in here.hostnames.zones()]
    show(args, ("Id", "Domain", "Account", "Created"), rows)


def _remove(here: Installation, args: Namespace) -> None:
    here.hostnames.remove_zone(args.name)


def _hostnames(here: Installation, args: Namespace) -> None:
    rows = [
        (each.hostname, each.tunnel_name, each.tunnel, "claim" if each.claimed else "configuration")
        for each in here.hostnames.in_zone(args.name)
    ]
    show(args, ("Hostname", "Tunnel", "Id", "By"), rows)


def _release(here: Installation, args: Namespace) -> None:
    here.hostnames.release(args.name)

"""``halfopen edge``: who may report connections of tunnels."""

from __future__ import annotations

import sys
from argparse import Namespace
from typing import TYPE_CHECKING, Any

from halfopen.cli.deeds import deed, minute, verb
from halfopen.cli.text import columns
from halfopen.errors import UsageError

if TYPE_CHECKING:
    from halfopen.accounts import TokenRecord
    from halfopen.tunnels.installation import Installation


def add(verbs: Any) -> None:
    """Add the verb to the command line."""
    deeds = verb(
        verbs,
        "edge",
        "enrol edges, to which connectors connect",
        "Edges, to which connectors of tunnels connect, and which report it to the server.",
    )
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

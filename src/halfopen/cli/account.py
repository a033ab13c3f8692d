"""``halfopen account``: the owners of tunnels."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING, Any

from halfopen.cli.deeds import deed, verb
from halfopen.cli.tables import add_json, show

if TYPE_CHECKING:
    from halfopen.tunnels.installation import Installation


def add(verbs: Any) -> None:
    """Add the verb to the command line."""
    deeds = verb(
        verbs,
        "account",
        "make or list accounts, the owners of tunnels",
        "Accounts, the owners of tunnels. An installation begins with one.",
    )
    create = deed(
        deeds, "create", _create, "make an account", "Make an account and print its id, alone, on standard output."
    )  # fmt: skip
    create.add_argument("name", metavar="NAME", help="words to know it by")
    create.add_argument(
        "--id", metavar="ID", help="its id, such as that of an account at Cloudflare (default: a new one)"
    )
    add_json(deed(deeds, "list", _list, "show the accounts", "Every account: its id, name and age."))


def _create(here: Installation, args: Namespace) -> None:
    print(here.accounts.create_account(args.name, args.id).id)


def _list(here: Installation, args: Namespace) -> None:
    rows = [(each.id, each.name, each.created) for each in here.accounts.every_account()]
    show(args, ("Id", "Name", "Created"), rows)

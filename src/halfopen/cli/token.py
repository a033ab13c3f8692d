"""``halfopen token``: the tokens with which programs ask the API."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from halfopen.cli import options
from halfopen.cli.tables import add_json, show

if TYPE_CHECKING:
    from halfopen.accounts import Accounts


def add(verbs: Any) -> None:
    """Add the verb to the command line."""
    verb = verbs.add_parser(
        "token",
        help="make, list or revoke tokens of the API",
        description="The tokens with which programs ask the API.",
        allow_abbrev=False,
    )
    deeds = verb.add_subparsers(metavar="DEED", required=True)
    create = deeds.add_parser(
        "create",
        help="make a token",
        description="Make a token and print it, alone, on standard output. It is shown this once: only a hash "
        "of it is kept.",
        allow_abbrev=False,
    )
    create.add_argument(
        "--permission", metavar="NAME", action="append", required=True,
        help="what the token may do, may be repeated: radar:read, connections:read, sensor:write, admin, or "
        "a permission group of Cloudflare such as 'User Details Read'",
    )  # fmt: skip
    create.add_argument("--name", metavar="NAME", default="", help="words to know it by in the list")
    create.add_argument(
        "--expires", metavar="TIME", type=options.days("--expires"),
        help="for how long it is good, such as 12h, 30d or 52w (default: until it is revoked)",
    )  # fmt: skip
    create.add_argument(
        "--account", metavar="ID", help="the only account it may see (default: every account)"
    )
    create.add_argument("--sensor", metavar="NAME", help="with sensor:write, the only sensor it may write")
    _finish(create, _create)
    list_ = deeds.add_parser(
        "list",
        help="show the tokens",
        description="Every token: its id, what it may do, and whether it is still good; never the token itself.",
        allow_abbrev=False,
    )
    add_json(list_)
    _finish(list_, _list)
    revoke = deeds.add_parser(
        "revoke",
        help="make a token useless",
        description="Make a token useless from now on, in servers that run as well.",
        allow_abbrev=False,
    )
    revoke.add_argument("id", metavar="ID", help="the id of the token, from the list")
    _finish(revoke, _revoke)
    key = deeds.add_parser(
        "key",
        help="make a key, for programs that know no tokens",
        description="Make a key and print it, alone, on standard output. It is sent with the e-mail (X-Auth-Email, "
        "X-Auth-Key), may do everything but deliver as a sensor, and takes the place of the one before.",
        allow_abbrev=False,
    )
    key.add_argument("email", metavar="EMAIL", help="of the user; a new one is made")
    _finish(key, _key)


def _finish(deed: ArgumentParser, run: Any) -> None:
    options.add_data(deed)
    deed.set_defaults(run=run)


def _create(args: Namespace) -> int:
    with _accounts(args) as accounts:
        token, record = accounts.create_token(
            args.permission, account=args.account, expires=args.expires, name=args.name, sensor=args.sensor
        )
    print(token, flush=True)
    until = f" until {record.expires:%Y-%m-%d %H:%M} UTC" if record.expires else ""
    print(f"halfopen: token {record.id} is good{until}; it is not shown again", file=sys.stderr)
    return 0


def _key(args: Namespace) -> int:
    with _accounts(args) as accounts:
        user, key = accounts.create_key(args.email)
    print(key, flush=True)
    print(
        f"halfopen: the key of {user.email} is good until the next is made; it is not shown again",
        file=sys.stderr,
    )
    return 0


def _list(args: Namespace) -> int:
    with _accounts(args) as accounts:
        tokens = accounts.list_tokens()
    now = datetime.now(UTC)
    rows = [
        (
            each.id, each.name, each.permissions, each.account or "every", each.sensor, each.created, each.expires,
            each.used, each.state(now),
        )
        for each in tokens
    ]  # fmt: skip
    head = "Id", "Name", "Permissions", "Account", "Sensor", "Created", "Expires", "Last used", "State"
    show(args, head, rows)
    return 0


def _revoke(args: Namespace) -> int:
    with _accounts(args) as accounts:
        accounts.revoke_token(args.id)
    print(f"token {args.id} is revoked")
    return 0


@contextmanager
def _accounts(args: Namespace) -> Iterator[Accounts]:
    from halfopen.accounts import Accounts
    from halfopen.config import accounts_url, data_directory

    accounts = Accounts.open(data_directory(args.data), accounts_url())
    try:
        yield accounts
    finally:
        accounts.close()

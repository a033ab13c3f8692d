"""``halfopen login``: a certificate file with which cloudflared manages tunnels here."""

from __future__ import annotations

import json
import os
import sys
from argparse import Namespace
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any, Final

from halfopen.cli import options
from halfopen.cli.deeds import account_of, installation
from halfopen.errors import UsageError

if TYPE_CHECKING:
    from halfopen.tunnels.installation import Installation

_NO_ZONE: Final = "0" * 32  # cloudflared wants one, and asks nothing of it until a hostname is routed


def add(verbs: Any) -> None:
    """Add the verb to the command line."""
    verb = verbs.add_parser(
        "login",
        help="write a certificate file for cloudflared",
        description="Write a certificate file (cert.pem) with which `cloudflared tunnel --api-url URL --origincert FILE` makes, "
        "lists and deletes tunnels here. It holds a new token of the account.",
        allow_abbrev=False,
    )
    options.add_data(verb)
    verb.add_argument("--account", metavar="ID", help="whose tunnels (default: the only account)")
    verb.add_argument(
        "--zone", metavar="DOMAIN",
        help="in which `cloudflared tunnel route dns` claims hostnames (default: the account's first)",
    )  # fmt: skip
    verb.add_argument(
        "--expires", metavar="TIME", type=options.days("--expires"),
        help="for how long the token is good, such as 30d (default: until it is revoked)",
    )  # fmt: skip
    verb.add_argument(
        "-o", "--output", metavar="FILE", type=Path, default=Path("cert.pem"),
        help="a file that does not exist (default: cert.pem)",
    )  # fmt: skip
    verb.set_defaults(run=run)


def run(args: Namespace) -> int:
    """Make a token and write the file."""
    with installation(args) as here:
        account = account_of(here, args.account)
        zone = _zone(here, account, args.zone)
        try:
            descriptor = os.open(args.output, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            raise UsageError("--output", args.output, "a file that does not exist") from None
        with os.fdopen(descriptor, "w") as file, _gone_unless_written(args.output):
            token, record = here.accounts.create_token(
                ["Cloudflare Tunnel Write"], account=account, expires=args.expires, name="cloudflared"
            )
            told = json.dumps({"zoneID": zone, "accountID": account, "apiToken": token})
            lines = wrap(b64encode(told.encode()).decode(), 64)
            file.write(
                "\n".join(
                    ["-----BEGIN ARGO TUNNEL TOKEN-----", *lines, "-----END ARGO TUNNEL TOKEN-----", ""]
                )
            )
            file.flush()
    print(f"halfopen: {args.output} holds token {record.id}", file=sys.stderr)
    return 0


@contextmanager
def _gone_unless_written(path: Path) -> Iterator[None]:
    """Leave no file without what belongs into it: it would be in the way of the next try."""
    try:
        yield
    except BaseException:
        path.unlink()
        raise


def _zone(here: Installation, account: str, name: str | None) -> str:
    for zone in here.hostnames.zones(account):
        if name is None or zone.name == name:
            return zone.id
    if name is not None:
        raise UsageError("--zone", name, "a zone of the account (halfopen zone list)")
    return _NO_ZONE

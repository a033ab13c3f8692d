"""What the verbs with deeds (account, zone, edge, tunnel) share: how a deed is declared, and what it works on."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from halfopen.cli import options
from halfopen.errors import UsageError

if TYPE_CHECKING:
    from halfopen.tunnels.installation import Installation


def verb(verbs: Any, name: str, help_: str, description: str) -> Any:
    """Add a verb that has deeds; gives where to add them."""
    made = verbs.add_parser(name, help=help_, description=description, allow_abbrev=False)
    return made.add_subparsers(metavar="DEED", required=True)


def deed(
    deeds: Any, name: str, run: Callable[[Installation, Namespace], None], help_: str, description: str
) -> ArgumentParser:
    """Add a deed that works on the installation of a data directory."""
    made: ArgumentParser = deeds.add_parser(name, help=help_, description=description, allow_abbrev=False)
    options.add_data(made)

    def work(args: Namespace) -> int:
        with installation(args) as here:
            run(here, args)
        return 0

    made.set_defaults(run=work)
    return made


@contextmanager
def installation(args: Namespace) -> Iterator[Installation]:
    """The accounts, tunnels and edges of the data directory; what the API would say is said as an error of the command."""
    from halfopen.config import accounts_url, data_directory
    from halfopen.tunnels.installation import Installation

    here = Installation(data_directory(args.data), accounts_url())
    try:
        yield here
    finally:
        here.close()


def account_of(here: Installation, given: str | None) -> str:
    """The id of the account that was named, else of the only one."""
    known = {each.id: each.name for each in here.accounts.every_account()}
    if given is not None:
        if given not in known:
            raise UsageError("--account", given, "the id of an account (halfopen account list)")
        return given
    if len(known) != 1:
        raise UsageError("--account", "none", f"one of the {len(known)} accounts (halfopen account list)")
    return next(iter(known))


def moment(micros: int) -> datetime:
    """A time (microseconds since 1970)."""
    return datetime.fromtimestamp(micros / 1_000_000, UTC)

"""``halfopen doctor``: whether everything is as it should be, and what to do where it is not."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from halfopen.cli import edge, options
from halfopen.cli.tables import add_json, print_json
from halfopen.cli.text import counted, printable
from halfopen.errors import SettingsError, UsageError

if TYPE_CHECKING:
    from halfopen.cli.checks.finding import Check, Examined, Finding

_BACKUP: Final = "put it back from a backup (docs/operations.md)"

_TO_DO: Final = {
    "accounts": f"{_BACKUP}; without one, move it away: `halfopen up` makes another, without its tokens and tunnels",
    "certificates": f"{_BACKUP}; without one, move the file away: an edge makes its own anew, and connectors are to be given the new ca.pem",
    "tunnels": f"{_BACKUP}; where accounts are damaged, those first",
    "places": "a whole file in its place, or none (docs/places.md)",
    "store": f"{_BACKUP}; without one, move it away: the next start or ingest makes another, empty one",
    "sensors": "mend the store first",
}
"""What to do about what a check fails by, by what it is about."""

_ELSE: Final = "see to the disk and to the owner and mode of what is named"
"""The same for other checks."""

_STYLES: Final = {"ok": "green", "note": "yellow", "problem": "bold red"}


def add(verbs: Any) -> None:
    """Add the verb to the command line."""
    verb = verbs.add_parser(
        "doctor",
        help="say what is wrong, and what to do",
        description="Look at settings, privileges, clock, disk, data directory, accounts, certificates, tunnels, places, dataset, sensors "
        "and ports of an installation, and say of each how it stands. It changes nothing, and asks nobody outside of this machine unless "
        "--dns is given.",
        epilog="Exit codes: 0 there is no problem; 1 there is one; 2 the command line cannot be used.",
        allow_abbrev=False,
    )
    options.add_data(verb)
    options.add_store(verb)
    verb.add_argument(
        "--dns", metavar="NAME", action="append", default=[],
        help="look up where a name leads, such as that of a tunnel's hostname or region1.v2.argotunnel.com; may be repeated",
    )  # fmt: skip
    add_json(verb)
    verb.set_defaults(run=run)


def run(args: Namespace) -> int:
    """Look at everything."""
    findings = list(_findings(args))
    if args.json:
        print_json([asdict(each) for each in findings])
    else:
        _print(findings)
    return int(any(each.level == "problem" for each in findings))


def _findings(args: Namespace) -> Iterator[Finding]:
    from halfopen.cli.checks import dataset, installation, machine, reach
    from halfopen.cli.checks.finding import Examined, Finding, Level, found
    from halfopen.cli.holder import holder
    from halfopen.config import data_path, owner_of

    try:
        serve, sense = (_settled(verb, args) for verb in ("serve", "sense"))
    except SettingsError as error:
        for fault in error.faults:
            yield Finding(Level.problem, "settings", str(fault), "correct it; nothing else was looked at")
        return
    except OSError as error:
        words = f"{error.filename}: {error.strerror}, so nothing was looked at"
        yield Finding(Level.problem, "settings", words, _as_owner(data_path(args.data)))
        return
    data = data_path(serve.data)
    running = holder(data) if data.exists() and data.stat().st_uid == os.geteuid() else None
    if running and running.api:  # where it was told to be when it began counts
        serve.host, serve.port = options.place("--port", 8787)(running.api)
        serve.connectors = options.place("--edge-listen", edge.CONNECTORS[1])(running.connectors)
        serve.visitors = options.place("--visitors", edge.VISITORS[1])(running.visitors)
    examined = Examined(data, serve, sense, options.store(serve, data), tuple(args.dns))
    yield from _settings(examined)
    looks: list[tuple[str, Check]] = [("privileges", machine.privileges), ("clock", machine.clock)]
    if not data.exists():
        yield Finding(Level.note, "data directory", f"{data} is not there yet", "`halfopen up` makes it")
    elif data.stat().st_uid != os.geteuid():
        words = f"{data} belongs to {owner_of(data.stat().st_uid)}, so what is in it was not looked at"
        yield Finding(Level.problem, "data directory", words, _as_owner(data))
    else:
        looks += [
            ("disk", machine.disk), ("data directory", installation.directory), ("accounts", installation.accounts),
            ("certificates", installation.certificates), ("tunnels", installation.tunnels), ("places", dataset.places),
            ("store", dataset.store), ("sensors", dataset.sensors),
        ]  # fmt: skip
    looks += [
        ("server", reach.server),
        ("edge", reach.connectors),
        ("edge", reach.visitors),
        ("DNS", machine.names),
    ]
    for about, check in looks:
        yield from found(about, check, examined, _TO_DO.get(about, _ELSE))


def _settled(verb: str, args: Namespace) -> Namespace:
    """What a verb would go by; SettingsError where it would not start."""
    from halfopen.cli.main import parser

    given = ((name, getattr(args, name)) for name in ("data", "config", "store"))
    words = [word for name, value in given if value is not None for word in (f"--{name}", value)]
    try:
        return parser().parse_args([verb, *words])
    except UsageError as error:
        raise SettingsError([error]) from None


def _as_owner(data: Path) -> str:
    """What to do where one may not look."""
    from halfopen.config import owner_of

    try:
        owner = owner_of(data.stat().st_uid)
    except OSError:
        return "ask as the user whose it is: sudo -u USER halfopen doctor"
    return f"ask as {owner}: sudo -u {owner} halfopen doctor --data {data}"


def _settings(examined: Examined) -> Iterator[Finding]:
    """What is set otherwise than by default, and where."""
    from halfopen.cli.checks.finding import Finding, Level

    given = [
        f"{verb} {each.option} ({each.origin})"
        for verb, args in (("serve", examined.serve), ("sense", examined.sense))
        for each in args.settings
        if each.origin != each.option
    ]
    yield Finding(Level.ok, "settings", "; ".join(given) or "all as by default")


def _print(findings: list[Finding]) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=True)
    for each in findings:
        line = Text.assemble(
            (f"{each.level:9}", _STYLES[each.level]), f"{each.about:15}  {printable(each.words)}"
        )
        console.print(line)
        if each.remedy:
            console.print(Text(f"{'':24}  to do: {printable(each.remedy)}"))
    levels = [each.level.value for each in findings]
    console.print("\n" + ", ".join(counted(levels.count(level), level) for level in ("problem", "note")))

"""``halfopen doctor``: whether everything is as it should be, and what to do where it is not."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from halfopen.cli import edge, options
from halfopen.cli.tables import add_json, print_json
from halfopen.cli.text import counted, printable
from halfopen.errors import UsageError

if TYPE_CHECKING:
    from halfopen.cli.checks.finding import Check, Examined, Finding

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
    from halfopen.cli.main import parser
    from halfopen.config import data_path, owner_of

    data = data_path(args.data)
    common = ["--data", str(data), *(["--config", args.config] if args.config else [])]
    more = ["--store", args.store] if args.store else []
    try:
        serve, sense = (parser().parse_args([verb, *common, *more]) for verb in ("serve", "sense"))
    except UsageError as error:
        yield Finding(Level.problem, "settings", str(error), "correct it; nothing else was looked at")
        return
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
        owner = owner_of(data.stat().st_uid)
        words = f"{data} belongs to {owner}, so what is in it was not looked at"
        yield Finding(
            Level.problem,
            "data directory",
            words,
            f"ask as {owner}: sudo -u {owner} halfopen doctor --data {data}",
        )
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
        yield from found(about, check, examined)


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

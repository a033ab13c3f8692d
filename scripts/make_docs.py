"""Writes what is generated of the pages and their pictures, each part from what defines it: command line, rules, columns, routes, the demo."""

from __future__ import annotations

from argparse import SUPPRESS, Action, ArgumentParser, _SubParsersAction
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import chdir, redirect_stdout
from functools import partial
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Any, Final

import diagrams
import grafana
from api_reference import document, reference, table

from halfopen.cli import main as command
from halfopen.connections.rules import RULES_VERSION, SIGNATURES, TAGS
from halfopen.model import FIRST_PACKET, STAGE_WORDS, STAGES, Flag, Stage
from halfopen.server import stream
from halfopen.store.counters import COUNTERS
from halfopen.store.schema import (
    CONNECTIONS,
    FIRST_PACKETS,
    FORMAT,
    INCOMING,
    KINDS,
    LESS,
    PACKET_WORDS,
    ROLLUPS,
)

ROOT: Final = Path(__file__).resolve().parent.parent
DOCS: Final = ROOT / "docs"
NOTE: Final = "<!-- Written by `make docs`; changes made here are lost. -->"
FROM_HERE: Final = "<!-- From here on written by `make docs`; changes made here are lost. -->"
DEMO: Final = "<!-- The output of the demo, written by `make docs`. -->"


def cli_reference() -> str:
    """Every verb and every flag, as the parser has them."""
    lines = ["# The command line", "", NOTE, ""]
    for verb, words in verbs(command.parser()):
        lines += [f"## `{verb.prog}`", "", words, ""]
        own = [action for action in verb._actions if shown(action)]
        lines += table(("Argument", "Meaning"), ((spelling(action), meaning(action)) for action in own))
    lines += ["## Exit codes", "", exit_codes(), ""]
    return "\n".join(lines)


def verbs(parser: ArgumentParser, words: str = "") -> Iterator[tuple[ArgumentParser, str]]:
    """The parser and those of its verbs, at any depth, with their words."""
    yield parser, parser.description or words
    for action in parser._actions:
        if isinstance(action, _SubParsersAction):
            helps = {choice.dest: choice.help or "" for choice in action._choices_actions}
            for name, verb in action.choices.items():
                yield from verbs(verb, helps[name])


def shown(action: Action) -> bool:
    """Whether an argument belongs on the page."""
    return action.help != SUPPRESS and action.dest != "help" and not isinstance(action, _SubParsersAction)


def spelling(action: Action) -> str:
    """How an argument is written."""
    value = action.metavar or (
        f"{{{','.join(map(str, action.choices))}}}" if action.choices else action.dest.upper()
    )
    if action.option_strings:
        takes = "" if action.nargs == 0 else f" {value}"
        return ", ".join(f"`{option}{takes}`" for option in action.option_strings)
    return f"`{value}{' ...' if action.nargs in ('+', '*') else ''}`"


def meaning(action: Action) -> str:
    """The help text of an argument."""
    return (action.help or "") % {"default": action.default, "prog": "halfopen"}


def exit_codes() -> str:
    """What the command's own description says of them."""
    paragraphs = (command.__doc__ or "").split("\n\n")
    text = next(paragraph for paragraph in paragraphs if paragraph.startswith("Exit codes: "))
    codes = " ".join(text.split()).removeprefix("Exit codes: ").rstrip(".").split("; ")
    return "\n".join(f"- `{code.split()[0]}`: {code.split(' ', 1)[1]}" for code in codes)


def signatures() -> str:
    """Stages, signatures and tags."""
    lines = ["# Stages, signatures and tags", "", NOTE, "", f"Rules, version {RULES_VERSION}. "]
    lines[-1] += (
        "A rule's meaning never changes under its id. [The method](method.md) says how they are found."
    )
    lines += ["", "## Stages", ""]
    lines += table(("Stage", "Meaning"), ((f"`{stage.name}`", STAGE_WORDS[stage]) for stage in STAGES))
    lines += ["## Signatures", ""]
    lines += table(
        ("#", "Signature", "Stage", "Pattern", "Meaning", "Source"),
        (
            (str(s.number), f"`{s.id}`", f"`{s.stage.name}`", f"`{s.pattern}`", s.words, s.source)
            for s in SIGNATURES
        ),
    )
    lines += ["A cut that fits no row has the signature `none`.", "", "## Tags", ""]
    lines += table(("Tag", "Meaning"), ((f"`{tag.name}`", words) for tag, words in TAGS.items()))
    return "\n".join(lines)


def tables() -> str:
    """The page of the dataset's tables, its end from their schema."""
    lines = [f"Format {FORMAT}. Types are those of Arrow; Delta knows no unsigned numbers.", ""]
    for layout in (CONNECTIONS, ROLLUPS):
        parts = " and ".join(f"`{name}`" for name in layout.partitions)
        lines += [f"## `{layout.name}`", "", f"{layout.words} Parted by {parts}.", ""]
        rows = ((f"`{column.name}`", f"`{column.type}`", column.words) for column in layout.columns)
        lines += table(("Column", "Type", "Meaning"), rows)
    lines += [f"The kinds that lie in the grains with `{LESS}`:", ""]
    kept = ((f"`{kind}`", ", ".join(f"`{name}`" for name in names)) for kind, names in KINDS.items())
    lines += table(("Kind", "Keeps `bucket`, `ingested` and"), kept)
    lines += ["## Numbers", "", "Signatures are numbered on [their page](signatures.md#signatures).", ""]
    lines += table(("Stage", "Number"), ((f"`{stage.name}`", str(stage.value)) for stage in Stage))
    lines += table(("Tag", "Bit"), ((f"`{tag.name}`", str(1 << tag)) for tag in TAGS))
    lines += table(("Flag", "Bit"), ((f"`{flag.name}`", str(flag.value)) for flag in Flag))
    lines += ["## First packets", ""]
    lines += [
        f"A packet in `{FIRST_PACKETS.name}` is {FIRST_PACKET.itemsize} bytes, least significant byte first:",
        "",
    ]
    fields: Mapping[str, Any] = FIRST_PACKET.fields or {}
    places = (
        (f"`{name}`", str(fields[name][1]), f"`{fields[name][0]}`", words)
        for name, words in PACKET_WORDS.items()
    )
    lines += table(("Field", "From byte", "Type", "Meaning"), places)
    return ended("tables.md", lines)


def sensors() -> str:
    """The page for those who write sensors, its end from what the server accepts."""
    lines = ["## Sizes", ""]
    lines += [
        f"A batch has at most {stream.MOST_BYTES >> 20} MiB, {stream.MOST_ROWS:,} rows and {stream.MOST_PIECES:,} "
        "record batches.",
        "", "## Counters", "",
    ]  # fmt: skip
    lines += table(("Counter", "Counts"), ((f"`{name}`", words) for name, words in COUNTERS.items()))
    lines += ["## Columns", ""]
    rows = (
        (
            f"`{each.name}`",
            f"`{each.type}`",
            stream.accepted(each.name),
            "yes" if each.name in stream.MAY_LACK else "",
        )
        for each in INCOMING
    )
    lines += table(("Column", "Type", "Accepted", "May be null"), rows)
    return ended("sensors.md", lines)


def api() -> str:
    """The page of the API, its end from the document that a server serves."""
    return ended("api.md", reference(document()))


def ended(name: str, lines: Iterable[str]) -> str:
    """A page that is written by hand, but for its end."""
    written, _, _ = (DOCS / name).read_text().partition(FROM_HERE)
    return "\n".join([f"{written}{FROM_HERE}", "", *lines])


def readme() -> str:
    """The README with what the demo says of its capture, counters left aside."""
    said = BytesIO()
    with chdir(ROOT), redirect_stdout(TextIOWrapper(said, "utf-8", write_through=True)) as text:
        command.main(["classify", "captures/demo.pcap.gz", "--places", "captures/places"])
    shown = said.getvalue().decode().split("\n\nPackets", 1)[0]
    text.detach()
    before, _, rest = (ROOT / "README.md").read_text().partition(DEMO)
    after = rest.split("\n```\n", 2)[2]
    return f"{before}{DEMO}\n```\n{shown}\n...\n```\n{after}"


PAGES: Final[dict[Path, Callable[[], str]]] = {
    ROOT / "README.md": readme,
    DOCS / "cli-reference.md": cli_reference,
    DOCS / "signatures.md": signatures,
    DOCS / "tables.md": tables,
    DOCS / "sensors.md": sensors,
    DOCS / "api.md": api,
    ROOT / "packaging" / "grafana" / "halfopen.json": grafana.dashboard,
    DOCS / "diagrams" / "tunnel.svg": diagrams.tunnel,
    **{DOCS / "diagrams" / f"{name}.svg": partial(diagrams.stage, name) for name in diagrams.SCENES},
}


def main() -> None:
    """Write every page."""
    for path, make in PAGES.items():
        path.write_text(make())


if __name__ == "__main__":
    main()

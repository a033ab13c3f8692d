"""``halfopen annotate``: what the operator tells the readers of the dataset."""

from __future__ import annotations

import time
from argparse import Namespace
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from halfopen.cli import options
from halfopen.cli.tables import Cell, add_json, show
from halfopen.errors import UsageError

if TYPE_CHECKING:
    from halfopen.radar.annotations import Annotation
    from halfopen.radar.notes import Notes
    from halfopen.radar.vocabulary import Filter
    from halfopen.store.query import Value

_MOST: Final = 1000
"""Characters of a text."""


def add(verbs: Any) -> None:
    """Add the verb to the command line."""
    verb = verbs.add_parser(
        "annotate",
        help="tell readers of the dataset what happened",
        description="Write an annotation, which answers about its time tell and the page /annotations shows to "
        "everybody; its id is printed. Or list annotations, or remove one. A server that runs sees it at once.",
        allow_abbrev=False,
    )
    verb.add_argument("text", metavar="TEXT", nargs="?", help="what happened, in a sentence")
    verb.add_argument(
        "--from", dest="start", metavar="TIME", help="when it began, ISO 8601, UTC where no zone is given (default: now)"
    )  # fmt: skip
    verb.add_argument(
        "--to",
        dest="end",
        metavar="TIME",
        help="when it ended (default: it goes on); equal to --from: a moment",
    )
    verb.add_argument(
        "--source", metavar="NAME", help="the data source concerned, as Radar names it (default: CONNECTION_ANOMALY)"
    )  # fmt: skip
    verb.add_argument(
        "--type", metavar="NAME",
        help="GENERAL (default), OUTAGE, PARTIAL_PROJECTION, PIPELINE, TRAFFIC_ANOMALY, or EVENT, which clients "
        "up to cloudflare-python 5.9 reject",
    )  # fmt: skip
    verb.add_argument(
        "--asn", metavar="N", action="append", help="a network concerned, may be repeated (default: all)"
    )
    verb.add_argument(
        "--location", metavar="XX", action="append", help="a country concerned, may be repeated (default: all)"
    )  # fmt: skip
    verb.add_argument("--link", metavar="URL", help="where more is told (default: the page /annotations)")
    verb.add_argument("--tag", metavar="WORD", action="append", help="a tag, may be repeated")
    verb.add_argument("--list", action="store_true", help="show the annotations with their ids")
    add_json(verb)
    verb.add_argument("--remove", metavar="ID", help="remove the annotation with this id")
    options.add_data(verb)
    verb.set_defaults(run=run)


def run(args: Namespace) -> int:
    """Write, list or remove."""
    from halfopen.config import data_directory
    from halfopen.radar.notes import Notes

    told = (args.start, args.end, args.source, args.type, args.asn, args.location, args.link, args.tag)
    if [args.text is not None, args.list, args.remove is not None].count(True) != 1:
        raise UsageError("annotate", "this", "one of: a text, --list, --remove ID")
    if args.text is None and any(told):
        raise UsageError("annotate", "an option of a new annotation", "a text beside it")
    if args.json and not args.list:
        raise UsageError("--json", "this", "beside --list")
    annotation = None if args.text is None else _annotation(args)
    notes = Notes(data_directory(args.data))
    if annotation is not None:
        print(notes.add(annotation).id)
    elif args.list:
        _list(notes, args)
    elif not notes.remove(args.remove):
        raise UsageError("--remove", args.remove, "an id that halfopen annotate --list shows")
    return 0


def _annotation(args: Namespace) -> Annotation:
    from halfopen.radar.annotations import DATA_SOURCES, EVENT_TYPES, Annotation
    from halfopen.radar.vocabulary import ASN, LOCATION

    text = " ".join(args.text.split())
    if not (text.isprintable() and 0 < len(text) <= _MOST):
        raise UsageError("text", repr(text[:100]), f"up to {_MOST:,} printable characters")
    tags = tuple(dict.fromkeys(args.tag or ()))
    for tag in tags:
        if not (tag.isprintable() and 0 < len(tag) <= 64):
            raise UsageError("--tag", repr(tag[:100]), "up to 64 printable characters")
    start = int(time.time()) if args.start is None else _second("--from", args.start)
    end = None if args.end is None else _second("--to", args.end)
    if end is not None and end < start:
        raise UsageError("--to", args.end, "a time not before that of --from")
    asns = _values("--asn", ASN, args.asn)
    locations = _values("--location", LOCATION, args.location)
    annotation = Annotation(
        text,
        start,
        end,
        _word("--source", args.source or "CONNECTION_ANOMALY", DATA_SOURCES),
        _word("--type", args.type or "GENERAL", EVENT_TYPES),
        is_instantaneous=end == start,
        tags=tags,
        locations=locations,
        asns=asns,
    )
    return _linked(annotation, args.link)


def _linked(annotation: Annotation, link: str | None) -> Annotation:
    from dataclasses import replace

    try:
        return annotation if link is None else replace(annotation, linked_url=link)
    except UsageError as error:
        raise UsageError("--link", link, error.accepted) from None


def _word(name: str, text: str, accepted: Sequence[str]) -> str:
    if text.upper() not in accepted:
        raise UsageError(name, text, ", ".join(accepted))
    return text.upper()


def _second(name: str, text: str) -> int:
    from halfopen.radar.windows import second_of

    second = second_of(text)
    if second is None or second < 0:
        raise UsageError(name, text, "an ISO 8601 time since 1970 such as 2026-08-01T00:00:00Z")
    return second


def _values(name: str, kind: Filter[Value], texts: Sequence[str] | None) -> tuple[Value, ...]:
    found: dict[Value, None] = {}
    for text in texts or ():
        value = kind.read(text)
        if value is None:
            raise UsageError(name, text, kind.accepted)
        found[value] = None
    return tuple(found)


def _list(notes: Notes, args: Namespace) -> None:
    from halfopen.radar.windows import stamp

    rows: list[tuple[Cell, ...]] = []
    for note in notes.all():
        told = note.annotation
        sensors = (f"sensor {name}" for name in told.sensors)
        concerned = [*told.locations, *(f"AS{asn}" for asn in told.asns), *sensors]
        end = None if told.end is None else stamp(told.end)
        rows.append(
            (
                note.id, stamp(told.start), end, told.event_type, told.data_source, concerned or ["all"], told.tags,
                told.description,
            )
        )  # fmt: skip
    show(args, ("Id", "From", "To", "Type", "Source", "Concerns", "Tags", "Text"), rows)

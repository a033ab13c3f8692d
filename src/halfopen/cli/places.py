"""``halfopen places``: what the places files are, and what they say about an address."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from halfopen.cli import options
from halfopen.cli.tables import add_json, print_json, show
from halfopen.cli.text import columns, printable
from halfopen.errors import UsageError


def add(verbs: Any) -> None:
    """Add the verb to the command line."""
    verb = verbs.add_parser(
        "places",
        help="show what places files say",
        description="Network and country of addresses, from MMDB files.",
        allow_abbrev=False,
    )
    questions = verb.add_subparsers(metavar="QUESTION", required=True)
    info = questions.add_parser(
        "info",
        help="which files, of what date, and what they give",
        description="For each MMDB file its type and date, the fields it gives, IP versions and size.",
        allow_abbrev=False,
    )
    info.add_argument("paths", metavar="PATH", nargs="+", help="an MMDB file or a directory of them")
    add_json(info)
    info.set_defaults(run=_info)
    lookup = questions.add_parser(
        "lookup",
        help="what the files say about an address",
        description="Network, country and continent of one address, as classify would give them.",
        allow_abbrev=False,
    )
    lookup.add_argument("address", metavar="ADDRESS", type=options.address("ADDRESS"), help="IPv4 or IPv6")
    options.add_places(lookup)
    add_json(lookup)
    lookup.set_defaults(run=_lookup)


def _info(args: Namespace) -> int:
    from halfopen.places import Places

    rows = [
        (
            str(source.path), source.database_type, source.built, source.gives, [str(each) for each in source.ip_versions],
            source.nodes,
        )
        for source in Places.open(args.paths).sources
    ]  # fmt: skip
    show(args, ("File", "Type", "Built", "Gives", "IP versions", "Nodes"), rows, right=(5,))
    return 0


def _lookup(args: Namespace) -> int:
    from halfopen.places import Places

    if not args.places:
        raise UsageError("--places", "none", "an MMDB file or a directory of them")
    answer = Places.open(args.places).answer(args.address)
    if args.json:
        print_json({"asn": answer.asn or None, "organisation": answer.organisation or None,
                    "location": answer.location or None, "continent": answer.continent or None})  # fmt: skip
        return 0
    name = f"AS{answer.asn} {answer.organisation}".rstrip() if answer.asn else ""
    rows = [("Network", name), ("Country", answer.location), ("Continent", answer.continent)]
    print("\n".join(columns([(word, printable(value) or "unknown") for word, value in rows])))
    return 0

"""``halfopen plot``: a figure of captures or of the dataset, as a page or a picture."""

from __future__ import annotations

import sys
import time
from argparse import Namespace
from collections.abc import Callable, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from halfopen.cli import options, output
from halfopen.cli.progress import progress
from halfopen.cli.text import printable
from halfopen.errors import HalfopenError, InvalidError, UsageError

if TYPE_CHECKING:
    from halfopen.figures.of_table import OfTable

_KINDS: Final = (".html", ".png", ".svg")
_ROWS: Final = 20
"""Networks or countries in a list."""

FIGURES: Final = {
    "stages": "Shares of connections by stage over time",
    "comparison": "Stages now and in the control window, of the dataset only",
    "signatures": "What the cuts looked like",
    "world": "Countries by the share that was cut",
    "locations": "Countries most affected",
    "networks": "Networks most affected",
}
"""The figures."""

_DRAW: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "stages": lambda figures, of: figures.stages_over_time(*of.over_time()),
    "comparison": lambda figures, of: figures.comparison(of.both()),
    "signatures": lambda figures, of: figures.signatures(of.signatures()),
    "world": lambda figures, of: figures.world(of.affected("location")),
    "locations": lambda figures, of: figures.affected(of.affected("location", _ROWS)),
    "networks": lambda figures, of: figures.affected(of.affected("asn", _ROWS)),
}
"""How each is drawn of the answers about captures (`OfTable`) or the dataset (`OfDataset`)."""


def add(verbs: Any) -> None:
    """Add the verb to the command line."""
    verb = verbs.add_parser(
        "plot",
        help="draw a figure of captures or of the dataset",
        description="Draw a figure of the connections in captures, or without any of those in the dataset: as a page that needs "
        "nothing else (.html), or as a picture (.png, .svg).",
        allow_abbrev=False,
    )
    verb.add_argument(
        "figure", metavar="FIGURE", choices=tuple(FIGURES),
        help="; ".join(f"{name} ({words[0].lower()}{words[1:]})" for name, words in FIGURES.items()),
    )  # fmt: skip
    verb.add_argument(
        "files", metavar="FILE", nargs="*",
        help="a capture, a directory, a pattern, or - for standard input (default: the dataset)",
    )  # fmt: skip
    verb.add_argument(
        "-o", "--output", metavar="OUT", dest="out", required=True,
        help="file to write, complete or not at all; its name ends in .html, .png or .svg",
    )  # fmt: skip
    verb.add_argument("--dark", action="store_true", help="light on dark")
    options.add_limits(verb)
    options.add_places(
        verb, "none; with the dataset, places in the data directory, if there is such a directory"
    )
    options.add_data(verb)
    options.add_store(verb)
    verb.add_argument(
        "--where", metavar="NAME=VALUE", action="append", default=[], type=_pair,
        help="what of the dataset: a parameter of the API, such as dateRange=7d, location=DE,AT or aggInterval=1h; may be repeated",
    )  # fmt: skip
    verb.set_defaults(run=run)


def run(args: Namespace) -> int:
    """Draw the figure."""
    kind = Path(args.out).suffix.lower()
    if kind not in _KINDS:
        raise UsageError("-o", args.out, f"a name that ends in {', '.join(_KINDS)}")
    chart = _of_captures(args) if args.files else _of_dataset(args)

    from halfopen import figures

    spec = figures.themed(chart, args.dark)
    if kind == ".html":
        drawn = figures.page(spec, FIGURES[args.figure]).encode()
    else:
        drawn = figures.picture(spec, kind.removeprefix("."))
    with output.opened(args.out, args.files) as stream:
        stream.write(drawn)
    return 0


def _pair(text: str) -> tuple[str, str]:
    from halfopen.radar.vocabulary import filter_parameters, window_parameters

    name, _, value = text.partition("=")
    asked = (*window_parameters(each_series=False), *filter_parameters(each_series=False))
    known = [*(each.name for each in asked), "aggInterval"]
    if name not in known or not value:
        raise UsageError("--where", text, f"NAME=VALUE, with one of the names {', '.join(known)}")
    return name, value


def _of_captures(args: Namespace) -> Any:
    if args.figure == "comparison":
        raise UsageError("FIGURE", args.figure, "beside captures, a figure that needs no time before")
    for option, given in (("--where", args.where), ("--data", args.data), ("--store", args.store)):
        if given:
            raise UsageError(option, "beside captures", "an option of the dataset")

    from halfopen import figures

    return _DRAW[args.figure](figures, _classified(args))


def _classified(args: Namespace) -> OfTable:
    """The connections of the captures, and what is to be said of them on standard error."""
    from halfopen.arrow import record_batch, table
    from halfopen.capture.source import open_captures
    from halfopen.cli.report import counters_line
    from halfopen.figures.of_table import OfTable
    from halfopen.pipeline import Judge, cores
    from halfopen.places import Places

    places = Places.open(args.places)
    captures = open_captures(args.files, joined=args.joined)
    judge = Judge(options.limits(args), places, cores())
    with progress(captures, args.out, lines=False):
        batches = list(judge.run(captures, partial(map, record_batch)))
    for problem in judge.account.problems:
        print(f"halfopen: {printable(str(problem))}", file=sys.stderr)
    if not judge.account.readable:
        raise HalfopenError("nothing was readable")
    print(f"halfopen: {counters_line(judge.account)}", file=sys.stderr)
    return OfTable(table(batches, judge.account.about()), places.network_name)


def _of_dataset(args: Namespace) -> Any:
    names = [name for name, _ in args.where]
    for name, value in args.where:
        if names.count(name) > 1:
            raise UsageError(f"--where {name}", value, "one value; several as a list, such as DE,AT")
    for option, given in (
        ("--joined", args.joined),
        ("--server-port", args.server_port),
        ("--server-net", args.server_net),
    ):
        if given:
            raise UsageError(option, "without captures", "an option of captures")

    from halfopen import figures
    from halfopen.config import data_path
    from halfopen.figures.of_dataset import OfDataset
    from halfopen.radar.atlas import Atlas
    from halfopen.radar.installed import surroundings
    from halfopen.radar.notes import Notes
    from halfopen.store.store import Store

    data = data_path(args.data)
    around = surroundings(Notes(data), Atlas(options.places(args, data)), "")
    with closing(Store(options.store(args, data))) as store:
        try:
            return store.dataset.still(
                lambda still: _DRAW[args.figure](
                    figures, OfDataset(still, around, args.where, int(time.time()))
                )
            )
        except InvalidError as error:
            first = error.rejected[0]
            raise UsageError(f"--where {first.name}", first.value, first.accepted or first.words) from None

"""``halfopen export``: single connections out of the dataset."""

from __future__ import annotations

import sys
from argparse import Namespace
from contextlib import closing
from typing import Any, Final

from halfopen.cli import options, output
from halfopen.errors import UsageError

_FORMATS: Final = ("csv", "parquet")


def add(verbs: Any) -> None:
    """Add the verb to the command line."""
    verb = verbs.add_parser(
        "export",
        help="write connections of the dataset to a file",
        description="Write single connections of the dataset as Parquet or CSV, with the columns of classify, sensor "
        "and weight, in Parquet also their first packets; the file of a connection is its capture's digest. Day after day, within a day as they were committed. "
        "It may run beside a server.",
        allow_abbrev=False,
    )
    options.add_data(verb)
    options.add_store(verb)
    verb.add_argument(
        "-o", "--output", metavar="OUT", dest="out", required=True,
        help="file to write, complete or not at all; its name ends in .parquet or .csv",
    )  # fmt: skip
    for name, words in (
        ("from", "first SYN at or after this time (default: the oldest)"),
        ("to", "first SYN before this time (default: the newest)"),
    ):
        verb.add_argument(
            f"--{name}", metavar="TIME", dest=f"time_{name}", type=options.time(f"--{name}"),
            help=f"{words}; ISO 8601, UTC where it names no zone, floored to a quarter of an hour",
        )  # fmt: skip
    verb.set_defaults(run=run)


def run(args: Namespace) -> int:
    """Write what the span holds."""
    from halfopen.cli.formats import WRITERS
    from halfopen.config import data_path
    from halfopen.radar.windows import stamp
    from halfopen.store.store import Store
    from halfopen.store.told import TOLD, told

    form = output.chosen_format(None, args.out)
    if form not in _FORMATS:
        raise UsageError("-o", args.out, "a name that ends in .parquet or .csv")
    start, end = args.time_from, args.time_to
    if start is not None and end is not None and end <= start:
        accepted = f"a time after --from ({stamp(start)}), both floored to a quarter of an hour"
        raise UsageError("--to", stamp(end), accepted)
    count = 0
    with (
        closing(Store(options.store(args, data_path(args.data)))) as store,
        output.opened(args.out, []) as stream,
    ):
        writer = WRITERS[form](stream, TOLD)
        for rows in store.dataset.stream(start, end):
            batch = told(rows)
            count += batch.num_rows
            writer.write(writer.encode(batch))
        writer.close({"connections": count, "from": start, "to": end})
    print(f"halfopen: {count:,} connections", file=sys.stderr)
    return 0

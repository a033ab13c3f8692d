"""``halfopen store``: what the dataset amounts to, and its upkeep by hand."""

from __future__ import annotations

import json
from argparse import Namespace
from contextlib import closing
from dataclasses import asdict
from typing import Any

from halfopen.cli import options
from halfopen.cli.progress import waits


def add(verbs: Any) -> None:
    """Add the verb to the command line."""
    verb = verbs.add_parser(
        "store", help="look after the dataset", description="What the dataset amounts to, and its upkeep.",
        allow_abbrev=False,
    )  # fmt: skip
    actions = verb.add_subparsers(metavar="ACTION", required=True)
    info = actions.add_parser(
        "info", help="rows, files, sensors", description="Rows, files and bytes of the dataset, its sensors and the captures in it.",
        allow_abbrev=False,
    )  # fmt: skip
    info.add_argument("--json", action="store_true", help="as one JSON object")
    compact = actions.add_parser(
        "compact", help="put small files together", description="Put small files together and add up partial sums.",
        allow_abbrev=False,
    )  # fmt: skip
    prune = actions.add_parser(
        "prune", help="remove what is old",
        description="Remove what is older than is to be kept: of captures since they were ingested, of live sensors by the time of the SYN.",
        allow_abbrev=False,
    )  # fmt: skip
    options.add_keep(prune)
    for action, run in ((info, _info), (compact, _compact), (prune, _prune)):
        options.add_data(action)
        options.add_store(action)
        action.set_defaults(run=run)


def _opened(args: Namespace) -> Any:
    from halfopen.config import data_directory
    from halfopen.store.store import Store

    return closing(Store(options.store(args, data_directory(args.data))))


def _info(args: Namespace) -> int:
    with _opened(args) as store:
        facts = store.info()
    if args.json:
        print(json.dumps(asdict(facts)))
        return 0
    print(f"{facts.place}, format {facts.format}")
    for table in facts.tables:
        span = f", days {table.first_day} to {table.last_day}" if table.first_day else ""
        print(f"{table.name}: {table.rows:,} rows, {table.files:,} files, {table.bytes:,} bytes{span}")
    print(f"sensors: {', '.join(sensor.name for sensor in facts.sensors) or 'none'}")
    for file in facts.files:
        joined = f", joined of {len(file.members)} files" if file.members else ""
        print(f"capture {file.digest}: {file.rows:,} connections, as {file.sensor}{joined}")
    return 0


def _compact(args: Namespace) -> int:
    from halfopen.store.upkeep import Upkeep

    with _opened(args) as store:
        work = Upkeep(store.committer(told=waits)).compact(least=2)
    print(f"put together: {work.compacted:,} files of connections, {work.merged:,} of rollups")
    return 0


def _prune(args: Namespace) -> int:
    from halfopen.store.upkeep import Upkeep

    keep = options.keep(args)
    with _opened(args) as store:
        upkeep = Upkeep(store.committer(told=waits))
        work = upkeep.prune(*keep)
        vacuumed = upkeep.vacuum().vacuumed
    print(
        f"removed: {work.pruned:,} connections, {work.pruned_rollups:,} rows of rollups, {vacuumed:,} files"
    )
    return 0

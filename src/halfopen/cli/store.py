"""``halfopen store``: what the dataset amounts to, and its upkeep by hand."""

from __future__ import annotations

import re
import sys
from argparse import Namespace
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from halfopen.cli import options
from halfopen.cli.progress import waits
from halfopen.cli.tables import add_json, print_json
from halfopen.cli.text import printable
from halfopen.errors import UsageError

if TYPE_CHECKING:
    from halfopen.store.ledger import Sensor


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
    add_json(info)
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
    forget = actions.add_parser(
        "forget",
        help="take out a capture, a client or a sensor",
        description="Take a capture's connections out, with what they add up to; or a client's address and the names it asked for, "
        "out of its connections, which stay and count; or let go of a sensor that will not come back, whose connections stay. Old files "
        "leave the disk a day later, by `halfopen serve` or `store prune`.",
        allow_abbrev=False,
    )
    what = forget.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--capture",
        metavar="FILE|DIGEST",
        help="a capture file that is there, or its digest as `store info` shows it",
    )
    what.add_argument(
        "--client",
        metavar="ADDRESS",
        type=options.address("--client"),
        help="an IPv4 or IPv6 address as it is kept; in full, or as the hash of it that the data directory's key makes",
    )
    what.add_argument("--sensor", metavar="NAME", help="a sensor that has delivered")
    for action, run in ((info, _info), (compact, _compact), (prune, _prune), (forget, _forget)):
        options.add_data(action)
        options.add_store(action)
        action.set_defaults(run=run)


def _opened(args: Namespace, where: Callable[[Namespace, Path], str] = options.store_to_write) -> Any:
    from halfopen.config import data_path
    from halfopen.store.store import Store

    return closing(Store(where(args, data_path(args.data))))


def _info(args: Namespace) -> int:
    from halfopen.radar.windows import stamp

    with _opened(args, options.store) as store:
        facts, held = store.info(), store.held()
    if args.json:
        told = asdict(facts)
        for file in told["files"]:
            file["held"] = asdict(held[file["digest"]]) if file["digest"] in held else None
        print_json(told)
        return 0
    print(f"{facts.place}, format {facts.format}")
    for table in facts.tables:
        span = f", days {table.first_day} to {table.last_day}" if table.first_day else ""
        print(f"{table.name}: {table.rows:,} rows, {table.files:,} files, {table.bytes:,} bytes{span}")
    for sensor in facts.sensors:
        print(
            f"sensor {sensor.name}, {sensor.incarnation}: heard of {stamp(sensor.seen)}, delivered up to {stamp(sensor.watermark)}"
        )
        if counted := _counted(sensor):
            print(f"  counted {counted}")
    for name, incarnations in facts.running_twice.items():
        print(f"FAULT: sensor {name} runs twice, what both see is counted twice: {', '.join(incarnations)}")
    for file in facts.files:
        joined = f", joined of {len(file.members)} files" if file.members else ""
        there = held.get(file.digest)
        span = f" of {stamp(there.first)} to {stamp(there.last)}" if there else ""
        gone = file.rows - (there.connections if there else 0)
        aged = f", {gone:,} more gone by age" if gone else ""
        print(
            f"capture {file.digest}: {file.rows - gone:,} connections{span}{aged}, "
            f"as {printable(file.sensor)}, ingested {stamp(file.ingested)}{joined}"
        )
    return 0


def _counted(sensor: Sensor) -> str:
    """What a sensor counted, in words: drops and rate, and all that it told."""
    parts = [f"{name} {count:,}" for name, count in sensor.counters.items()]
    if sensor.drops or parts:
        parts.insert(1 if "received" in sensor.counters else 0, f"dropped {sensor.drops:,}")
    if sensor.rate < 1:
        parts.append(f"sampled 1 in {1 / sensor.rate:,.6g}")
    return ", ".join(parts)


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


def _forget(args: Namespace) -> int:
    from halfopen.config import data_path
    from halfopen.privacy import KEY_FILE, kept_as, network_of
    from halfopen.radar.notes import Notes
    from halfopen.store.upkeep import Upkeep

    data = data_path(args.data)
    with _opened(args) as store:
        committer = store.committer(told=waits)
        if args.client:
            count = Upkeep(committer).forget_client(kept_as(args.client, data / KEY_FILE))
            print(f"address and names taken out of {count:,} connections")
            network = network_of(args.client)
            if not count and network.network_address != args.client:
                print(
                    f"halfopen: nothing is kept under this address; where networks are kept (--keep-clients truncated), "
                    f"it is one of {network}: --client {network.network_address} takes all of them out",
                    file=sys.stderr,
                )
        elif args.sensor:
            committer.forget_sensor(args.sensor)
            print(f"sensor {printable(args.sensor)} is missed no longer")
        else:
            digest = _digest(args.capture)
            record = committer.forget_capture(digest)
            committer.follow()
            Notes(data).remove_about(digest)
            print(f"capture {digest}: {record.rows:,} connections taken out")
    return 0


def _digest(capture: str) -> str:
    """What a capture is known by, from the file or from the digest itself."""
    from halfopen.capture.known import DIGEST, digest

    if re.fullmatch(DIGEST, capture):
        return capture
    try:
        return digest(Path(capture))
    except OSError as error:
        accepted = f"a file that can be read ({error.strerror}), or a digest as `store info` shows it"
        raise UsageError("--capture", capture, accepted) from None

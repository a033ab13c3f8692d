"""``halfopen ingest``: captures into the dataset."""

from __future__ import annotations

import json
import re
import sys
import time
from argparse import Namespace
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from halfopen.cli import options
from halfopen.cli.progress import waits
from halfopen.cli.text import printable
from halfopen.errors import CaptureError, HalfopenError, LeaseError, OptionsError, StoreError, UsageError

if TYPE_CHECKING:
    from halfopen.capture.known import Known
    from halfopen.capture.source import Capture
    from halfopen.pipeline import Judge
    from halfopen.places import Places
    from halfopen.privacy import Privacy
    from halfopen.radar.annotations import Annotation
    from halfopen.radar.notes import Notes

_HOUR: Final = 3600

_SPELLED: Final = {
    "rules_version": "the version of the rules",
    "sensor": "--sensor",
    "shift_end": "--shift-end",
    "clients": "--keep-clients",
    "names": "--keep-names",
    "idle_timeout": "--idle-timeout",
    "server_ports": "--server-port",
    "server_nets": "--server-net",
    "places": "--places",
}
"""How what decides about rows is asked for on the command line."""


def add(verbs: Any) -> None:
    """Add the verb to the command line."""
    verb = verbs.add_parser(
        "ingest",
        help="put captures into the dataset",
        description="Judge captures and put their connections into the dataset. A file is known by its content: "
        "what is there already is left as it is. Files that are joined are one capture, known by all of them.",
        epilog="Exit codes: 0 done, what is damaged or missing is reported; 1 nothing was readable, or a file is "
        "there with other options and not --replace; 2 the command line cannot be used.",
        allow_abbrev=False,
    )
    verb.add_argument("files", metavar="FILE", nargs="+", help="a capture, a directory or a pattern")
    options.add_data(verb)
    options.add_store(verb)
    verb.add_argument(
        "--sensor", metavar="NAME", default="captures", help="under which name (default: captures)"
    )
    verb.add_argument(
        "--replace",
        action="store_true",
        help="put a file that is there with other options in the place of itself",
    )
    verb.add_argument(
        "--shift-end", choices=("now",), metavar="now",
        help="move each capture so that its last packet lies in the last hour that is over; an annotation tells readers",
    )  # fmt: skip
    options.add_privacy(verb)
    options.add_limits(verb)
    options.add_places(verb, "places in the data directory, if there is such a directory")
    verb.set_defaults(run=run)


def run(args: Namespace) -> int:
    """Judge each capture and commit it as a whole."""
    from halfopen.capture.source import open_captures
    from halfopen.config import data_directory
    from halfopen.lanes import ahead
    from halfopen.model import SENSOR_NAME, SENSOR_NAMES
    from halfopen.pipeline import Judge, cores
    from halfopen.places import Places

    if not re.fullmatch(SENSOR_NAME, args.sensor):
        raise UsageError("--sensor", args.sensor, SENSOR_NAMES)
    if "-" in args.files:
        raise UsageError(
            "FILE", "-", "files: whether a capture is there already is told by its content beforehand"
        )
    data = data_directory(args.data)
    places = Places.open(options.places(args, data))
    privacy = options.privacy(args, data)
    made_with = _options(args, places)
    captures = open_captures(args.files, joined=args.joined)
    judge = Judge(options.limits(args), places, cores(), packets=True)
    with ahead(
        _known(captures)
    ) as known:  # while the store is opened, and while the capture before is judged
        refused = _ingest_all(args, made_with, zip(captures, known, strict=True), judge, privacy, data)
    for problem in judge.account.problems:
        print(f"halfopen: {printable(str(problem))}", file=sys.stderr)
    if judge.account.captures and not judge.account.readable:
        raise HalfopenError("nothing was readable")
    return 1 if refused else 0


def _known(captures: Sequence[Capture]) -> Generator[Known | OSError, None, None]:
    """What each capture is known by, or why it cannot be read."""
    from halfopen.capture.known import known

    for capture in captures:
        try:
            yield known(capture)
        except OSError as error:
            yield error


def _ingest_all(
    args: Namespace,
    made_with: str,
    captures: Iterable[tuple[Capture, Known | OSError]],
    judge: Judge,
    privacy: Privacy,
    data: Path,
) -> bool:
    """Ingest captures one after the other; gives whether the store refused one."""
    import pyarrow as pa

    from halfopen.capture.paths import unreadable
    from halfopen.model import new_counters
    from halfopen.radar.notes import Notes
    from halfopen.store.store import Store

    pa.set_memory_pool(pa.system_memory_pool())  # Arrow's own keeps some 30 MiB more than is ever in use
    notes = Notes(data)
    refused = False
    store = Store(options.store_to_write(args, data), create=True)
    with closing(store):
        committer = store.committer(told=waits)
        for capture, identity in captures:
            if isinstance(identity, OSError):
                capture.problems.append(unreadable(identity.filename or capture.name, identity))
                judge.account.add(capture, new_counters())
                continue
            try:
                words = _ingest(args, made_with, committer, capture, identity, judge, privacy, notes)
            except CaptureError:
                continue  # the account has it
            except LeaseError:
                raise
            except OptionsError as error:
                refused, words = True, _otherwise(error.options, made_with)
            except StoreError as error:
                refused, words = True, str(error)
            print(f"{printable(capture.name)}: {printable(words)}")
        judge.rest()  # the rollups take memory, too
        committer.follow()
    return refused


def _ingest(
    args: Namespace,
    made_with: str,
    committer: Any,
    capture: Capture,
    identity: Known,
    judge: Judge,
    privacy: Privacy,
    notes: Notes,
) -> str:
    """Ingest one capture; gives what became of it in words. CaptureError if nothing of it is readable."""
    from halfopen.capture.source import Capture
    from halfopen.ingest import incoming
    from halfopen.lanes import ahead
    from halfopen.model import SECOND
    from halfopen.pipeline import Judged
    from halfopen.radar.windows import stamp

    judged = [0]
    times: list[int] = []
    moved = ""  # the id of the note that says so

    def parts() -> Iterator[Any]:
        nonlocal moved
        shift = _shift(Capture(capture.name, capture.files)) if args.shift_end else 0

        def made() -> Generator[Any, None, None]:
            with closing(judge.run([capture], partial(map, Judged.kept))) as batches:
                yield from incoming(batches, privacy, shift=shift)

        with ahead(made()) as batches:  # while those before are written
            for batch in batches:
                judged[0] += batch.num_rows
                if batch.num_rows:
                    times[:] = _reach(times, batch)
                yield batch
        if not capture.readable:
            raise capture.problems[0]  # or it would be in the dataset, as a capture of no connections
        if shift and times:
            # Before the rows are committed, and beside that of the rows before these: rows that were moved are never
            # without the mark.
            moved = notes.add(_moved(times[0], times[1], shift, args.sensor), about=identity.digest).id

    try:
        record = committer.ingest(
            identity.digest, args.sensor, made_with, parts(), members=identity.members, replace=args.replace
        )
    except StoreError:
        notes.remove(moved)
        raise
    if not judged[0] and record.rows:
        return f"there already, {record.rows:,} connections"
    notes.remove_about(identity.digest, but=moved)
    span = f", {' to '.join(stamp(each // SECOND) for each in times)}" if times else ""
    return f"{record.rows:,} connections{span}"


def _shift(capture: Capture) -> int:
    """How far (ns) a capture is moved, so that its last packet is the last second of the last whole hour."""
    from halfopen.model import SECOND

    for _ in capture.batches():
        pass
    end = int(time.time()) // _HOUR * _HOUR - 1
    return (end - capture.clock // SECOND) * SECOND


def _reach(times: list[int], batch: Any) -> list[int]:
    """Begin and end (ns) of the connections of a batch and of those before."""
    import pyarrow.compute as pc

    start, end = pc.min(batch["start_ns"]).as_py(), pc.max(batch["end_ns"]).as_py()
    return [min([start, *times[:1]]), max([end, *times[1:]])]


def _moved(start: int, end: int, shift: int, sensor: str) -> Annotation:
    """What readers are told of a capture that was moved by `shift` and now lies from `start` to `end` (ns)."""
    from halfopen.model import SECOND
    from halfopen.radar.annotations import Annotation
    from halfopen.radar.windows import stamp

    taken = [stamp((time - shift) // SECOND) for time in (start, end)]
    words = f"A capture of {taken[0]} to {taken[1]} was moved to this time."
    return Annotation(
        words, start // SECOND, end // SECOND + 1, event_type="PIPELINE", tags=(sensor,), sensors=(sensor,)
    )


def _options(args: Namespace, places: Places) -> str:
    """All that decides what rows a file gives, as text that is equal for equal options."""
    from halfopen.connections.rules import RULES_VERSION

    return json.dumps(
        {
            "rules_version": RULES_VERSION,
            "sensor": args.sensor,
            "shift_end": args.shift_end,
            "clients": args.keep_clients,
            "names": args.keep_names,
            "idle_timeout": args.idle_timeout,
            "server_ports": sorted(args.server_port),
            "server_nets": sorted(map(str, args.server_net)),
            "places": places.digests(),
        },
        sort_keys=True,
    )


def _otherwise(before: str, now: str) -> str:
    """What is said of a capture that is there, made with other options."""
    there, asked = json.loads(before), json.loads(now)
    other = ", ".join(_SPELLED[name] for name in asked if asked[name] != there.get(name))
    return f"in the dataset already, with other options ({other}); with --replace it takes the place of that"

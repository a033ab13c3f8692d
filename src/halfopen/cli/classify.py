"""``halfopen classify``: how the connections in captures died."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import IO, TYPE_CHECKING, Any

from halfopen.cli import options, output
from halfopen.cli.progress import progress
from halfopen.cli.text import printable
from halfopen.errors import HalfopenError, UsageError

if TYPE_CHECKING:
    from halfopen.capture.source import Capture
    from halfopen.pipeline import Judge, Judged


def add(verbs: Any) -> None:
    """Add the verb to the command line."""
    verb = verbs.add_parser(
        "classify",
        help="tell how the connections in captures died",
        description="Stage, signature and evidence of every TCP connection in captures "
        "(pcap or pcapng, plain, gzip or zstd).",
        epilog="Exit codes: 0 done, what is damaged or missing is reported; 1 nothing was readable, the result "
        "could not be written, or damage or a missing capture and --strict; 2 the command line cannot be used; 130 interrupted; "
        "141 the reader of the output left.",
        allow_abbrev=False,
    )
    verb.add_argument(
        "files", metavar="FILE", nargs="+", help="a capture, a directory, a pattern, or - for standard input"
    )
    verb.add_argument("--format", choices=output.FORMATS, help="default: by the ending of OUT, else table")
    verb.add_argument(
        "-o", "--output", metavar="OUT", dest="out", help="file to write, complete or not at all"
    )
    verb.add_argument(
        "--summary",
        action="store_true",
        help="only what the table shows; with --format ndjson as one JSON object",
    )
    verb.add_argument("--all", action="store_true", help="connections without a stage, too")
    verb.add_argument(
        "--strict", action="store_true", help="exit code 1 where any capture is damaged or missing"
    )
    options.add_limits(verb)
    verb.add_argument(
        "--max-connections", metavar="N", type=options.count("--max-connections", 1 << 26), default=str(1 << 20),
        help="connections open at once in a capture; beyond, one is evicted, SYN-only ones first (default: 1048576)",
    )  # fmt: skip
    options.add_places(verb)
    verb.add_argument(
        "--jobs", metavar="N", type=options.count("--jobs", 1024), help="threads (default: one per core)"
    )
    verb.set_defaults(run=run)


def run(args: Namespace) -> int:
    """Judge the captures and write what was asked for."""
    form = output.chosen_format(args.format, args.out)
    if args.summary and form not in ("table", "ndjson"):
        raise UsageError("--summary", f"with --format {form}", "--format table or ndjson")
    if form == "parquet" and args.out in (None, "-") and sys.stdout.isatty():
        raise UsageError("--format", "parquet to a terminal", "-o FILE, or a pipe")

    from halfopen.capture.source import open_captures
    from halfopen.pipeline import Judge, cores
    from halfopen.places import Places

    places = Places.open(args.places) if args.places else None
    captures = open_captures(args.files, joined=args.joined)
    limits = replace(options.limits(args), max_connections=args.max_connections)
    judge = Judge(limits, places, args.jobs or cores(), left_out=args.all)
    lines = not args.summary and form != "table"
    try:
        with output.opened(args.out, args.files) as stream:
            with progress(captures, args.out, lines):
                if lines:
                    _write_table(judge, captures, form, stream)
                else:
                    _write_summary(judge, captures, form, stream)
            if not judge.account.readable:
                raise HalfopenError("nothing was readable")
    finally:
        for problem in judge.account.problems:
            print(f"halfopen: {printable(str(problem))}", file=sys.stderr)
    if lines:
        from halfopen.cli.report import counters_line

        print(f"halfopen: {counters_line(judge.account)}", file=sys.stderr)
    return 1 if args.strict and judge.account.problems else 0


def _write_table(judge: Judge, captures: list[Capture], form: str, stream: IO[bytes]) -> None:
    from halfopen.arrow import record_batch
    from halfopen.cli.formats import WRITERS

    writer = WRITERS[form](stream)

    def encoded(batches: Iterator[Judged]) -> Iterator[Any]:
        return (writer.encode(record_batch(judged)) for judged in batches)

    with closing(judge.run(captures, encoded)) as results:
        for each in results:
            writer.write(each)
    writer.close(judge.account.about())


def _write_summary(judge: Judge, captures: list[Capture], form: str, stream: IO[bytes]) -> None:
    from halfopen.cli import report
    from halfopen.cli.summary import Summary, summed

    def one(batches: Iterator[Judged]) -> Iterator[Summary]:
        yield summed(batches)

    whole = Summary()
    with closing(judge.run(captures, one)) as results:
        for summary in results:
            whole.merge(summary)
    if form == "table":
        text = report.table(whole, judge.account, judge.places)
    else:
        text = json.dumps(report.machine(whole, judge.account, judge.places))
    stream.write(f"{text}\n".encode())

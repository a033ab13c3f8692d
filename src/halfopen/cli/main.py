"""The command `halfopen`: reads the command line, runs a verb, turns errors into one line each.

Exit codes: 0 done; 1 nothing was readable, or the result could not be written, or there was damage or
a missing capture and --strict; 2 the command line cannot be used; 130 interrupted; 141 the reader of the output left.
"""

from __future__ import annotations

import gc
import os
import sys
from argparse import ArgumentParser, _SubParsersAction
from collections.abc import Iterator, Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import Any, Final, NoReturn

from halfopen import __version__
from halfopen.cli import (
    account,
    annotate,
    classify,
    completion,
    doctor,
    edge,
    explain,
    export,
    ingest,
    login,
    places,
    plot,
    sense,
    serve,
    signatures,
    store,
    token,
    tunnel,
    up,
    zone,
)
from halfopen.cli.settings import Settings, without_defaults
from halfopen.cli.text import printable
from halfopen.errors import HalfopenError, SettingsError, UsageError
from halfopen.lean import without_pandas

FAILED: Final = 1
USAGE: Final = 2
INTERRUPTED: Final = 130
READER_LEFT: Final = 141


class _Parser(ArgumentParser):
    """Errors in one line; options may stand between the arguments of a verb."""

    settings: Settings | None = None  # of a verb that works on an installation
    _plain = False  # whether arguments are to be read as argparse does by itself
    _filling = False

    def add_subparsers(self, **settings: Any) -> Any:
        self._plain = True  # what follows the verb is for the verb's own parser
        return super().add_subparsers(**settings)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        if self.settings is None or self._filling:
            return self._parse(args, namespace)
        self._filling = True  # reading takes several turns
        try:
            with without_defaults(self.settings.of(self)):
                known, unknown = self._parse(args, namespace)
        finally:
            self._filling = False
        known.settings = self.settings.fill(self, known)
        return known, unknown

    def _parse(self, args: Any, namespace: Any) -> Any:
        if self._plain or "--" in (args or ()):  # argparse forgets a -- when it reads mixed
            return super().parse_known_args(args, namespace)
        self._plain = True  # the mixed reading is made of plain ones
        try:
            known, unknown = self.parse_known_intermixed_args(args, namespace)
        finally:
            self._plain = False
        if unknown:
            options = [each for each in unknown if each.startswith("-")]
            self.error(f"unrecognized arguments: {' '.join(options or unknown)}")
        return known, unknown

    def error(self, message: str) -> NoReturn:
        self.exit(USAGE, f"halfopen: {message} (see {self.prog} --help)\n")


def parser() -> ArgumentParser:
    """The whole command line."""
    top = _Parser(
        prog="halfopen",
        description="How TCP connections to your servers die: stages, signatures and evidence.",
        allow_abbrev=False,
    )
    top.add_argument("--version", action="version", version=f"halfopen {__version__}")
    verbs = top.add_subparsers(metavar="VERB", required=True)
    for verb in (
        up, classify, explain, plot, signatures, places, ingest, annotate, export, store, sense, serve, token,
        account, zone, tunnel, edge, login, doctor, completion,
    ):  # fmt: skip
        verb.add(verbs)
    set_ = [
        each for each in _below(top)
        if any(action.dest == "config" for action in each._actions)
        and each.get_default("run") is not doctor.run  # it reports what is wrong with them
    ]  # fmt: skip
    settings = Settings(verbs.choices, set_)
    for each in set_:
        each.settings = settings
    return top


def _below(parser: _Parser) -> Iterator[_Parser]:
    """A parser, and those of its verbs and deeds."""
    yield parser
    for action in parser._actions:
        if isinstance(action, _SubParsersAction):
            for each in action.choices.values():
                yield from _below(each)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (default: of this process) and return the exit code."""
    gc.set_threshold(100_000)  # what is imported stays: looking through it is a tenth of the start
    if sys.stdout is None:  # closed by whoever began this; a socket must not take its number
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115 - as long as the process
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names of files and networks are anything
    try:
        args = parser().parse_args(argv)
        with without_pandas():
            code: int = args.run(args)
        sys.stdout.flush()
    except UsageError as error:
        return _failed(error, USAGE)
    except SettingsError as error:
        for fault in error.faults:
            _failed(fault, USAGE)
        return USAGE
    except HalfopenError as error:
        return _failed(error, FAILED)
    except BrokenPipeError:
        # What Python would still flush at its end has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return READER_LEFT
    except OSError as error:
        named = f"{error.filename}: " if error.filename else ""
        return _failed(f"{named}{error.strerror or error}", FAILED)
    except MemoryError as error:
        return _failed(f"not enough memory: {error}", FAILED)
    except KeyboardInterrupt:
        return _failed("interrupted", INTERRUPTED)
    return code


def _failed(why: object, code: int) -> int:
    print(f"halfopen: {printable(str(why))}", file=sys.stderr)
    return code

"""``halfopen up``: server, edge and sensor of this machine, from one command.

It stays small: what takes memory runs in processes of their own, which it starts, starts again when they die, and ends in order.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import re
import signal
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from io import TextIOWrapper
from logging import LogRecord, makeLogRecord
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from halfopen.cli import options
from halfopen.cli.text import printable
from halfopen.errors import UsageError

if TYPE_CHECKING:
    from halfopen.cli.board import Board
    from halfopen.cli.children import Child
    from halfopen.cli.holder import Hold

LOG: Final = "up.log"
"""Name of the file, in the data directory, for what server and sensor say while a terminal shows the rest."""

_LOG_BYTES: Final = 10 << 20

_SERVING: Final = re.compile(r"^halfopen: serving (http://\S+)/client/v4$")
_EDGE: Final = re.compile(r"^connectors: (\S+), visitors: (\S+)")
_SENSING: Final = re.compile(r"halfopen sensor: (\S+) watches (.+), \S+$")
"""What server and sensor say once they run."""

_SOON: Final = 3.0
"""Seconds for which the sensor is waited for before it is told of; at its very first start it compiles for longer."""

_PATIENCE: Final = 60.0
"""Seconds for a process to end; the edge takes half of that for requests under way."""

_PASSED: Final = ("host", "port", "edge_listen", "visitors")


def add(verbs: Any) -> None:
    """Add the verb to the command line."""
    verb = verbs.add_parser(
        "up",
        help="run everything: server, edge and sensor",
        description="Make what is missing (data directory, account, certificates, a token for you), start server, edge and, where it has "
        "the privilege, the sensor, and say what runs where. What `serve` and `sense` take from their sections of the settings file holds here.",
        epilog="SIGTERM, SIGINT: end all in order, the sensor first. Exit codes: 0 ended so; 1 the server did not start; "
        "2 the command line cannot be used.",
        allow_abbrev=False,
    )
    options.add_data(verb)
    options.add_store(verb)
    verb.add_argument("--host", metavar="HOST", help="where the server listens, as of `serve`")
    verb.add_argument("--port", metavar="N", help="at which port, as of `serve` (default: 8787)")
    verb.add_argument(
        "--edge-listen", metavar="HOST:PORT", help="where connectors connect, as of `serve` (default: 127.0.0.1:7844)"
    )  # fmt: skip
    verb.add_argument(
        "--visitors", metavar="HOST:PORT", help="where visitors come in, as of `serve` (default: 127.0.0.1:8080)"
    )  # fmt: skip
    verb.add_argument(
        "--user", metavar="NAME", help="whom to become where it was started as root; the data directory must be given, and be theirs"
    )  # fmt: skip
    verb.add_argument(
        "--demo", action="store_true",
        help="show a made-up network: two weeks of connections and a tunnel; in a directory of its own, made anew each time "
        "(default: one that is removed at the end); this host is not watched",
    )  # fmt: skip
    verb.set_defaults(run=run)


def run(args: Namespace) -> int:
    """Run all of it until told to stop."""
    from halfopen.cli.beginning import apart, begin
    from halfopen.cli.board import Board
    from halfopen.cli.demo import Demo
    from halfopen.cli.holder import Hold
    from halfopen.cli.main import parser
    from halfopen.config import data_path
    from halfopen.sensor.privileges import leave

    _check(args)
    prepare = partial(leave, args.user)
    with ExitStack() as stack:
        demo = stack.enter_context(Demo.in_directory(args.data)) if args.demo else None
        data = demo.data if demo else data_path(args.data)
        common = [
            "--data",
            str(data),
            *_said(args, "config"),
            *(demo.options if demo else _said(args, "store")),
        ]
        serve = ["serve", "--edge", *common, *(demo.serving if demo else ()), *_said(args, *_PASSED)]
        sense = ["sense", *common, *_said(args, "user")]
        # What cannot be used is told before anything is made.
        asked = parser().parse_args(serve)
        _free(asked)
        hold = Hold(data, prepare)
        store = options.store(asked, data)
        lacking = _lacking(parser().parse_args(sense))
        found = apart(prepare, begin, data, store, sys.stdout.isatty())
        if demo:
            print("Filling the demo with two weeks of connections ...", flush=True)
            apart(prepare, demo.fill, store)
        log = data / LOG if sys.stdout.isatty() else None
        board = Board(data, found, lacking, common, log, demo, args.user)
        beside = partial(demo.beside, store) if demo else None
        up = _Up(board, hold, stack.enter_context(_lines(log, prepare)), prepare, beside)
        return asyncio.run(up.run(serve, None if demo or lacking else sense))


def _check(args: Namespace) -> None:
    """What can be told at once."""
    from halfopen.cli.holder import must_be_free
    from halfopen.config import ACCOUNTS_URL, accounts_url, data_path

    if args.demo:
        # Nothing of the demo may come into an installation.
        if accounts_url():
            raise UsageError(
                "--demo", f"{ACCOUNTS_URL} beside it", "none: the demo keeps to its own directory"
            )
        for name, given in (("--store", args.store), ("--user", args.user)):
            if given is not None:
                raise UsageError(name, given, "no --demo beside it")
    elif args.user is not None and args.data is None:
        raise UsageError("--data", "none", "a directory of that user, beside --user")
    if args.data is not None or not args.demo:
        must_be_free(data_path(args.data))


def _said(args: Namespace, *names: str) -> list[str]:
    """Options of `up` as they are handed on."""
    given = ((name, getattr(args, name)) for name in names)
    return [
        word for name, value in given if value is not None for word in (f"--{name.replace('_', '-')}", value)
    ]


def _free(serve: Namespace) -> None:
    """UsageError, with the option that names another place, where somebody listens already."""
    from halfopen.cli import edge
    from halfopen.cli.serve import address

    address("--host and --port", serve.host, serve.port)
    address("--edge-listen", *(serve.connectors or edge.CONNECTORS))
    address("--visitors", *(serve.visitors or edge.VISITORS))


def _lacking(sense: Namespace) -> str:
    """The capability that the sensor would need and this process has not."""
    from halfopen.sensor.privileges import Capability, held

    needed = Capability.CAP_NET_RAW if sense.nflog is None else Capability.CAP_NET_ADMIN
    return "" if held(needed) else needed.name


class _Log(RotatingFileHandler):
    """Files for nobody else. What cannot be written, as on a disk that is full, is lost; what runs goes on."""

    def _open(self) -> TextIOWrapper:
        return os.fdopen(
            os.open(self.baseFilename, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
            "a",
            errors="backslashreplace",
        )

    def handleError(self, record: LogRecord) -> None:  # noqa: N802 - its name in the library
        pass


@contextmanager
def _lines(file: Path | None, prepare: Callable[[], None]) -> Iterator[Callable[[str], None]]:
    """Where the processes' lines go: that file, by a process of its own that was `prepare`d, or standard error."""
    from halfopen.cli.beginning import apart

    if file is None:
        yield partial(print, file=sys.stderr, flush=True)
        return
    apart(prepare, file.touch, 0o600)  # so that one is told why it cannot be
    reading, writing = os.pipe()
    writer = multiprocessing.get_context("fork").Process(
        target=_write, args=(reading, writing, file, prepare)
    )
    writer.start()
    os.close(reading)

    def heard(line: str) -> None:
        with suppress(BrokenPipeError):  # the log has ended, all else has not
            print(line, file=lines, flush=True)

    with open(writing, "w", errors="backslashreplace") as lines:  # noqa: PTH123 - a number
        yield heard
    writer.join()


def _write(reading: int, writing: int, file: Path, prepare: Callable[[], None]) -> None:
    """Write what comes into the file until nothing can come any more: not as root, where somebody else may have put a link."""
    os.setsid()  # Ctrl-C is not for it
    os.close(writing)
    prepare()
    handler = _Log(file, maxBytes=_LOG_BYTES, backupCount=1)
    with open(reading) as lines:
        for line in lines:
            handler.emit(makeLogRecord({"msg": line.rstrip("\n")}))


class _Up:
    """What runs, in the order in which it began."""

    def __init__(
        self,
        board: Board,
        hold: Hold,
        heard: Callable[[str], None],
        prepare: Callable[[], None],
        beside: Callable[[str, str], dict[str, list[str]]] | None,
    ) -> None:
        """`beside`: what else to run, by where connectors connect and visitors come in."""
        self._board, self._hold = board, hold
        self._heard, self._prepare, self._beside = heard, prepare, beside
        self._running: list[tuple[Child, asyncio.Task[None]]] = []
        self._stop = asyncio.Event()

    async def run(self, serve: Sequence[str], sense: Sequence[str] | None) -> int:
        """Start server, sensor and what the demo has beside them; end them, last first, once told to."""
        from halfopen.cli.holder import Holder

        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
                asyncio.get_running_loop().add_signal_handler(number, self._end)
        server, serving = self._start(
            "server", ["halfopen", *serve], (_EDGE, _SERVING), self._prepare, again=False
        )
        await self._until(server.ready, serving)
        if server.ready.is_set():
            url, places = server.found[1][1], (server.found[0][1], server.found[0][2])
            self._hold.tell(Holder(os.getpid(), *(each.removeprefix("http://") for each in (url, *places))))
            sensor = None
            if sense is not None:
                sensor, sensing = self._start("sensor", ["halfopen", *sense], (_SENSING,))
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._until(sensor.ready, sensing), _SOON)
            for name, argv in self._beside(*places).items() if self._beside else ():
                self._start(name, argv, prepare=self._prepare)
            if not self._stop.is_set():
                self._board.show(url, *places, sensor)
            await self._until(self._stop)
        for child, task in reversed(self._running):
            child.end()
            await asyncio.wait([task], timeout=_PATIENCE)
            child.end(signal.SIGKILL)
            await task
        if self._stop.is_set() or not server.code:
            return 0
        self._board.show_token()
        print(printable(server.last), file=sys.stderr)
        return server.code

    def _start(
        self,
        name: str,
        argv: Sequence[str],
        signs: Sequence[re.Pattern[str]] = (),
        prepare: Callable[[], None] | None = None,
        again: bool = True,
    ) -> tuple[Child, asyncio.Task[None]]:
        from halfopen.cli.children import Child

        # -P: nothing is imported from the directory where the command was typed.
        child = Child(name, [sys.executable, "-P", "-m", *argv], signs, self._heard, self._board.say, prepare)
        self._running.append((child, asyncio.create_task(child.run(again))))
        return self._running[-1]

    async def _until(self, event: asyncio.Event, *tasks: asyncio.Task[None]) -> None:
        """Until that, or the end of a process, or of all."""
        waiting = [asyncio.create_task(each.wait()) for each in {event, self._stop}]
        await asyncio.wait([*waiting, *tasks], return_when=asyncio.FIRST_COMPLETED)
        for each in waiting:
            each.cancel()

    def _end(self) -> None:
        """Begin to end; when told once more, let nobody take more time."""
        if self._stop.is_set():
            for child, _ in self._running:
                child.end()
        self._stop.set()

"""``halfopen serve``: the API of the dataset over HTTP."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from typing import Any

from halfopen.cli import options
from halfopen.errors import UsageError


def add(verbs: Any) -> None:
    """Add the verb to the command line."""
    verb = verbs.add_parser(
        "serve",
        help="answer the API of the dataset",
        description="Answer /client/v4 over HTTP from what was ingested; a token for it is made by `halfopen token create`. "
        "Every 15 minutes small files are put together and what is older than is to be kept is removed, unless another process "
        "commits to the dataset just then.",
        allow_abbrev=False,
    )
    options.add_data(verb)
    options.add_store(verb)
    options.add_keep(verb)
    verb.add_argument(
        "--host", metavar="ADDRESS", default="127.0.0.1", help="where to listen (default: 127.0.0.1)"
    )
    verb.add_argument(
        "--port", metavar="N", type=options.count("--port", 65535), default="8787", help="default: 8787"
    )  # fmt: skip
    verb.set_defaults(run=run)


def run(args: Namespace) -> int:
    """Serve until told to stop."""
    from granian import Granian
    from granian.constants import Interfaces
    from granian.log import LogLevels

    from halfopen.config import data_directory
    from halfopen.server import DATA, KEEP_CONNECTIONS, KEEP_ROLLUPS, STORE

    data = data_directory(args.data)
    keep_connections, keep_rollups = map(str, options.keep(args))
    os.environ |= {
        DATA: str(data),
        STORE: options.store(args, data),
        KEEP_CONNECTIONS: keep_connections,
        KEEP_ROLLUPS: keep_rollups,
    }
    server = Granian(
        "halfopen.server.app:create",
        factory=True,
        address=args.host,
        port=args.port,
        interface=Interfaces.ASGI,
        websockets=False,
        log_level=LogLevels.warning,
        workers_kill_timeout=5,
    )
    base = f"http://{f'[{args.host}]' if ':' in args.host else args.host}:{args.port}/client/v4"
    print(f"halfopen: serving {base}", file=sys.stderr)
    try:
        server.serve()
    except OSError as error:
        raise UsageError("--port", args.port, f"one that can be listened to ({error.strerror})") from None
    return 0

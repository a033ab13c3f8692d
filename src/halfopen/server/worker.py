"""What a worker of the server runs: the application, in a process of its own and without pandas."""

from __future__ import annotations

import sys

from starlette.applications import Starlette

from halfopen.errors import HalfopenError
from halfopen.lean import WithoutPandas


def worker() -> Starlette:
    """The application; what stands in its way is told in one line, as the command does."""
    sys.meta_path.insert(0, WithoutPandas())
    from halfopen.server.app import create

    try:
        return create()
    except HalfopenError as error:
        print(f"halfopen: {error}", file=sys.stderr, flush=True)
        raise SystemExit(1) from None

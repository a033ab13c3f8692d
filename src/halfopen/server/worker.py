"""What a worker of the server runs: the application, in a process of its own and without pandas."""

from __future__ import annotations

import sys
from importlib.abc import MetaPathFinder

from starlette.applications import Starlette

from halfopen.errors import HalfopenError


class _WithoutPandas(MetaPathFinder):
    """Arrow and DuckDB import pandas where there is one: 50 MiB that no answer needs."""

    def find_spec(self, name: str, *_: object) -> None:
        if name == "pandas":
            raise ModuleNotFoundError(f"no module named {name!r} in a server", name=name)


def worker() -> Starlette:
    """The application; what stands in its way is told in one line, as the command does."""
    sys.meta_path.insert(0, _WithoutPandas())
    from halfopen.server.app import create

    try:
        return create()
    except HalfopenError as error:
        print(f"halfopen: {error}", file=sys.stderr, flush=True)
        raise SystemExit(1) from None

"""What a worker of the server loads: the application, in a process without pandas."""

from __future__ import annotations

import sys
from importlib.abc import MetaPathFinder


class _WithoutPandas(MetaPathFinder):
    """Arrow and DuckDB import pandas where there is one: 50 MiB that no answer needs."""

    def find_spec(self, name: str, *_: object) -> None:
        if name == "pandas":
            raise ModuleNotFoundError(f"no module named {name!r} in a server", name=name)


sys.meta_path.insert(0, _WithoutPandas())

from halfopen.server.app import create  # noqa: E402 - not before

__all__ = ["create"]

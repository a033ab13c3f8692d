"""The application as it is served, but with upkeep several times a second. Granian runs it."""

from __future__ import annotations

from starlette.applications import Starlette

from halfopen.server.app import create


def app() -> Starlette:
    return create(every=0.3)

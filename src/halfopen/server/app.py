"""The application of an installation: accounts, dataset and routes put together.

Made by each worker of the server, from the settings in the environment that `halfopen serve` puts there.
"""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route as Page

from halfopen import __version__
from halfopen.accounts import Accounts
from halfopen.api.application import application
from halfopen.api.identity import identity_routes
from halfopen.api.openapi import document
from halfopen.config import accounts_url
from halfopen.radar.answers import Surroundings
from halfopen.radar.connections import connection_routes
from halfopen.radar.routes import radar_routes
from halfopen.server import DATA, STORE
from halfopen.server.batches import batch_routes
from halfopen.store.query import Dimension
from halfopen.store.store import Store


def create() -> Starlette:
    """The application of the data directory and the store that the environment names."""
    for name in ("halfopen.access", "halfopen.faults"):
        logger = logging.getLogger(name)
        logger.setLevel(logging.INFO)
        logger.addHandler(logging.StreamHandler(sys.stderr))
        logger.propagate = False
    accounts = Accounts.open(Path(os.environ[DATA]), accounts_url())
    store = Store(os.environ[STORE], create=True)
    routes = [
        *identity_routes(accounts),
        *radar_routes(store.dataset, _surroundings),
        *connection_routes(store.dataset),
        *batch_routes(store),
    ]
    described = document(routes, __version__)

    async def openapi(_: Request) -> Response:
        return JSONResponse(described)

    return application(routes, accounts, beside=[Page("/openapi.json", openapi)])


def _surroundings(base_url: str) -> Surroundings:
    return Surroundings((), f"{base_url}/annotations", _nameless, "")


def _nameless(_: Dimension, __: str) -> str:
    return ""

"""The application of an installation: accounts, dataset and routes put together.

Made by each worker of the server, from the settings in the environment that `halfopen serve` puts there.
"""

from __future__ import annotations

import logging
import os
import sys
from functools import partial
from importlib.metadata import version
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route as Page

from halfopen.accounts import Accounts
from halfopen.api.application import application
from halfopen.api.identity import identity_routes
from halfopen.api.openapi import document
from halfopen.config import accounts_url
from halfopen.places.countries import country_name
from halfopen.radar.annotation_list import annotation_routes
from halfopen.radar.answers import Surroundings
from halfopen.radar.notes import Notes
from halfopen.radar.routes import radar_routes
from halfopen.server import DATA, STORE
from halfopen.server.annotation_page import page
from halfopen.store.query import Dimension
from halfopen.store.store import Store


def create() -> Starlette:
    """The application of the data directory and the store that the environment names."""
    for name in ("halfopen.access", "halfopen.faults"):
        logger = logging.getLogger(name)
        logger.setLevel(logging.INFO)
        logger.addHandler(logging.StreamHandler(sys.stderr))
        logger.propagate = False
    data = Path(os.environ[DATA])
    accounts = Accounts.open(data, accounts_url())
    store = Store(os.environ[STORE], create=True)
    notes = Notes(data)
    around = partial(_surroundings, notes)
    routes = [
        *identity_routes(accounts),
        *radar_routes(store.dataset, around),
        *annotation_routes(store.dataset, notes.all, around),
    ]
    described = document(routes, version("halfopen"))

    async def openapi(_: Request) -> Response:
        return JSONResponse(described)

    def annotations(_: Request) -> Response:
        return page(notes.all())

    beside = [Page("/openapi.json", openapi), Page("/annotations", annotations)]
    return application(routes, accounts, beside=beside)


def _surroundings(notes: Notes, base_url: str) -> Surroundings:
    told = [note.annotation for note in notes.all()]
    return Surroundings(told, f"{base_url}/annotations", _name_of, "")


def _name_of(by: Dimension, code: str) -> str:
    return country_name(code) if by is Dimension.location else ""

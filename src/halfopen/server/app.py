"""The application of an installation: accounts, dataset and routes put together.

Made by each worker of the server, from the settings in the environment that `halfopen serve` puts there.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from importlib.metadata import version
from ipaddress import ip_network
from pathlib import Path

from anyio import to_thread
from prometheus_client.registry import Collector
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route as Page

from halfopen.api.application import application
from halfopen.api.identity import identity_routes
from halfopen.api.openapi import document
from halfopen.config import accounts_url
from halfopen.dashboard.dashboard import dashboard_routes, outside_page
from halfopen.dashboard.events import Events
from halfopen.log import begin_log, begin_plain_log
from halfopen.radar.affected import affected_routes
from halfopen.radar.annotation_list import annotation_routes
from halfopen.radar.atlas import Atlas
from halfopen.radar.connections import connection_routes
from halfopen.radar.installed import surroundings
from halfopen.radar.locations import location_routes
from halfopen.radar.networks import network_routes
from halfopen.radar.notes import Notes
from halfopen.radar.routes import radar_routes
from halfopen.radar.search import search_routes
from halfopen.server import DATA, GRACE, KEEP_CONNECTIONS, KEEP_ROLLUPS, PLACES, STORE, TRUSTED_PROXIES
from halfopen.server.annotation_page import annotation_page
from halfopen.server.batches import batch_routes
from halfopen.server.document_page import document_page
from halfopen.server.door import Door
from halfopen.server.metrics import Metrics
from halfopen.server.sensors import sensor_routes
from halfopen.server.storage import store_routes
from halfopen.server.upkeep import EVERY, RegularUpkeep
from halfopen.server.vitals import Vitals
from halfopen.store.store import Store
from halfopen.tunnels.edge_routes import EdgeRoutes
from halfopen.tunnels.installation import Installation
from halfopen.tunnels.routes import TunnelRoutes


def create(every: float = EVERY, *beside: Collector) -> Starlette:
    """The application of the data directory and the store that the environment names; upkeep `every` so many s. Its metrics tell also
    what is counted `beside` it.

    Its `state.installation` is the `Installation`, open until the application ends, `state.vitals` what it is ready by, `state.events` what
    its pages listen to, to be ended before the server is, `state.document` the OpenAPI document; `state.way` is to be set to the `Way` of
    connectors where an edge runs beside it.
    """
    begin_log()
    begin_plain_log("halfopen.access")
    data = Path(os.environ[DATA])
    here = Installation(data, accounts_url(), int(os.environ[GRACE]))
    store = Store(os.environ[STORE], create=True)
    door = Door(store)
    notes = Notes(data)
    atlas = Atlas(json.loads(os.environ.get(PLACES, "[]")))
    around = partial(surroundings, notes, atlas)
    upkeep = RegularUpkeep(door, int(os.environ[KEEP_CONNECTIONS]), int(os.environ[KEEP_ROLLUPS]), every)
    routes = [
        *identity_routes(here.accounts),
        *radar_routes(store.dataset, around),
        *affected_routes(store.dataset, around),
        *annotation_routes(store.dataset, notes.all, around),
        *connection_routes(store.dataset),
        *network_routes(store.dataset, atlas),
        *location_routes(store.dataset),
        *search_routes(store.dataset, atlas),
        *batch_routes(door),
        *sensor_routes(store),
        *store_routes(store, upkeep),
        *TunnelRoutes(here).table(),
        *EdgeRoutes(here.edges, here.registry, here.desk, here.traffic).table(),
    ]
    described = document(routes, version("halfopen"))

    def annotations(_: Request) -> Response:
        now = store.dataset.now()
        always = 0, now.now
        return annotation_page(
            notes.all(), [*now.gaps(*always), *now.overlaps(*always), *now.losses(*always)]
        )

    async def dataset_version() -> str:
        return await to_thread.run_sync(
            lambda: store.dataset.still(lambda snapshot: snapshot.state().version)
        )

    async def tunnels_version() -> str:
        return await to_thread.run_sync(here.tunnels.version)

    events = Events({"dataset": dataset_version, "tunnels": tunnels_version})
    vitals = Vitals(store)
    metrics = Metrics(vitals, upkeep, *beside)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        upkeep.start()
        try:
            yield
        finally:
            await to_thread.run_sync(upkeep.stop)
            await to_thread.run_sync(door.close)
            await to_thread.run_sync(here.close)

    made = application(
        routes,
        here.accounts,
        missing=vitals.missing,
        beside=lambda api: [
            Page("/openapi.json", JSONResponse(described), methods=["GET"]),
            Page("/docs", document_page(described), methods=["GET"]),
            Page("/annotations", annotations),
            metrics.page(),
            *dashboard_routes(api, here.accounts, events, lambda: made.state.way),
        ],
        outside=outside_page,
        observe=metrics.observe,
        lifespan=lifespan,
        proxies=[ip_network(each) for each in os.environ.get(TRUSTED_PROXIES, "").split(",") if each],
    )
    # For who runs beside it, or writes pages of it.
    made.state.installation, made.state.vitals, made.state.events = here, vitals, events
    made.state.document = described
    made.state.way = None  # to the edge that runs beside it, if one does
    return made

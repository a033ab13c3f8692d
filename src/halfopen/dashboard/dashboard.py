"""The dashboard put together: its routes beside the API that it asks."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.metadata import version

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from halfopen.accounts import Accounts
from halfopen.api.application import Api
from halfopen.dashboard.assets import Assets
from halfopen.dashboard.configuring import configuration_routes
from halfopen.dashboard.connections import connection_pages
from halfopen.dashboard.deeds import deed_routes
from halfopen.dashboard.events import Events
from halfopen.dashboard.health import health_routes
from halfopen.dashboard.pages import Pages
from halfopen.dashboard.pictures import picture_routes
from halfopen.dashboard.rendering import Templates
from halfopen.dashboard.resets import PATH as FIRST
from halfopen.dashboard.resets import reset_routes
from halfopen.dashboard.sign_in import SignIn
from halfopen.dashboard.tunnel import tunnel_routes
from halfopen.dashboard.tunnels import tunnel_list_routes
from halfopen.dashboard.visits import Visits
from halfopen.edge.connecting import Way


def dashboard_routes(
    api: Api, accounts: Accounts, events: Events, way: Callable[[], Way | None]
) -> list[BaseRoute]:
    """The pages, for who signs in with a token of these accounts; they are told of `events`. `way` is how connectors come to the edge
    of this server, None where it is none."""
    assets = _assets()
    templates, visits = Templates(assets), Visits(accounts, api)
    pages = Pages(templates, visits)
    return [
        Route("/", _first, methods=["GET"]),
        assets.route(),
        *SignIn(templates, visits).routes(pages),
        *reset_routes(pages),
        *connection_pages(pages),
        *picture_routes(visits),
        *tunnel_list_routes(pages),
        *tunnel_routes(pages, way),
        *deed_routes(pages),
        *configuration_routes(pages),
        *health_routes(pages),
        events.route(visits),
    ]


def outside_page(status: int) -> Response:
    """What a browser is shown where there is nothing, whoever asks."""
    return Templates(_assets()).page("outside.html", {"status": status}, status)


@cache
def _assets() -> Assets:
    made = f"{version('halfopen')}-{version('vl-convert-python')}"
    return Assets({"figures.js": (made, _script), "figures.css": (made, _style)})


async def _first(_: Request) -> RedirectResponse:
    return RedirectResponse(FIRST, 303)


def _script() -> bytes:
    from halfopen import figures

    return figures.bundle().encode()


def _style() -> bytes:
    from halfopen import figures

    return figures.style().encode()

"""The dashboard put together: its routes beside the API that it asks."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version

from starlette.requests import Request
from starlette.responses import RedirectResponse
from starlette.routing import BaseRoute, Route

from halfopen.accounts import Accounts
from halfopen.api.application import Api
from halfopen.dashboard.assets import Assets
from halfopen.dashboard.connections import connection_pages
from halfopen.dashboard.events import Events, Version
from halfopen.dashboard.pages import Pages
from halfopen.dashboard.pictures import picture_routes
from halfopen.dashboard.rendering import Templates
from halfopen.dashboard.resets import PATH as FIRST
from halfopen.dashboard.resets import reset_routes
from halfopen.dashboard.sign_in import SignIn
from halfopen.dashboard.visits import Visits


def dashboard_routes(api: Api, accounts: Accounts, versions: Mapping[str, Version]) -> list[BaseRoute]:
    """The pages, for who signs in with a token of these accounts. `versions` are looked at while somebody looks at a page."""
    made = f"{version('halfopen')}-{version('vl-convert-python')}"
    assets = Assets({"figures.js": (made, _script), "figures.css": (made, _style)})
    templates, visits = Templates(assets), Visits(accounts, api.verifying, api)
    pages = Pages(templates, visits)
    return [
        Route("/", _first, methods=["GET"]),
        assets.route(),
        *SignIn(templates, visits).routes(pages),
        *reset_routes(pages),
        *connection_pages(pages),
        *picture_routes(visits),
        Events(versions).route(visits),
    ]


async def _first(_: Request) -> RedirectResponse:
    return RedirectResponse(FIRST, 303)


def _script() -> bytes:
    from halfopen import figures

    return figures.bundle().encode()


def _style() -> bytes:
    from halfopen import figures

    return figures.style().encode()

"""What every page has: who is signed in, where one can go, and what becomes of a form that is refused."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from halfopen.dashboard.rendering import Templates
from halfopen.dashboard.visits import FORM_TOKEN, Handler, RefusedError, Visit, Visits

PLACES: Final[Mapping[str, str]] = {
    "/resets": "Resets and timeouts",
    "/connections": "Connections",
    "/tunnels": "Tunnels",
    "/health": "Health",
}
"""Where one can go, and what it is called."""

Act = Callable[[Visit, Mapping[str, str]], Awaitable[Response]]


class Pages:
    """Makes routes of pages for who is signed in, and the pages themselves."""

    def __init__(self, templates: Templates, visits: Visits) -> None:
        self._templates, self._visits = templates, visits

    def route(self, path: str, handler: Handler) -> Route:
        """Something to look at."""
        return Route(path, self._visits.signed_in(handler), methods=["GET"])

    def act(self, path: str, act: Act) -> Route:
        """Something to do, by a form of ours; `act` is given its fields."""

        async def handle(visit: Visit) -> Response:
            try:
                fields = await visit.form()
            except RefusedError as error:
                return self.refusal(visit, str(error), 403)
            return await act(visit, fields)

        return Route(path, self._visits.signed_in(handle), methods=["POST"])

    def page(self, name: str, visit: Visit, told: Mapping[str, Any], status: int = 200) -> Response:
        """A page for who is signed in."""
        here = visit.request.url.path
        common = {
            "places": PLACES,
            "here": next((path for path in PLACES if here.startswith(path)), "/"),
            "form_token": visit.form_token,
            "form_field": FORM_TOKEN,
        }
        return self._templates.page(name, {**common, **told}, status)

    def refusal(self, visit: Visit, words: str, status: int) -> Response:
        """A page that says what went wrong."""
        return self.page("refusal.html", visit, {"words": words}, status)


def after(path: str) -> Response:
    """Where the browser looks once something was done."""
    return RedirectResponse(path, 303, {"cache-control": "no-store"})

"""Figures for the page and for taking away: a chart as the page draws it, as PNG or SVG, and its numbers as CSV."""

from __future__ import annotations

from typing import Final

from anyio import to_thread
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from halfopen.dashboard.asked import Asked
from halfopen.dashboard.rendering import HEADERS
from halfopen.dashboard.views import RESETS, VIEWS, View
from halfopen.dashboard.visits import Visit, Visits

_PICTURES: Final = {"png": "image/png", "svg": "image/svg+xml"}


def picture_routes(visits: Visits) -> list[Route]:
    """``/figures/{view}.{kind}``, with the state of the page in the query."""
    return [Route("/figures/{view}.{kind}", visits.signed_in(_figure), methods=["GET"])]


async def _figure(visit: Visit) -> Response:
    name, kind = visit.request.path_params["view"], visit.request.path_params["kind"]
    view = VIEWS.get(name)
    if view is None or kind not in ("json", "csv", *_PICTURES):
        return Response(f"there is no figure {name}.{kind}", 404, dict(HEADERS), media_type="text/plain")
    asked = Asked.of(visit.request.query_params)
    if kind == "csv":
        return await _csv(visit, name, view, asked)
    told = await view.told(asked, visit.api)
    if faults := [fault for each in told for fault in each.faults]:
        return JSONResponse({"faults": faults}, max(each.status for each in told), dict(HEADERS))
    dark = visit.request.query_params.get("theme") == "dark"
    return await to_thread.run_sync(_drawn, view, name, kind, [each.result for each in told], dark)


def _drawn(view: View, name: str, kind: str, results: list[object], dark: bool) -> Response:
    from halfopen import figures

    spec = figures.themed(view.drawn(results), dark)
    if kind == "json":
        return JSONResponse(spec, headers=dict(HEADERS))
    headers = dict(HEADERS) | {"content-disposition": f'attachment; filename="halfopen-{name}.{kind}"'}
    return Response(figures.picture(spec, kind), headers=headers, media_type=_PICTURES[kind])


async def _csv(visit: Visit, name: str, view: View, asked: Asked) -> Response:
    first = view.questions[0]
    told = await visit.api.get(f"{RESETS}/{first.path}", [*first.query(asked), ("format", "CSV")])
    headers = dict(HEADERS) | {"content-disposition": f'attachment; filename="halfopen-{name}.csv"'}
    return Response(
        told.body, told.status, headers if told.good else dict(HEADERS), media_type=told.content_type
    )

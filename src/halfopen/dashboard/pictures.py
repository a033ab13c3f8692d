"""Figures for the page and for taking away: a chart as the page draws it, as PNG or SVG, and its numbers as CSV."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from typing import Any, Final

import msgspec
from anyio import CapacityLimiter, to_thread
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from halfopen.cache import Cache
from halfopen.dashboard.asked import Asked
from halfopen.dashboard.asking import Told
from halfopen.dashboard.rendering import HEADERS, attached
from halfopen.dashboard.views import RESETS, VIEWS, View
from halfopen.dashboard.visits import Visit, Visits

_KEPT: Final[Cache[bytes, bytes]] = Cache(16 << 20, len)
"""Specifications by what they were made of: to make one takes a tenth of a second and more."""

_PICTURES: Final[dict[str, str]] = {"png": "image/png", "svg": "image/svg+xml"}


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
    if kind == "json":
        key = sha256(
            b"".join([name.encode(), b"dark" if dark else b"light", *(each.body for each in told)])
        ).digest()
        if (known := _KEPT.get(key)) is None:
            known = await to_thread.run_sync(_specification, view, told, dark)
            _KEPT.put(key, known)
        return Response(known, headers=dict(HEADERS), media_type="application/json")
    drawn = await to_thread.run_sync(_picture, view, told, dark, kind, limiter=_pens())
    return Response(drawn, headers=attached(f"{name}.{kind}"), media_type=_PICTURES[kind])


def _themed(view: View, told: Sequence[Told], dark: bool) -> dict[str, Any]:
    from halfopen import figures

    return figures.themed(view.drawn([each.result for each in told]), dark)


def _specification(view: View, told: Sequence[Told], dark: bool) -> bytes:
    return msgspec.json.encode(_themed(view, told, dark))


def _picture(view: View, told: Sequence[Told], dark: bool, kind: str) -> bytes:
    from halfopen import figures

    return figures.picture(_themed(view, told, dark), kind)


@cache
def _pens() -> CapacityLimiter:
    """Pictures drawn at once: each takes a process and its memory."""
    return CapacityLimiter(2)


async def _csv(visit: Visit, name: str, view: View, asked: Asked) -> Response:
    first = view.questions[0]
    told = await visit.api.get(f"{RESETS}/{first.path}", [*first.query(asked), ("format", "CSV")])
    headers = attached(f"{name}.csv") if told.good else dict(HEADERS)
    return Response(told.body, told.status, headers, media_type=told.content_type)

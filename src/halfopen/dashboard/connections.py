"""Single connections: the list of those that a view counts, and one of them packet by packet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from halfopen.dashboard import asked as states
from halfopen.dashboard.asked import Asked
from halfopen.dashboard.calls import the_same
from halfopen.dashboard.chosen import chosen
from halfopen.dashboard.connection_table import table
from halfopen.dashboard.pages import Pages
from halfopen.dashboard.rendering import HEADERS, attached
from halfopen.dashboard.views import RESETS
from halfopen.dashboard.visits import Visit
from halfopen.dashboard.words import EVIDENCE_WORDS, SIGNATURE_WORDS, STAGE_WORDS, TAG_WORDS

PATH: Final = "/connections"

_LISTED: Final = f"{RESETS}/connections"
_PER_PAGE: Final = 50
_MOST: Final = 1000
"""Connections of a CSV, and those among which one is looked for at once: as many as the API gives."""


def connection_pages(pages: Pages) -> list[Route]:
    """The list, also as CSV, and one connection."""
    return [
        pages.route(PATH, lambda visit: _list(pages, visit)),
        pages.route(f"{PATH}.csv", _taken),
        pages.route(f"{PATH}/one", lambda visit: _one(pages, visit)),
    ]


def _number(visit: Visit) -> int:
    text = visit.request.query_params.get("page", "1")
    return int(text) if text.isascii() and text.isdigit() and 0 < len(text) < 8 and int(text) else 1


async def _list(pages: Pages, visit: Visit) -> Response:
    given = dict(visit.request.query_params)
    typed, unknown = await states.found(given, visit.api)
    asked, number = Asked.of(typed), _number(visit)
    if typed != given and not unknown:
        return RedirectResponse(asked.url(PATH), 303)
    question = _LISTED, [*asked.api, ("page", str(number)), ("per_page", str(_PER_PAGE))]
    told = await visit.api.get(*question)
    shown: dict[str, Any] = {
        **_words(), "asked": asked, "typed": given if unknown else typed, "filter_names": states.FILTERS, "chosen": await chosen(asked, visit.api), "faults": [*unknown, *told.faults], "ranges": states.RANGES,
        "rows": told.result if told.good else [], "number": number, "per_page": _PER_PAGE,
        "total": told.total if told.good else 0, "most_taken": _MOST,
        "calls": the_same(visit.api, [question]) if told.good else None,
    }  # fmt: skip
    return pages.page("connections.html", visit, shown, told.status)


async def _taken(visit: Visit) -> Response:
    """The newest connections of the list as CSV, with the columns of ``halfopen classify``."""
    asked = Asked.of(visit.request.query_params)
    told = await visit.api.get(_LISTED, [*asked.api, ("per_page", str(_MOST))])
    if not told.good:
        return Response(told.body, told.status, dict(HEADERS), media_type=told.content_type)
    return Response(table(told.result), headers=attached("connections.csv"), media_type="text/csv")


async def _one(pages: Pages, visit: Visit) -> Response:
    """The connection that `words.one` made the query of; those of its like are many pages, newest first, in which it is searched for."""
    query = visit.request.query_params
    asked = Asked.of(query)
    wanted = {name: query.get(name, "") for name in ("at", "client", "client_port", "server")}
    first, last = 1, 1
    while first <= last:
        number = (first + last) // 2
        told = await visit.api.get(_LISTED, [*asked.api, ("page", str(number)), ("per_page", str(_MOST))])
        if not told.good:
            return pages.refusal(visit, " ".join(told.faults), told.status)
        if (row := next((row for row in told.result if _is(row, wanted)), None)) is not None:
            return pages.page("connection.html", visit, {**_words(), "row": row, "asked": asked})
        if told.result and told.result[-1]["start"] >= wanted["at"]:
            last = max(last, -(-told.total // _MOST)) if number == 1 else last
            first = number + 1
        else:
            last = number - 1
    return pages.refusal(visit, "This connection is no longer kept, or was never there.", 404)


def _is(row: Mapping[str, Any], wanted: Mapping[str, str]) -> bool:
    known = {"at": row["start"], **{name: row[name] for name in ("client", "client_port", "server")}}
    return all(str(known[name] if known[name] is not None else "") == value for name, value in wanted.items())


def _words() -> dict[str, Any]:
    return {
        "evidence_words": EVIDENCE_WORDS,
        "stage_words": STAGE_WORDS,
        "signature_words": SIGNATURE_WORDS,
        "tag_words": TAG_WORDS,
    }

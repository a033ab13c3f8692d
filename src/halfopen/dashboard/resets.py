"""The page of resets and timeouts: are people being cut off, where, at which stage, since when, and how sure is that."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, urlencode

from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from halfopen.connections.rules import SIGNATURES, Tag
from halfopen.dashboard import asked as states
from halfopen.dashboard.asked import Asked
from halfopen.dashboard.asking import Told
from halfopen.dashboard.calls import calls
from halfopen.dashboard.chosen import chosen
from halfopen.dashboard.pages import Pages
from halfopen.dashboard.rendering import HEADERS
from halfopen.dashboard.standing_out import standing_out
from halfopen.dashboard.views import RESETS, VIEWS, rows_of
from halfopen.dashboard.visits import Visit
from halfopen.dashboard.words import (
    CONFIDENCE,
    CUT,
    SIGNATURE_WORDS,
    STAGE_WORDS,
    TAG_WORDS,
)
from halfopen.places.countries import CONTINENTS

PATH: Final = "/resets"

_FEW: Final = "10"
_MANY: Final = "200"
"""Networks among which those are looked for that stand out."""
_QUICK: Final[Mapping[str, str]] = {
    "": "all connections",
    f"-{Tag.fin.name},-{Tag.server_fin.name},-{Tag.answered.name}": "not ended after the exchange",
    f"{Tag.fin.name},{Tag.server_fin.name},{Tag.answered.name}": "ended after the exchange",
    Tag.answered.name: "answered by the server",
    Tag.unanswered.name: "never answered by the server",
}
"""Tags that are asked for most, and what they mean."""


def reset_routes(pages: Pages) -> list[Route]:
    """The page, and what is suggested while somebody types."""
    return [
        pages.route(PATH, lambda visit: _page(pages, visit)),
        pages.route("/suggestions/{kind}", _suggested),
    ]


async def _suggested(visit: Visit) -> Response:
    text = visit.request.query_params.get("query", "")
    found = await states.suggestions(visit.request.path_params["kind"], text, visit.api)
    return JSONResponse(found, headers=dict(HEADERS))


async def _page(pages: Pages, visit: Visit) -> Response:
    given = dict(visit.request.query_params)
    typed, unknown = await states.found(given, visit.api)
    if typed != given and not unknown:
        return RedirectResponse(f"{PATH}?{urlencode(typed, quote_via=quote)}", 303)
    asked = Asked.of(typed)
    # Names that are not known are no filter: numbers of everything would be taken for theirs.
    told = {} if unknown else await _told(asked, visit)
    faults = [*unknown, *dict.fromkeys(fault for each in told.values() for fault in each.faults)]
    status = max((each.status for each in told.values()), default=400)
    seen: dict[str, Any] = {
        "asked": asked,
        "typed": given if unknown else typed,
        "faults": faults,
        "ranges": states.RANGES,
        "intervals": states.INTERVALS,
        "quick": _QUICK,
        "filter_names": states.FILTERS,
        "chosen": await chosen(asked, visit.api),
        "continents": sorted(CONTINENTS),
        "signature_words": SIGNATURE_WORDS,
        "tag_words": TAG_WORDS,
        "stage_words": STAGE_WORDS,
        "views": {name: view for name, view in VIEWS.items() if name != "comparison" or asked.compare},
        "answer": None,
    }
    if told and not faults:
        answer = _answer(told)
        rises = await standing_out(asked, answer["networks"], visit.api) if answer["now"]["cut"] else []
        seen["answer"] = answer | {"rises": rises}
        seen["calls"] = {name: calls(visit.api, view, asked) for name, view in seen["views"].items()}
    return pages.page("resets.html", visit, seen, status)


async def _told(asked: Asked, visit: Visit) -> dict[str, Told]:
    """Everything the page shows beside its charts."""
    counts = ("normalization", "RAW_VALUES")
    questions = {
        "counts": ("summary", [*asked.api, counts]),
        "before": ("summary", [*asked.control, counts]),
        "signatures": ("summary/signature", [*asked.api, counts, ("limitPerGroup", "30")]),
        "networks": ("affected/ases", [*asked.api, ("limit", _MANY)]),
        "locations": ("affected/locations", [*asked.api, ("limit", _FEW)]),
    }
    told = await asyncio.gather(
        *(visit.api.get(f"{RESETS}/{path}", query) for path, query in questions.values())
    )
    return dict(zip(questions, told, strict=True))


def _answer(told: Mapping[str, Told]) -> dict[str, Any]:
    """What the page says first: how many were cut, how that has changed, and how sure it is."""
    counts, before = (told[name].result for name in ("counts", "before"))
    now, then = (_cut(_only(each)) for each in (counts, before))
    confidence = counts["meta"]["confidenceInfo"]
    stages = [
        {"id": stage, "words": words, "count": count, "share": _share(count, now["connections"])}
        for stage, words in STAGE_WORDS.items()
        for count in (float(_only(counts)[stage]),)
    ]
    signatures = {
        name: float(count) for name, count in _only(told["signatures"].result).items() if float(count) > 0
    }
    return {
        "window": counts["meta"]["dateRange"][0],
        "updated": counts["meta"]["lastUpdated"],
        "now": now,
        "before": then,
        "stages": stages,
        "signatures": [
            {"id": each.id, "stage": each.stage.name, "words": each.words, "count": signatures[each.id]}
            for each in sorted(SIGNATURES, key=lambda each: -signatures.get(each.id, 0))
            if each.id in signatures
        ],
        "level": confidence["level"],
        "confidence": CONFIDENCE[confidence["level"]],
        "annotations": confidence["annotations"],
        "networks": rows_of(told["networks"].result),
        "locations": rows_of(told["locations"].result),
    }


def _only(result: Mapping[str, Any]) -> Mapping[str, str]:
    """The one series of a summary."""
    return next(value for name, value in result.items() if name != "meta")


def _cut(counts: Mapping[str, str]) -> dict[str, float]:
    """Connections, how many were cut, and their share (%)."""
    every = sum(map(float, counts.values()))
    cut = sum(float(counts[stage]) for stage in CUT)
    return {"connections": every, "cut": cut, "share": _share(cut, every)}


def _share(part: float, whole: float) -> float:
    """A share in percent."""
    return 100 * part / whole if whole else 0.0

"""The tunnels of all accounts that one may see: how each stands, and a form for a new one."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

from starlette.responses import Response
from starlette.routing import Route

from halfopen.dashboard.asking import Told
from halfopen.dashboard.calls import the_same
from halfopen.dashboard.pages import Pages, after
from halfopen.dashboard.tunnel_visits import (
    DONE,
    MISSING,
    PATH,
    Where,
    account_path,
    changing,
    may_change,
    reading,
)
from halfopen.dashboard.visits import Visit

_PER_PAGE: Final = "100"
_MOST_ACCOUNTS: Final = "50"
_NO_ACCOUNT: Final = "There is no such account, or this token may not see it."

STANDING: Final[Mapping[str, str]] = {
    "down": "nothing is connected any more",
    "degraded": "fewer than four connections: it works, with less in reserve",
    "healthy": "four connections or more",
    "inactive": "nothing has been connected yet",
}
"""What each status means; the first are to be looked at first."""

SOURCES: Final[Mapping[str, str]] = {
    "cloudflare": "here: what it serves is set on its page and sent to its connectors",
    "local": "beside cloudflared: in a file that its connectors read",
}
"""Where a tunnel can have its configuration."""


def tunnel_list_routes(pages: Pages) -> list[Route]:
    """The list, and what makes a tunnel."""
    return [
        pages.route(PATH, reading(pages, lambda visit: _list(pages, visit))),
        pages.act(PATH, changing(pages, lambda visit, fields: _made(pages, visit, fields))),
    ]


async def _list(
    pages: Pages, visit: Visit, typed: Mapping[str, str] | None = None, refused: Told | None = None
) -> Response:
    query = visit.request.query_params
    chosen = query.get("account", "")
    number = (chosen and query.get("page")) or "1"
    accounts = await visit.api.get("/accounts", [("per_page", _MOST_ACCOUNTS)])
    one = await visit.api.get(account_path(chosen)) if chosen else accounts
    if one.status in MISSING:
        return pages.refusal(visit, _NO_ACCOUNT, 404)
    if not accounts.good or not one.good:
        return pages.refusal(
            visit, " ".join([*accounts.faults, *one.faults]), max(accounts.status, one.status)
        )
    shown = [one.result] if chosen else accounts.result
    questions = [
        (f"{account_path(each['id'])}/cfd_tunnel", [("per_page", _PER_PAGE), ("page", number)])
        for each in shown
    ]
    told = await asyncio.gather(*(visit.api.get(*each) for each in questions))
    seen: dict[str, Any] = {
        "accounts": accounts.result, "every": accounts.total, "chosen": chosen, "groups": list(zip(shown, map(_group, told), strict=True)),
        "faults": [fault for each in told for fault in each.faults], "number": int(number) if all(each.good for each in told) else 1,
        "per_page": int(_PER_PAGE), "standing": STANDING, "sources": SOURCES, "done": DONE.get(query.get("done", "")),
        "may_change": may_change(visit), "typed": typed or {}, "refused": refused.faults if refused else [],
        "calls": the_same(visit.api, questions),
    }  # fmt: skip
    seen["counts"] = {
        status: sum(row["status"] == status for _, group in seen["groups"] for row in group["rows"])
        for status in STANDING
    }
    status = refused.status if refused else max((each.status for each in told), default=200)
    return pages.page("tunnels.html", visit, seen, status)


def _group(told: Told) -> dict[str, Any]:
    if not told.good:
        return {"rows": [], "total": 0}
    order = list(STANDING)
    rows = sorted(told.result, key=lambda row: (order.index(row["status"]), row["name"]))
    return {"rows": [row | told_of(row["connections"]) for row in rows], "total": told.total}


def told_of(connections: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the connections of a tunnel, or of a connector, come to: connectors are those with something live."""
    live = [each for each in connections if not each["is_pending_reconnect"]]
    return {
        "live": len(live),
        "pending": len(connections) - len(live),
        "connectors": len({each["client_id"] for each in live}),
        "colos": sorted({each["colo_name"] for each in connections}),
    }


async def _made(pages: Pages, visit: Visit, fields: Mapping[str, str]) -> Response:
    account = fields.get("account", "")
    body = {"name": fields.get("name", "").strip(), "config_src": fields.get("config_src", "cloudflare")}
    told = await visit.api.send("POST", f"{account_path(account)}/cfd_tunnel", body=body)
    if told.status in MISSING:
        return pages.refusal(visit, _NO_ACCOUNT, 404)
    if not told.good:
        return await _list(pages, visit, fields, told)
    return after(f"{Where(account, told.result['id']).page}?done=created")

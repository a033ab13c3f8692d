"""The configuration of a tunnel: looked at, written as a table of rules or as JSON, checked, and only then sent."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from starlette.responses import Response
from starlette.routing import Route

from halfopen.dashboard.drafts import MOST_ROWS, Table, faults, is_table, parsed
from halfopen.dashboard.pages import Pages, after
from halfopen.dashboard.tunnel_visits import Where, changing, may_change, named, path, reading, refused
from halfopen.dashboard.visits import Visit
from halfopen.dashboard.words import pretty


@dataclass(frozen=True)
class Draft:
    """What the editor shows: a table or, where that is None, JSON; what is wrong with it, or a word about it; and the version that it was begun with."""

    table: Table | None
    text: str
    version: int
    faults: list[str] = field(default_factory=list)
    word: str = ""
    status: int = 200


def configuration_routes(pages: Pages) -> list[Route]:
    """The page with the editor, and what it sends."""
    here = path("/configuration")
    return [
        pages.route(here, reading(pages, lambda visit: _page(pages, visit, None))),
        pages.act(here, changing(pages, lambda visit, fields: _typed(pages, visit, fields))),
    ]


async def _page(pages: Pages, visit: Visit, draft: Draft | None) -> Response:
    where, told, tunnel = await named(visit)
    configuration, clients = await asyncio.gather(
        visit.api.get(f"{where.api}/configurations"), visit.api.get(f"{where.api}/connections")
    )
    if (refusal := refused(pages, visit, told, configuration, clients)) is not None:
        return refusal
    latest, query = configuration.result, visit.request.query_params
    taken_over = not tunnel["remote_config"] and "take" in query
    seen: dict[str, Any] = {
        "where": where, "tunnel": tunnel, "latest": latest, "clients": clients.result, "most_rows": MOST_ROWS,
        "draft": draft or _begun(latest, query.get("as", "")),
        "may_change": may_change(visit), "editable": may_change(visit) and (tunnel["remote_config"] or taken_over),
    }  # fmt: skip
    return pages.page("configuration.html", visit, seen, draft.status if draft else 200)


def _begun(latest: Mapping[str, Any], form: str) -> Draft:
    config, version = latest["config"], latest["version"]
    if form == "json" or not (config is None or is_table(config)):
        return Draft(None, pretty(Table.of(None).config() if config is None else config), version)
    return Draft(Table.of(config), "", version)


async def _typed(pages: Pages, visit: Visit, fields: Mapping[str, str]) -> Response:
    act, number = fields.get("act", "check"), fields.get("version", "")
    version = int(number) if number.isascii() and number.isdigit() else 0
    if "text" in fields:
        draft = Draft(None, fields["text"], version)
        config, wrong = parsed(draft.text)
    else:
        table = Table.typed(fields)
        if act not in ("check", "send", "json"):
            return await _page(pages, visit, Draft(table.changed(act), "", version))
        table = table.filled()
        draft = Draft(table, "", version)
        config, wrong = table.config(), []
    if act == "json" and draft.table:
        return await _page(pages, visit, Draft(None, pretty(config), version))
    if act == "table" and not wrong:
        if is_table(config):
            return await _page(pages, visit, Draft(Table.of(config), "", version))
        wrong = [f"This is no table: that has an ingress of at most {MOST_ROWS} rules, each with texts."]
    wrong = wrong or faults(config)
    if wrong:
        return await _page(pages, visit, replace(draft, faults=wrong, status=400))
    if act != "send":
        word = "cloudflared takes this. Nothing was sent yet."
        return await _page(pages, visit, replace(draft, word=word))
    return await _sent(pages, visit, draft, config)


async def _sent(pages: Pages, visit: Visit, draft: Draft, config: Any) -> Response:
    where = Where.of(visit)
    latest = await visit.api.get(f"{where.api}/configurations")
    if (refusal := refused(pages, visit, latest)) is not None:
        return refusal
    if (now := latest.result["version"]) != draft.version:
        words = f"Version {now} came meanwhile; this was begun with version {draft.version}. Send it again to put it in its place."
        return await _page(pages, visit, replace(draft, version=now, faults=[words], status=409))
    told = await visit.api.send("PUT", f"{where.api}/configurations", body={"config": config})
    if not told.good:
        return await _page(pages, visit, replace(draft, faults=told.faults, status=told.status))
    return after(f"{where.page}?done=configured")

"""One tunnel: how it stands, what is connected, how a connector is started, and what its hostnames carry."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from starlette.responses import Response
from starlette.routing import Route

from halfopen.dashboard.asking import Told
from halfopen.dashboard.calls import the_same
from halfopen.dashboard.drafts import Table, has_rules
from halfopen.dashboard.pages import Pages, after
from halfopen.dashboard.tunnel_visits import (
    DONE,
    Where,
    account_path,
    changing,
    may_change,
    named,
    path,
    reading,
    refused,
)
from halfopen.dashboard.tunnels import STANDING, told_of
from halfopen.dashboard.visits import Visit
from halfopen.edge.connecting import Way

_PLACEHOLDER: Final = "TOKEN"
"""Stands for a token that is hidden."""


def tunnel_routes(pages: Pages, way: Callable[[], Way | None]) -> list[Route]:
    """The page of a tunnel, and another name for it. `way` is how connectors come to the edge of this server, None where it is none."""
    return [
        pages.route(path(), reading(pages, lambda visit: _page(pages, visit, way()))),
        pages.act(
            path("/name"), changing(pages, lambda visit, fields: _renamed(pages, visit, fields, way()))
        ),
    ]


async def _page(
    pages: Pages, visit: Visit, way: Way | None, typed: str | None = None, not_renamed: Told | None = None
) -> Response:
    where, told, tunnel = await named(visit)
    of_tunnel = [f"{where.api}/{each}" for each in ("connections", "configurations", "traffic")]
    account, clients, configuration, traffic = await asyncio.gather(
        *(visit.api.get(asked) for asked in (account_path(where.account), *of_tunnel))
    )
    if (refusal := refused(pages, visit, told, account, clients, configuration, traffic)) is not None:
        return refusal
    query = visit.request.query_params
    shown = query.get("token") == "show" and may_change(visit)
    token = await visit.api.get(f"{where.api}/token") if shown else None
    latest = configuration.result
    rules = Table.of(latest["config"]).rows if has_rules(latest["config"]) else ()
    ruled = [rule.hostname for rule in rules if rule.hostname not in ("", "*")]
    clients_shown = sorted(
        (each | told_of(each["conns"]) for each in clients.result), key=lambda each: not each["live"]
    )
    seen: dict[str, Any] = {
        "where": where, "account": account.result, "tunnel": tunnel | told_of(tunnel["connections"]), "standing": STANDING,
        "clients": clients_shown, "configuration": latest, "rules": rules,
        "hostnames": _hostnames(traffic.result, ruled),
        "classes": sorted({status for each in traffic.result for status in each["statuses"]}),
        "way": way, "shown": shown, "commands": _commands(way, token.result if token and token.good else _PLACEHOLDER),
        "faults": token.faults if token else [],
        "done": DONE.get(query.get("done", "")), "may_change": may_change(visit),
        "typed": tunnel["name"] if typed is None else typed, "refused": not_renamed.faults if not_renamed else [],
        "calls": the_same(visit.api, [(asked, ()) for asked in (where.api, *of_tunnel)]),
    }  # fmt: skip
    return pages.page("tunnel.html", visit, seen, not_renamed.status if not_renamed else 200)


def _hostnames(traffic: Sequence[Mapping[str, Any]], ruled: Sequence[str]) -> list[dict[str, Any]]:
    """What has passed by hostname, those of rules through which nothing has among them; with the mean time of a request (s)."""
    told = [{**each, "mean": each["seconds"] / max(each["requests"], 1)} for each in traffic]
    passed = {each["hostname"] for each in traffic}
    return told + [
        {"hostname": name, "requests": 0} for name in dict.fromkeys(ruled) if name.lower() not in passed
    ]


def _commands(way: Way | None, token: str) -> Mapping[str, str]:
    """What starts a connector, by each transport."""
    if way is None:
        return {
            "": f"cloudflared tunnel --cacert CA.PEM {' '.join(['--edge ADDRESS:7844'] * 4)} run --token {token}"
        }
    return {
        "By QUIC": way.command(token),
        "By HTTP/2, where UDP does not get through": way.command(token, "http2"),
    }


async def _renamed(pages: Pages, visit: Visit, fields: Mapping[str, str], way: Way | None) -> Response:
    where, name = Where.of(visit), fields.get("name", "").strip()
    told = await visit.api.send("PATCH", where.api, body={"name": name})
    if not told.good:
        return await _page(pages, visit, way, name, told)
    return after(f"{where.page}?done=renamed")

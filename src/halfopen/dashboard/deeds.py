"""What is done to a tunnel only after a page has said what will come of it: another secret, connections closed, the tunnel deleted."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from secrets import token_bytes
from typing import Any, Final

from starlette.responses import Response
from starlette.routing import Route

from halfopen.dashboard.asking import Asking, Query, Told
from halfopen.dashboard.pages import Pages, after
from halfopen.dashboard.tunnel_visits import PATH, Where, changing, named, offering, path, refused
from halfopen.dashboard.tunnels import told_of
from halfopen.dashboard.visits import Visit
from halfopen.tunnels.vault import SECRET_BYTES


@dataclass(frozen=True)
class Deed:
    """Something to be done to a tunnel: its title, what will come of it, what to choose, and where to look then."""

    title: str
    words: tuple[str, ...]
    button: str
    do: Callable[[Asking, Where, Mapping[str, str]], Awaitable[Told]]
    then: Callable[[Where], str]
    choice: tuple[str, str] | None = None  # name and words of a box to tick


async def _rotate(api: Asking, where: Where, fields: Mapping[str, str]) -> Told:
    told = await api.send(
        "PATCH", where.api, body={"tunnel_secret": b64encode(token_bytes(SECRET_BYTES)).decode()}
    )
    return await api.send("DELETE", f"{where.api}/connections") if told.good and fields.get("close") else told


async def _clean_up(api: Asking, where: Where, fields: Mapping[str, str]) -> Told:
    only: Query = [("client_id", fields["connector"])] if fields.get("connector") else []
    return await api.send("DELETE", f"{where.api}/connections", only)


async def _delete(api: Asking, where: Where, fields: Mapping[str, str]) -> Told:
    return await api.send("DELETE", where.api, [("cascade", "true")] if fields.get("cascade") else [])


DEEDS: Final[Mapping[str, Deed]] = {
    "rotate": Deed(
        "Give {name} another secret",
        (
            "The tunnel gets a new secret at random, and with it a new token.",
            "Who connects with the old token from then on is refused: start each connector anew with the new one.",
            "What is connected now stays connected until it breaks off, unless it is closed at once.",
        ),
        "Change the secret",
        _rotate,
        lambda where: f"{where.page}?done=rotated",
        ("close", "Close what is connected now"),
    ),
    "cleanup": Deed(
        "Close the connections of {name}",
        (
            "Every connection is closed, live or pending; requests under way on them are cut off.",
            "A connector that still runs connects again by itself within seconds: stop it first where it is to stay away.",
        ),
        "Close them",
        _clean_up,
        lambda where: f"{where.page}?done=cleaned",
    ),
    "delete": Deed(
        "Delete {name}",
        (
            "The tunnel is gone for good: its token opens nothing any more, and its hostnames lead nowhere.",
            "Its name and its hostnames can be used for another tunnel. This cannot be taken back.",
        ),
        "Delete the tunnel",
        _delete,
        lambda _: f"{PATH}?done=deleted",
        ("cascade", "Close what is connected first; a tunnel with connections is not deleted otherwise"),
    ),
}  # fmt: skip
"""Each deed, by its name in the URL."""


def deed_routes(pages: Pages) -> list[Route]:
    """For each deed a page that says what will come of it, and the doing."""

    def of(name: str) -> list[Route]:
        return [
            pages.route(path(f"/{name}"), offering(pages, lambda visit: _asked(pages, visit, DEEDS[name]))),
            pages.act(
                path(f"/{name}"),
                changing(pages, lambda visit, fields: _done(pages, visit, fields, DEEDS[name])),
            ),
        ]

    return [route for name in DEEDS for route in of(name)]


async def _asked(pages: Pages, visit: Visit, deed: Deed, fault: Told | None = None) -> Response:
    where, told, tunnel = await named(visit)
    if (refusal := refused(pages, visit, told)) is not None:
        return refusal
    connector = visit.request.query_params.get("connector", "")
    connections = [each for each in tunnel["connections"] if connector in ("", each["client_id"])]
    seen: dict[str, Any] = {
        "where": where, "tunnel": tunnel, "deed": deed, "connector": connector, "now": told_of(connections),
        "faults": fault.faults if fault else [],
    }  # fmt: skip
    return pages.page("deed.html", visit, seen, fault.status if fault else 200)


async def _done(pages: Pages, visit: Visit, fields: Mapping[str, str], deed: Deed) -> Response:
    where = Where.of(visit)
    told = await deed.do(visit.api, where, fields)
    return after(deed.then(where)) if told.good else await _asked(pages, visit, deed, told)

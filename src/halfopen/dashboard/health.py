"""How the installation itself stands: who watches and what they miss, what the store takes, which edges are there."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from starlette.responses import Response
from starlette.routing import Route

from halfopen.accounts.permissions import ADMINISTRATION, RADAR
from halfopen.dashboard.calls import the_same
from halfopen.dashboard.pages import Pages
from halfopen.dashboard.visits import Visit
from halfopen.dashboard.words import age, clock, lasting, moment, percent, size
from halfopen.store.counters import COUNTERS, DECIDED

PATH: Final = "/health"

_ASKED: Final[Mapping[str, frozenset[str]]] = {
    "sensors": RADAR, "store": ADMINISTRATION, "edges": ADMINISTRATION,
}  # fmt: skip
"""What the page asks of the API, and who may."""

_SENSOR: Final[Mapping[str, tuple[str, str]]] = {
    "on_time": ("healthy", "reports"),
    "late": ("degraded", "is behind"),
    "running_twice": ("degraded", "runs twice"),
    "silent": ("down", "is silent"),
}
_EDGE: Final[Mapping[str, tuple[str, str]]] = {
    "there": ("healthy", "is there"),
    "away": ("down", "is away"),
    "revoked": ("inactive", "was revoked"),
}
"""How each state is marked, and in words."""

_DAY: Final = 86_400
_BEHIND: Final = 300
"""Seconds for which rollups may lack connections before it is told: they follow each commit within seconds."""
_SCARCE: Final = 10.0
"""Percent of a disk; less that is free is told."""


def health_routes(pages: Pages) -> list[Route]:
    """The one page."""
    return [pages.route(PATH, lambda visit: _page(pages, visit))]


async def _page(pages: Pages, visit: Visit) -> Response:
    told = dict(
        zip(_ASKED, await asyncio.gather(*(visit.api.get(f"/{name}") for name in _ASKED)), strict=True)
    )
    found = {name: each.result if each.good else None for name, each in told.items()}
    denied = {
        name: [
            f"The token that you are signed in with may not see this; one of these permissions lets it: {', '.join(sorted(opened_by))}, admin."
            if told[name].status == 403
            else " ".join(told[name].faults)
        ]
        for name, opened_by in _ASKED.items()
        if not told[name].good
    }
    sensors, edges = found["sensors"] or [], found["edges"] or []
    live = [_sensor(each) for each in sensors if each["kind"] == "live"]
    seen: dict[str, Any] = {
        "denied": denied, "sensors": live, "captures": [each for each in sensors if each["kind"] == "captures"],
        "store": found["store"], "edges": [each | dict(zip(("mark", "words"), _EDGE[each["state"]], strict=True)) for each in edges],
        "worries": [*_of_sensors(live), *_of_store(found["store"]), *_of_edges(edges)], "counters": COUNTERS,
        "calls": the_same(visit.api, [(f"/{name}", ()) for name in _ASKED if name not in denied]),
    }  # fmt: skip
    return pages.page("health.html", visit, seen)


def _sensor(told: Mapping[str, Any]) -> dict[str, Any]:
    """A sensor with what its newest incarnation comes to: drops are of the packets that it `received`."""
    newest, (mark, words) = told["incarnations"][0], _SENSOR[told["state"]]
    received = newest["counters"].get("received", 0)
    return {
        **told,
        "mark": mark,
        "words": words,
        "newest": newest,
        "dropped": 100 * newest["drops"] / received if received else None,
        "connections": sum(newest["counters"].get(name, 0) for name in (*DECIDED, "left_out")),
        "losses": [each | {"share": _lost(each)} for each in told["losses"]],
    }


def _lost(loss: Mapping[str, Any]) -> float:
    """The share (%) of packets that a stretch of time lost, or of connections, whichever is larger."""
    shares = ((loss["dropped"], loss["received"]), (loss["evicted"], loss["connections"] + loss["evicted"]))
    return max((100 * part / whole if whole else 0.0) for part, whole in shares)


def _of_sensors(sensors: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for each in sensors:
        name = each["name"]
        match each["state"]:
            case "silent":
                yield (
                    f"Sensor {name} has been silent for {age(each['last_heard'])}: what happens to its connections is not seen. "
                    "Is halfopen sense running there, and does its log say that it reaches this server?"
                )
            case "late":
                yield (
                    f"Sensor {name} is {lasting(each['lag'])} behind: it still delivers what waits in its spool, or its clock is wrong. "
                    "Shares of that time may still change."
                )
            case "running_twice":
                yield f"Sensor {name} runs twice, and what both see is counted twice. Stop one of them, or give it a --name of its own."
        if recent := [loss for loss in each["losses"] if _is_recent(loss["end"], each["last_heard"])]:
            worst = max(recent, key=lambda loss: loss["share"])
            yield (
                f"Sensor {name} lost up to {percent(worst['share'])} in the last day, around {clock(worst['start'])}: "
                "shares of that time may be off. It keeps up with a smaller sample (--sample auto makes one by itself)."
            )


def _is_recent(end: str, now: str) -> bool:
    return (moment(now) - moment(end)).total_seconds() < _DAY


def _of_store(store: Mapping[str, Any] | None) -> Iterator[str]:
    if store is None:
        return
    if (disk := store["disk"]) and 100 * disk["free"] / disk["total"] < _SCARCE:
        yield (
            f"The disk of the store has {size(disk['free'])} left of {size(disk['total'])}. Keep things for a shorter time "
            "(--keep-connections), or make room: nothing more can be taken in once it is full."
        )
    if (behind := store["rollups_behind"]) is not None and behind > _BEHIND:
        yield (
            f"Connections that came {lasting(behind)} ago are not in the charts yet: what they add up to cannot be written. "
            "The logs of server and sensors say why; halfopen doctor looks at who may write there."
        )
    if failures := store["upkeep"]["failures"]:
        yield (
            f"Upkeep of the store failed {failures} time{'' if failures == 1 else 's'} since the server began: the server's log says why. "
            "Small files add up and what is old stays until it works again."
        )


def _of_edges(edges: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for each in edges:
        if each["state"] == "away":
            yield (
                f"Edge {each['name']} has been away for {age(each['since'])}: no connector and no visitor gets through it. "
                f"Start it again, or revoke it where it is gone for good (halfopen edge revoke {each['name']})."
            )

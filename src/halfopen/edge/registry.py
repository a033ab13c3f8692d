"""The registry as an edge sees it: in the database of its own machine, or behind the API of a server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from types import NoneType
from typing import Any, Final, Protocol, TypeVar

import httpx
import msgspec

from halfopen.errors import DatabaseError, HalfopenError
from halfopen.tunnels.desk import Pushed, RoutingResult
from halfopen.tunnels.edge_routes import (
    Departures,
    Held,
    NewRegistration,
    NewsResult,
    OfTunnels,
    RegistrationResult,
    Registrations,
    Report,
    SessionResult,
    ToClose,
    TrafficReport,
)
from halfopen.tunnels.edges import Edge
from halfopen.tunnels.installation import Installation
from halfopen.tunnels.registrations import Refused, Registered, Registration
from halfopen.tunnels.sessions import Session, SessionError
from halfopen.tunnels.traffic import Passed

Answer = TypeVar("Answer")
Told = TypeVar("Told")

AWAY: Final = "Unauthorized: the registry of tunnels does not answer"
"""Why a registration is refused while the registry is away: at that word cloudflared tries again for ever."""

WAIT: Final = 30
"""Seconds for which a question for news waits for some."""

_OWN_WAIT: Final = 1.0  # s: the thread that waits is waited for when the edge ends
_THREADS: Final = 8  # more than is asked at once
_PATIENCE: Final = 5.0  # s
_OVER: Final = frozenset({400, 401, 403, 404, 409})


class AwayError(HalfopenError):
    """The registry cannot be asked just now."""


class OverError(HalfopenError):
    """This process may not speak for the edge, or no more: why, in words."""


class Registry(Protocol):
    """What an edge tells and asks. Everything raises OverError where it may not speak, AwayError where nobody answers."""

    async def begin(self) -> str:
        """Begin a session; gives what clients are told as the edge's place."""
        ...

    async def heartbeat(self, held: Collection[str]) -> list[str]:
        """Say which connections are held (ids); gives those to close."""
        ...

    async def register(self, asked: Sequence[Registration]) -> list[Registered | Refused]:
        """Ask whether connections may be, each by itself."""
        ...

    async def depart(self, ids: Collection[str], lost: bool) -> None:
        """Say that connections are gone: closed, or `lost` without a word."""
        ...

    async def report(
        self, connection: str, applied: int | None = None, configuration: dict[str, Any] | None = None
    ) -> None:
        """Hand on what a connector says of its configuration."""
        ...

    async def traffic(self, passed: Sequence[Passed], within: float) -> None:
        """Tell what has passed since the session began; what is new in it has within so many seconds."""
        ...

    async def news(self, routing: int) -> NewsResult:
        """Connections to close, or a routing that is another than the one of this number, once there is either; in
        `WAIT` seconds at the latest."""
        ...

    async def routing(self, since: int) -> RoutingResult:
        """Where hostnames lead, and the configurations to push: what has changed since the routing of this number (-1: everything),
        or everything where that is not known any more."""
        ...

    async def configurations(self, tunnels: Collection[str]) -> Mapping[str, Pushed]:
        """The configurations to push to the connectors of some tunnels, by tunnel."""
        ...


class OwnRegistry:
    """The registry in the database that this process opens itself."""

    def __init__(self, here: Installation, edge: Edge) -> None:
        self._here, self._edge = here, edge
        self._session = Session(edge.id, "")
        # Its own: what others of the process have in hand does not keep a heartbeat waiting.
        self._threads = ThreadPoolExecutor(_THREADS, "registry")

    @classmethod
    def of(cls, here: Installation, name: str) -> OwnRegistry:
        """For the edge of a name, which is enrolled where it is not."""
        return cls(here, here.edges.named(name) or here.edges.enrol(name, name))

    async def begin(self) -> str:
        """As `Registry.begin`."""
        self._session = await self._ask(self._here.registry.begin, self._edge.id)
        return self._edge.colo

    async def heartbeat(self, held: Collection[str]) -> list[str]:
        """As `Registry.heartbeat`."""
        return await self._ask(self._here.registry.heartbeat, self._session, held)

    async def register(self, asked: Sequence[Registration]) -> list[Registered | Refused]:
        """As `Registry.register`."""
        return await self._ask(self._here.registry.register, self._session, asked)

    async def depart(self, ids: Collection[str], lost: bool) -> None:
        """As `Registry.depart`."""
        await self._ask(self._here.registry.unregister, self._session, ids, lost)

    async def report(
        self, connection: str, applied: int | None = None, configuration: dict[str, Any] | None = None
    ) -> None:
        """As `Registry.report`."""
        await self._ask(self._here.desk.report, self._session, connection, applied, configuration)

    async def traffic(self, passed: Sequence[Passed], within: float) -> None:
        """As `Registry.traffic`."""
        await self._ask(self._here.traffic.report, self._session, passed, within)

    async def news(self, routing: int) -> NewsResult:
        """As `Registry.news`."""
        until = time.monotonic() + _OWN_WAIT
        found = await self._ask(self._here.registry.news, self._session, routing, until)
        return NewsResult(found.close, found.routing)

    async def routing(self, since: int) -> RoutingResult:
        """As `Registry.routing`."""
        return await self._ask(self._here.desk.routing, self._session, since)

    async def configurations(self, tunnels: Collection[str]) -> Mapping[str, Pushed]:
        """As `Registry.configurations`."""
        return await self._ask(self._here.desk.configurations, self._session, tunnels)

    async def _ask(self, do: Callable[..., Answer], *given: Any) -> Answer:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, partial(do, *given))
        except SessionError:
            revoked = await self._ask(self._here.edges.named, self._edge.name) is None
            raise OverError(
                f"edge {self._edge.name} was revoked" if revoked else _another(self._edge.name)
            ) from None
        except DatabaseError as error:
            raise AwayError(str(error)) from error


class FarRegistry:
    """The registry behind the API of a server, at a URL such as ``https://api.example``, by the key of the edge `name`."""

    def __init__(self, url: str, name: str, key: str) -> None:
        self._url, self._name = url, name
        self._base = f"{url}/client/v4/edges/{name}/sessions"
        self._client = httpx.AsyncClient(headers={"Authorization": f"Bearer {key}"}, timeout=_PATIENCE)
        self._session = ""

    async def begin(self) -> str:
        """As `Registry.begin`."""
        begun = await self._ask("POST", "", SessionResult)
        self._session = f"/{begun.session}"
        return begun.colo

    async def heartbeat(self, held: Collection[str]) -> list[str]:
        """As `Registry.heartbeat`."""
        return (await self._ask("POST", "/heartbeat", ToClose, Held(frozenset(held)))).close

    async def register(self, asked: Sequence[Registration]) -> list[Registered | Refused]:
        """As `Registry.register`."""
        told = await self._ask(
            "POST",
            "/registrations",
            list[RegistrationResult],
            Registrations(tuple(NewRegistration(**asdict(each)) for each in asked)),
        )
        if len(told) != len(asked):
            raise AwayError(f"{self._base}: {len(told)} answers to {len(asked)} registrations")
        return [
            Registered(each.connection, each.remotely_managed)
            if each.connection
            else Refused(each.cause or "")
            for each in told
        ]

    async def depart(self, ids: Collection[str], lost: bool) -> None:
        """As `Registry.depart`."""
        await self._ask("POST", "/departures", NoneType, Departures(frozenset(ids), lost))

    async def report(
        self, connection: str, applied: int | None = None, configuration: dict[str, Any] | None = None
    ) -> None:
        """As `Registry.report`."""
        await self._ask("POST", "/reports", NoneType, Report(connection, applied, configuration))

    async def traffic(self, passed: Sequence[Passed], within: float) -> None:
        """As `Registry.traffic`; a server that is older than this edge is away for it."""
        await self._ask("POST", "/traffic", NoneType, TrafficReport(tuple(passed), within))

    async def news(self, routing: int) -> NewsResult:
        """As `Registry.news`."""
        return await self._ask(
            "GET", f"/news?routing={routing}&wait={round(WAIT)}", NewsResult, within=WAIT + _PATIENCE
        )

    async def routing(self, since: int) -> RoutingResult:
        """As `Registry.routing`."""
        return await self._ask("GET", "/routing" if since < 0 else f"/routing?since={since}", RoutingResult)

    async def configurations(self, tunnels: Collection[str]) -> Mapping[str, Pushed]:
        """As `Registry.configurations`."""
        return await self._ask("POST", "/configurations", dict[str, Pushed], OfTunnels(frozenset(tunnels)))

    async def close(self) -> None:
        """Let go of what is open."""
        await self._client.aclose()

    async def _ask(
        self, method: str, path: str, told: type[Told], body: Any = None, within: float = _PATIENCE
    ) -> Told:
        content = None if body is None else msgspec.json.encode(body)
        try:
            answer = await self._client.request(
                method, f"{self._base}{self._session if path else ''}{path}", content=content, timeout=within
            )
            if answer.status_code in _OVER:
                self._refused(answer.status_code)
            if answer.status_code != 200:
                raise AwayError(f"{self._base}: {answer.status_code} {answer.text[:200]}")
            return msgspec.convert(msgspec.json.decode(answer.content)["result"], told)
        except (httpx.HTTPError, msgspec.MsgspecError, KeyError, TypeError) as error:
            raise AwayError(f"{self._base}: {error or type(error).__name__}") from None

    def _refused(self, status: int) -> None:
        """Raise where that status means that this may not be the edge."""
        if status == 409:
            raise OverError(_another(self._name))
        if not self._session:
            if status == 404:
                raise OverError(f"at {self._url} there is no server that edges report to (404)")
            raise OverError(
                f"the server at {self._url} does not know the key of edge {self._name} (HALFOPEN_EDGE_KEY): {status}"
            )
        if status in (401, 403):
            raise OverError(f"edge {self._name} was revoked, or its key")


def _another(name: str) -> str:
    return f"another process is the edge {name} now"

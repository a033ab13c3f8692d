"""The routes of edges: how one in another process, or on another host, reports what is connected to it.

An edge begins a session, sends a heartbeat every ten seconds with the ids of all it holds, and asks for news in between, which waits until there
is some. Whatever is lost on the way, a notification or an answer, the next heartbeat makes good.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from typing import Annotated, Any, Final

import msgspec

from halfopen.accounts.permissions import ADMINISTRATION, EDGE
from halfopen.api.errors import Answer, Service
from halfopen.api.parameters import Parameter
from halfopen.api.routes import NULL, Call, Route, answered
from halfopen.api.shapes import Time
from halfopen.errors import ConflictError, ForbiddenError
from halfopen.tunnels.desk import Desk, Pushed, RoutingResult
from halfopen.tunnels.edges import Edge, Edges, EdgeState, Holds
from halfopen.tunnels.registrations import (
    LONGEST_WORD,
    MOST_CONNECTIONS,
    MOST_FEATURES,
    Refused,
    Registration,
)
from halfopen.tunnels.registry import HEARTBEAT, LEASE, Registry
from halfopen.tunnels.sessions import Session, SessionError
from halfopen.tunnels.shapes import moment
from halfopen.tunnels.traffic import Passed, Traffic
from halfopen.tunnels.vault import MOST_SECRET_BYTES

LONGEST_WAIT: Final = 60
MOST: Final = 1000
"""Registrations of one request."""

_MOST_HELD: Final = 400_000
_LONGEST_BODY: Final = _MOST_HELD * 40  # a heartbeat of so many connections

_NAME: Final = Parameter(
    "edge_name", "Name of the edge, the key's own.", "an edge's name", pattern="^[0-9A-Za-z._-]{1,63}$"
)
_SESSION: Final = Parameter(
    "session_id", "The session, as it was begun.", "a session", pattern="^[0-9a-f]{32}$"
)
_WAIT: Final = Parameter(
    "wait",
    "Seconds to wait for news; default 0.",
    f"a number from 0 to {LONGEST_WAIT}",
    "integer",
    least=0,
    most=LONGEST_WAIT,
)
_ROUTING: Final = Parameter(
    "routing",
    "The number of the routing that the edge goes by; default -1.",
    "a number",
    "integer",
    least=-1,
    most=10**15 - 1,
)

_SINCE: Final = Parameter(
    "since", "Only what has changed since the routing had this number.", "a number", "integer", least=0, most=10**15 - 1,
)  # fmt: skip

_EDGE: Final = "/edges/{edge_name}/sessions"
_HERE: Final = f"{_EDGE}/{{session_id}}"


Id = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
Ids = Annotated[frozenset[Annotated[str, msgspec.Meta(max_length=36)]], msgspec.Meta(max_length=_MOST_HELD)]
Words = Annotated[str, msgspec.Meta(max_length=LONGEST_WORD, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")]


class SessionResult(msgspec.Struct, frozen=True):
    """A session that has begun; `lease` and `heartbeat` in seconds."""

    session: str
    colo: str
    lease: int
    heartbeat: int


class Held(msgspec.Struct, frozen=True):
    """The ids of connections that an edge holds."""

    connections: Ids


class ToClose(msgspec.Struct, frozen=True):
    """The ids of connections that an edge has to close."""

    close: list[str]


class Departures(msgspec.Struct, frozen=True):
    """The ids of connections that an edge holds no more: closed, or `lost` without a word."""

    connections: Ids
    lost: bool = False


class NewRegistration(msgspec.Struct, frozen=True):
    """One connection that a connector registers; `secret` is base64 of what it claims the tunnel's to be."""

    account: Annotated[str, msgspec.Meta(max_length=32)]
    tunnel: Id
    secret: Annotated[bytes, msgspec.Meta(max_length=MOST_SECRET_BYTES)]
    connector: Id
    conn_index: Annotated[int, msgspec.Meta(ge=0, lt=MOST_CONNECTIONS)]
    version: Words
    arch: Words
    features: Annotated[tuple[Words, ...], msgspec.Meta(max_length=MOST_FEATURES)]
    origin_ip: Annotated[str, msgspec.Meta(max_length=45, pattern=r"^[0-9A-Fa-f.:]+$")]

    def __post_init__(self) -> None:
        try:
            ip_address(self.origin_ip)
        except ValueError:
            raise ValueError(f"origin_ip: {self.origin_ip} is no address") from None


class Registrations(msgspec.Struct, frozen=True):
    """Connections that register."""

    registrations: Annotated[tuple[NewRegistration, ...], msgspec.Meta(max_length=MOST)]


class RegistrationResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a connector is to be told: its `connection` and whether it is configured here, or the `cause` of a refusal."""

    connection: str | None = None
    remotely_managed: bool = False
    cause: str | None = None


class Report(msgspec.Struct, frozen=True):
    """What the connector behind a connection says: the version of the configuration it uses, or its own configuration."""

    connection: Id
    applied: Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)] | None = None
    configuration: dict[str, Any] | None = None


class TrafficReport(msgspec.Struct, frozen=True):
    """What has passed since the session began, of those hostnames for which it changed, and within how many seconds it did."""

    passed: Annotated[tuple[Passed, ...], msgspec.Meta(max_length=MOST)]
    within: Annotated[float, msgspec.Meta(ge=0, le=2**53)]


class NewsResult(msgspec.Struct, frozen=True):
    """What an edge has to act on: see `registry.News`."""

    close: tuple[str, ...]
    routing: int


class OfTunnels(msgspec.Struct, frozen=True):
    """The ids of tunnels."""

    tunnels: Annotated[frozenset[Id], msgspec.Meta(max_length=MOST)]


class EdgeResult(msgspec.Struct, frozen=True):
    """An edge as `halfopen edge list` shows it: since when its `state` is that, when it was last heard of, and how many live
    connections it holds, of how many tunnels."""

    name: str
    colo: str
    state: EdgeState
    since: Time
    enrolled: Time
    last_heard: Time | None
    connections: int
    tunnels: int


class EdgeRoutes:
    """The handlers of edges, and the table of their routes."""

    def __init__(self, edges: Edges, registry: Registry, desk: Desk, traffic: Traffic) -> None:
        self._edges, self._registry, self._desk, self._traffic = edges, registry, desk, traffic

    def table(self) -> Iterator[Route]:
        """Every route of edges, and the list of them. It is for administrators: edges are the installation's, and hold connections of
        all accounts."""
        yield Route(
            "GET", "/edges", self.list, "The edges of the installation", list[EdgeResult], ADMINISTRATION,
            service=Service("Edges"), tags=("Edges",),
        )  # fmt: skip
        yield _route("POST", _EDGE, self.begin, "Begin a session", SessionResult)
        yield _route("POST", f"{_HERE}/heartbeat", self.heartbeat, "Say what is held", ToClose, Held)
        yield _route(
            "POST",
            f"{_HERE}/registrations",
            self.register,
            "Register connections",
            list[RegistrationResult],
            Registrations,
        )
        yield _route("POST", f"{_HERE}/departures", self.depart, "Say what is held no more", NULL, Departures)
        yield _route("POST", f"{_HERE}/reports", self.report, "Tell what a connector says", NULL, Report)
        yield _route("POST", f"{_HERE}/traffic", self.traffic, "Tell what has passed", NULL, TrafficReport)
        yield _route("GET", f"{_HERE}/news", self.news, "Wait for news", NewsResult, None, _ROUTING, _WAIT)
        yield _route(
            "GET", f"{_HERE}/routing", self.routing, "Where hostnames lead", RoutingResult, None, _SINCE
        )
        yield _route(
            "POST",
            f"{_HERE}/configurations",
            self.configurations,
            "The configurations of some tunnels",
            dict[str, Pushed],
            OfTunnels,
        )

    def list(self, call: Call) -> Answer:
        """Every edge, revoked ones too; not for those who may see one account only."""
        if call.principal.account is not None:
            raise ForbiddenError
        self._registry.sweep()
        holds = self._edges.holds()
        return answered([_told(each, holds.get(each.id, Holds())) for each in self._edges.all()])

    def begin(self, call: Call) -> Answer:
        """A session for an edge's new process."""
        edge = self._edge(call)
        session = self._registry.begin(edge.id)
        return answered(SessionResult(session.id, edge.colo, LEASE, HEARTBEAT))

    def heartbeat(self, call: Call) -> Answer:
        """A longer lease, for the connections to close."""
        with self._current(call):
            return answered(ToClose(self._registry.heartbeat(self._session(call), call.given.connections)))

    def register(self, call: Call) -> Answer:
        """An answer for each registration, in their order."""
        session = self._session(call)
        asked = [
            Registration(
                each.account, each.tunnel, each.secret, each.connector, each.conn_index, each.version, each.arch,
                each.features, each.origin_ip,
            )
            for each in call.given.registrations
        ]  # fmt: skip
        with self._current(call):
            told = self._registry.register(session, asked)
        return answered(
            [
                RegistrationResult(cause=each.cause)
                if isinstance(each, Refused)
                else RegistrationResult(each.connection, each.remotely_managed)
                for each in told
            ]
        )

    def depart(self, call: Call) -> Answer:
        """Forget connections, or let them be pending."""
        with self._current(call):
            self._registry.unregister(self._session(call), call.given.connections, call.given.lost)
        return answered(None)

    def report(self, call: Call) -> Answer:
        """Keep what a connector says."""
        given: Report = call.given
        with self._current(call):
            self._desk.report(self._session(call), given.connection, given.applied, given.configuration)
        return answered(None)

    def traffic(self, call: Call) -> Answer:
        """Keep what has passed to hostnames."""
        with self._current(call):
            self._traffic.report(self._session(call), call.given.passed, call.given.within)
        return answered(None)

    def news(self, call: Call) -> Answer:
        """News, at once or when there is some."""
        until = time.monotonic() + call.number("wait", 0)
        with self._current(call):
            found = self._registry.news(self._session(call), call.number("routing", -1), until)
        return answered(NewsResult(found.close, found.routing))

    def routing(self, call: Call) -> Answer:
        """What an edge routes and pushes by."""
        with self._current(call):
            return answered(self._desk.routing(self._session(call), call.number("since", -1)))

    def configurations(self, call: Call) -> Answer:
        """What to push to the connectors of some tunnels."""
        with self._current(call):
            return answered(self._desk.configurations(self._session(call), call.given.tunnels))

    def _edge(self, call: Call) -> Edge:
        name = call.path["edge_name"]
        edge = self._edges.named(name) if call.principal.edge == name else None
        if edge is None:
            raise ForbiddenError
        return edge

    @contextmanager
    def _current(self, call: Call) -> Iterator[None]:
        """Tell an edge that its session is over, or that it was revoked meanwhile."""
        try:
            yield
        except SessionError:
            self._edge(call)
            raise ConflictError(1001, "session: over; accepted is the one that was begun last") from None

    def _session(self, call: Call) -> Session:
        return Session(self._edge(call).id, call.path["session_id"])


def _told(edge: Edge, holds: Holds) -> EdgeResult:
    return EdgeResult(
        edge.name,
        edge.colo,
        edge.state,
        moment(edge.since),
        moment(edge.created),
        None if edge.heard is None else moment(edge.heard),
        holds.connections,
        holds.tunnels,
    )


def _route(
    method: str, path: str, handler: Callable[[Call], Answer], summary: str, result: Any, body: Any = None,
    *parameters: Parameter,
) -> Route:  # fmt: skip
    known = tuple(each for each in (_NAME, _SESSION) if f"{{{each.name}}}" in path)
    return Route(
        method, path, handler, summary, result, EDGE, service=Service("Edges"), parameters=parameters,
        path_parameters=known, tags=("Edges",), body=body, longest_body=_LONGEST_BODY if body is Held else None, waits=_WAIT in parameters,
    )  # fmt: skip

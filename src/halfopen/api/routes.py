"""What can be asked: one table, from which the server, its checks and the OpenAPI document are made."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from halfopen.accounts import Account, Principal
from halfopen.api.envelope import ResultInfo, success
from halfopen.api.errors import CORE, Answer, Service
from halfopen.api.parameters import Parameter, Query
from halfopen.errors import Rejected

NULL: Final[Mapping[str, Any]] = {"type": "null"}
"""The shape of a result that says nothing."""


@dataclass(frozen=True)
class Call:
    """One request as a handler sees it: who asks, for what, with which values.

    `account` is that of the path, which the principal may see. `given` is the body where the route says of which type it is. `base_url` is where the client found this
    server, as its Host header says, without a slash at the end: it may stand in the answer to this client,
    never in one that is kept for others.
    """

    principal: Principal
    path: Mapping[str, str]
    query: Query
    headers: Mapping[str, str]
    body: bytes
    request_id: str
    base_url: str
    account: Account | None = None
    given: Any = None

    def every(self, name: str) -> tuple[str, ...]:
        """The values of a repeated parameter, empty ones too."""
        return self.query.get(name, ())

    def one(self, name: str) -> str | None:
        """The value of a parameter, None where there is none or an empty one."""
        return next(iter(self.every(name)), "") or None

    def number(self, name: str, default: int) -> int:
        """The value of a parameter declared as an integer."""
        return int(self.one(name) or default)


def answered(result: Any, info: ResultInfo | None = None) -> Answer:
    """The answer with this result."""
    return Answer(success(result, info))


def page(call: Call, found: Sequence[Any], per_page: int) -> Answer:
    """The page of a list that was asked for (`page`, `per_page`); one past the end is empty, which ends the paging."""
    number, size = call.number("page", 1), call.number("per_page", per_page)
    shown = found[(number - 1) * size : number * size]
    return answered(shown, ResultInfo(len(shown), number, size, len(found)))


def _nothing(_: Call) -> Sequence[Rejected]:
    return ()


@dataclass(frozen=True)
class Route:
    """One thing that can be asked.

    `path` is a template below /client/v4, such as ``/accounts/{account_id}``; what stands in braces must match the
    pattern of its Parameter in `path_parameters`, or there is no such route (A17). `opened_by` are the permissions
    any of which opens it; empty, every principal may ask. `parameters` are checked before the handler runs, and `check`
    adds what they cannot say one by one: all of it goes into one answer (A11). `handler` runs in a thread. `result` is a
    shape of `api.shapes`; `body` is the type of a JSON body, where one is read. `longest_body` (bytes) overrides the server's limit.
    `verifies` marks the question whether a token is good, `waits` an answer that may take seconds of doing nothing.
    """

    method: str
    path: str
    handler: Callable[[Call], Answer]
    summary: str
    result: Any
    opened_by: frozenset[str]
    service: Service = CORE
    parameters: tuple[Parameter, ...] = ()
    path_parameters: tuple[Parameter, ...] = ()
    check: Callable[[Call], Sequence[Rejected]] = _nothing
    tags: tuple[str, ...] = ()
    description: str = ""
    paged: bool = False
    content_types: tuple[str, ...] = ("application/json",)
    body: Any = None
    longest_body: int | None = None
    verifies: bool = False
    waits: bool = False
    shape: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        patterns = {each.name: each.pattern for each in self.path_parameters}
        parts = re.split(r"\{(\w+)\}", self.path)
        shape = "".join(
            f"(?P<{part}>{_inner(patterns[part])})" if index % 2 else re.escape(part)
            for index, part in enumerate(parts)
        )
        object.__setattr__(self, "shape", re.compile(shape))


@dataclass(frozen=True)
class Match:
    """What a path leads to: a route with what its path holds; or none, but methods that it has."""

    route: Route | None
    path: Mapping[str, str]
    methods: tuple[str, ...]


class Table:
    """Routes by path and method. A path without braces goes before one with."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self.routes = tuple(sorted(routes, key=lambda route: "{" in route.path))
        known = [(route.method, route.path) for route in self.routes]
        if len(set(known)) != len(known):
            raise ValueError("two routes with the same method and path")
        self._by_depth: dict[int, list[Route]] = {}
        for route in self.routes:
            self._by_depth.setdefault(route.path.count("/"), []).append(route)

    def match(self, method: str, path: str) -> Match:
        """The route of a method and a path; a HEAD is answered as a GET without its body."""
        wanted = "GET" if method == "HEAD" else method
        methods: list[str] = []
        for route in self._by_depth.get(path.count("/"), ()):
            if (found := route.shape.fullmatch(path)) is not None:
                if route.method == wanted:
                    return Match(route, found.groupdict(), (route.method,))
                methods += ("GET", "HEAD") if route.method == "GET" else (route.method,)
        return Match(None, {}, tuple(dict.fromkeys(methods)))


def _inner(pattern: str) -> str:
    return f"(?:{pattern.removeprefix('^').removesuffix('$')})" if pattern else "[^/]+"

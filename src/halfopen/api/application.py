"""From a table of routes to an application: every request passes the same doors in the same order.

1. sizes of target and headers: 414, 431. 2. rate of the address: 429. 3. credentials: 400, 401, 403.
4. rate of the principal: 429. 5. path: 404. 6. method: 405. 7. permission and account: 403. 8. the body:
its size 413, its time 408; long ones of a principal wait for each other. 9. parameters: 400. 10. the handler.

Credentials come before the path, so that who has none learns nothing about what there is. Cloudflare's own
order is not known; of what section 0 of the wire says, all stays true.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, cast
from weakref import WeakValueDictionary

import msgspec
from anyio import CancelScope, CapacityLimiter, Lock, current_time, to_thread
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount
from starlette.types import Lifespan, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from halfopen.accounts import Principal
from halfopen.api.access import FAULTS, AccessLog, Observer, seen
from halfopen.api.authentication import Verifier, authenticated, credentials
from halfopen.api.envelope import CONTENT_TYPE, failure
from halfopen.api.errors import CORE, Answer, Service, answer_to
from halfopen.api.health import health
from halfopen.api.limits import Buckets, Limits, neighbourhood
from halfopen.api.parameters import read_query, rejected
from halfopen.api.proxies import Network, TrustedProxies
from halfopen.api.routes import Call, Match, Route, Table
from halfopen.api.verifying import Verifying
from halfopen.errors import (
    CredentialsError,
    DatabaseError,
    FailureError,
    ForbiddenError,
    InvalidError,
    KeyFileError,
    MethodError,
    RateError,
    Rejected,
    RequestError,
    RouteError,
    SizeError,
    SlowError,
    TokenError,
    UnavailableError,
)

PREFIX: Final = "/client/v4"
"""Where the API lies; the end of the base URL that clients are given."""

SIGNED_IN: Final = "halfopen.principal"
"""Key of a scope that this process makes for itself: the principal who asks, known already."""

_WAITERS: Final = 256  # threads for answers that wait
_NUL: Final = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")  # PostgreSQL keeps no such text; bare it is no JSON
_POLLS: Final = 1024  # and for those to edges, which wait most of the time
_POLLS_OF_ONE: Final = 4  # one, and those it gave up before the server noticed
_HEADERS: Final = {"cache-control": "no-store", "x-content-type-options": "nosniff"}

Outside = Callable[[int], Response]
"""Makes the page of a status, 404 or 405."""


def application(
    routes: Sequence[Route],
    verifier: Verifier,
    limits: Limits | None = None,
    missing: Callable[[], Sequence[str]] = tuple,
    beside: Callable[[Api], Sequence[BaseRoute]] = lambda _: (),
    outside: Outside | None = None,
    observe: Observer | None = None,
    lifespan: Lifespan[Starlette] | None = None,
    proxies: Sequence[Network] = (),
) -> Starlette:
    """The application of a table of routes.

    `missing` names what the server still waits for beside its accounts, nothing where it is ready (/readyz). `beside` makes Starlette's own routes
    outside of the API: pages, which may ask it, and metrics. `outside` makes the page that browsers get for what is not there, in the place of an envelope. `observe` is told of each request that is over; `lifespan` is entered before the first
    request and left after the last. `proxies` are the networks of reverse proxies that are believed.
    """
    limits = limits or Limits()
    api = Api(routes, Verifying(verifier, limits.patience), limits)
    told = partial(_outside, outside)
    app = Starlette(
        routes=[*health(missing, api.verifying.answers), *beside(api), Mount(PREFIX, app=api)],
        middleware=[Middleware(TrustedProxies, trusted=proxies), Middleware(AccessLog, observe=observe)],
        exception_handlers={404: told, 405: told, DatabaseError: _away, RateError: _throttled},
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    return app


@dataclass
class _Progress:
    """How far a request has come: whom its errors are told by, and what it adds to the headers."""

    service: Service
    headers: dict[str, str]


class Api:
    """The API below its prefix, as an ASGI application."""

    def __init__(self, routes: Sequence[Route], verifying: Verifying, limits: Limits) -> None:
        self._table = Table(routes)
        self.verifying = verifying
        self._limits = limits
        self._addresses = Buckets(limits.address, "address")
        self._principals = Buckets(limits.principal, "default")
        self._pages = Buckets(limits.pages, "pages")
        self._edges = Buckets(limits.edge, "edge")
        self._waiters = CapacityLimiter(_WAITERS)
        self._polls = CapacityLimiter(_POLLS)
        self._polling: Counter[str] = Counter()
        self._turns: WeakValueDictionary[str, Lock] = WeakValueDictionary()

    def admit(self, request: Request) -> None:
        """Let a page look up who visits it, as often as an address may ask; what it asks then as somebody does not count again.

        RateError where that is too often.
        """
        standing = self._addresses.take(_whence(request))
        if not standing.granted:
            raise RateError(standing.retry_after)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await WebSocketClose()(scope, receive, send)
            return
        request = Request(scope, receive)
        path = scope["path"].removeprefix(PREFIX)
        match = self._table.match(request.method, path)
        seen(scope).route = match.route.path if match.route else None
        progress = _Progress(CORE, {})
        try:
            answer = await self._answer(request, path, match, progress)
        except ClientDisconnect:
            return
        except RequestError as error:
            answer = answer_to(error, progress.service)
            if isinstance(error, TokenError | CredentialsError):
                seen(scope).refused = error.reason
        except DatabaseError as error:
            answer = answer_to(_unavailable(scope, error), progress.service)
        except Exception:
            FAULTS.exception("request %s", seen(scope).request_id)
            answer = answer_to(FailureError(seen(scope).request_id), progress.service)
        await _response(request, answer, progress.headers)(scope, receive, send)

    async def _answer(self, request: Request, path: str, match: Match, progress: _Progress) -> Answer:
        self._check_sizes(request)
        if SIGNED_IN not in request.scope:
            self._take(self._addresses, _whence(request), progress)
        principal = await self._principal(request, match)
        seen(request.scope).who = str(principal)
        route = match.route
        if route is not None:
            progress.service = route.service  # not before: its way of telling errors would give it away
        self._take(self._of(request, principal), str(principal), progress)
        if route is None:
            raise MethodError(match.methods) if match.methods else RouteError(path)
        if not principal.may(route.opened_by):
            raise ForbiddenError
        account = None
        if (named := match.path.get("account_id")) is not None:
            account = await self.verifying.ask(lambda verifier: verifier.account(principal, named))
            if account is None:
                raise ForbiddenError
        query = read_query(request.scope["query_string"], self._limits.fields)
        most = self._limits.body if route.longest_body is None else route.longest_body
        async with self._turn(route, principal):
            call = Call(
                principal=principal,
                path=match.path,
                query=query,
                headers=request.headers,
                body=await _body(request, self._limits, most),
                request_id=seen(request.scope).request_id,
                base_url=str(request.base_url.replace(path="")).rstrip("/"),
                account=account,
            )
            if not route.waits:
                return await to_thread.run_sync(_checked, route, call)
            if principal.edge is None:
                return await to_thread.run_sync(_checked, route, call, limiter=self._waiters)
            with self._poll(principal.edge, progress):
                return await to_thread.run_sync(_checked, route, call, limiter=self._polls)

    def _of(self, request: Request, principal: Principal) -> Buckets:
        if SIGNED_IN in request.scope:
            return self._pages
        return self._principals if principal.edge is None else self._edges

    async def _principal(self, request: Request, match: Match) -> Principal:
        if (known := request.scope.get(SIGNED_IN)) is not None:
            return cast(Principal, known)
        given = credentials(request.scope["headers"])
        verifying = match.route is not None and match.route.verifies
        return await self.verifying.ask(lambda verifier: authenticated(given, verifier, verifying))

    @asynccontextmanager
    async def _turn(self, route: Route, principal: Principal) -> AsyncIterator[None]:
        """Long bodies come one at a time from each principal: a thousand at once would take all memory."""
        if route.longest_body is None:
            yield
        else:
            async with self._turns.setdefault(str(principal), Lock()):
                yield

    @contextmanager
    def _poll(self, edge: str, progress: _Progress) -> Iterator[None]:
        """A place for an answer to an edge that waits; each has a few, so that one cannot keep the others out."""
        if self._polling[edge] >= _POLLS_OF_ONE:
            raise RateError(1, progress.service.throttled)
        self._polling[edge] += 1
        try:
            yield
        finally:
            self._polling[edge] -= 1
            self._polling += Counter()  # without those that have none

    def _check_sizes(self, request: Request) -> None:
        scope = request.scope
        if len(scope.get("raw_path") or scope["path"]) + len(scope["query_string"]) > self._limits.target:
            raise SizeError(414, "URL", self._limits.target)
        if sum(len(name) + len(value) for name, value in scope["headers"]) > self._limits.headers:
            raise SizeError(431, "headers", self._limits.headers)

    def _take(self, buckets: Buckets, who: str, progress: _Progress) -> None:
        standing = buckets.take(who)
        progress.headers.update(buckets.headers(standing))
        if not standing.granted:
            raise RateError(standing.retry_after, progress.service.throttled)


def _whence(request: Request) -> str:
    return neighbourhood(request.client.host if request.client else "")


def _checked(route: Route, call: Call) -> Answer:
    """The handler's answer, once nothing is wrong with the parameters; else everything that is."""
    found = rejected(route.parameters, call.query)
    if route.body is not None:
        if _NUL.search(call.body):
            found.append(_in_body("a text with NUL (U+0000), accepted is none"))
            raise InvalidError(found, route.service.rejected)
        try:
            call = replace(call, given=msgspec.json.decode(call.body or b"{}", type=route.body))
        except (msgspec.DecodeError, RecursionError) as error:
            deep = isinstance(error, RecursionError)
            found.append(_in_body("nested too deep" if deep else str(error)))
            raise InvalidError(found, route.service.rejected) from None
    scalar = {each.name for each in route.parameters if not each.repeated}

    def about(fault: Rejected) -> tuple[str, str]:
        return fault.name, "" if fault.name in scalar else fault.value

    known = set(map(about, found))
    found += [each for each in route.check(call) if about(each) not in known]
    if found:
        raise InvalidError(found, route.service.rejected)
    return route.handler(call)


def _in_body(words: str) -> Rejected:
    return Rejected("body", "", words=words)


async def _body(request: Request, limits: Limits, most: int) -> bytes:
    """The body of a request, read no further and no longer than it may be. None is looked for in a GET."""
    if request.method in ("GET", "HEAD"):
        return b""
    said = request.headers.get("content-length", "0")
    if not (said.isascii() and said.isdigit()) or len(said) > 18 or int(said) > most:
        raise SizeError(413, "body", most)
    whole = bytearray()  # not a list of parts: each may be a single byte
    latest = current_time() + limits.body_grace
    with CancelScope(deadline=latest) as scope:
        async for part in request.stream():
            whole += part
            if len(whole) > most:
                raise SizeError(413, "body", most)
            scope.deadline = latest + len(whole) / limits.body_pace
    if scope.cancelled_caught:
        raise SlowError(limits.body_grace, limits.body_pace)
    return bytes(whole)


def _response(request: Request, answer: Answer, more: Mapping[str, str]) -> Response:
    headers = {**_HEADERS, **more, **answer.headers, "content-type": answer.content_type}
    response = Response(answer.body, answer.status, headers)
    if request.method == "HEAD":
        response.body = b""  # the length stays that of the body a GET would get
    return response


def _unavailable(scope: Scope, error: DatabaseError) -> UnavailableError:
    FAULTS.error("request %s: %s", seen(scope).request_id, error)
    key = isinstance(error, KeyFileError)
    return UnavailableError("the key of tunnels' secrets" if key else "the database of accounts")


async def _outside(page: Outside | None, request: Request, error: Exception) -> Response:
    """What is not there, outside of the API: told in the same envelope, or by a page to who looks for one."""
    allowed = (getattr(error, "headers", None) or {}).get("Allow", "")
    fault: RequestError = MethodError(allowed.split(", ")) if allowed else RouteError(request.url.path)
    if page is not None and "text/html" in request.headers.get("accept", ""):
        answer = page(fault.status)
    else:
        answer = Response(failure(fault.faults), fault.status, {**_HEADERS, "content-type": CONTENT_TYPE})
    if allowed:
        answer.headers["allow"] = allowed
    return answer


async def _throttled(request: Request, error: Exception) -> Response:
    """A page outside of the API is asked for too often."""
    return _response(request, answer_to(cast(RateError, error), CORE), {})


async def _away(request: Request, error: Exception) -> Response:
    """The database that a page outside of the API needs does not answer."""
    fault = _unavailable(request.scope, cast(DatabaseError, error))
    return Response(failure(fault.faults), fault.status, {**_HEADERS, "content-type": CONTENT_TYPE})

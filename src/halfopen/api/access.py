"""The outermost layer: an id for each request, one line of log, and no traceback for anybody outside."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import perf_counter
from typing import Any, Final
from uuid import uuid4

import msgspec
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from halfopen.api.envelope import CONTENT_TYPE, failure
from halfopen.errors import FailureError

ACCESS: Final = logging.getLogger("halfopen.access")
"""One JSON object per request, at level INFO."""

FAULTS: Final = logging.getLogger("halfopen.faults")
"""Faults of ours, with their traceback and the id of the request."""

_encode = msgspec.json.Encoder().encode
_STATE: Final = "halfopen.request"


@dataclass
class Seen:
    """What is known of a request while it runs, for the log."""

    request_id: str = field(default_factory=lambda: uuid4().hex)
    who: str | None = None
    refused: str | None = None
    route: str | None = None  # its template in the table of routes
    status: int = 0
    sent: int = 0


def seen(scope: Scope) -> Seen:
    """What is known of the request of a scope."""
    known: Seen = scope.setdefault(_STATE, Seen())
    return known


Observer = Callable[[Seen, float], None]
"""Told of every request once it is over, and of the seconds it took."""


class AccessLog:
    """ASGI middleware: around everything a server answers."""

    def __init__(self, app: ASGIApp, observe: Observer | None = None) -> None:
        self._app, self._observe = app, observe

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request and log it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request, begun = seen(scope), perf_counter()

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                request.status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", request.request_id.encode())]
            elif message["type"] == "http.response.body":
                request.sent += len(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except Exception:
            FAULTS.exception("request %s", request.request_id)
            if request.status:
                raise  # too late for another answer: the connection is to break
            await _fail(request, sending)
        finally:
            seconds = perf_counter() - begun
            ACCESS.info("%s", _line(scope, request, seconds))
            if self._observe is not None:
                self._observe(request, seconds)


async def _fail(request: Seen, send: Send) -> None:
    error = FailureError(request.request_id)
    body = failure(error.faults)
    headers = [(b"content-type", CONTENT_TYPE.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _line(scope: Scope, request: Seen, seconds: float) -> str:
    client = scope.get("client")
    agent = next((value for name, value in scope["headers"] if name == b"user-agent"), b"")
    line: dict[str, Any] = {
        "time": datetime.now(UTC),
        "request_id": request.request_id,
        "address": client[0] if client else None,
        "who": request.who,
        "method": scope["method"],
        "path": scope["path"][:500],
        "status": request.status,
        "refused": request.refused,
        "bytes": request.sent,
        "ms": round(seconds * 1000, 3),
        "agent": agent.decode("latin-1")[:200],
    }
    return _encode({name: value for name, value in line.items() if value is not None}).decode()

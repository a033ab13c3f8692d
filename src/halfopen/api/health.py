"""Whether the server lives, and whether it can answer: outside of the API, for whoever watches it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


def health(missing: Callable[[], Sequence[str]], accounts: Callable[[], Awaitable[bool]]) -> list[Route]:
    """/healthz: 200 while the process answers. /readyz: 200, or 503 with what is `missing`, and whether `accounts` are."""

    async def healthz(_: Request) -> Response:
        return _answer(200, {"status": "ok"})

    async def readyz(_: Request) -> Response:
        lacking = [*await run_in_threadpool(missing), *(() if await accounts() else ("accounts",))]
        return (
            _answer(503, {"status": "waiting", "missing": lacking})
            if lacking
            else _answer(200, {"status": "ok"})
        )

    return [Route("/healthz", healthz), Route("/readyz", readyz)]


def _answer(status: int, said: object) -> Response:
    return Response(msgspec.json.encode(said), status, media_type="application/json")

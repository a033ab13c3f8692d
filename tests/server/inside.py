"""The whole application in this process, as a transport of httpx."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import httpx
import pytest
from cloudflare import Cloudflare
from starlette.applications import Starlette

from halfopen.accounts import Accounts
from halfopen.server import DATA, GRACE, KEEP_CONNECTIONS, KEEP_ROLLUPS, STORE
from halfopen.server.app import create


class _InProcess(httpx.BaseTransport):
    """Answers each request from an application in this process."""

    def __init__(self, app: Starlette) -> None:
        self._inside = httpx.ASGITransport(app)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        async def ask() -> httpx.Response:
            answer = await self._inside.handle_async_request(request)
            return httpx.Response(answer.status_code, headers=answer.headers, content=await answer.aread())

        return anyio.run(ask)


@contextmanager
def serving(data: Path, environment: pytest.MonkeyPatch) -> Iterator[httpx.Client]:
    """A client of the application over a data directory, with a token that reads."""
    accounts = Accounts.open(data)
    token, _ = accounts.create_token(["radar:read"])
    accounts.close()
    environment.setenv(DATA, str(data))
    environment.setenv(STORE, str(data / "store"))
    environment.setenv(GRACE, "180")
    environment.setenv(KEEP_CONNECTIONS, str(30 * 86400))
    environment.setenv(KEEP_ROLLUPS, str(400 * 86400))
    with httpx.Client(
        transport=_InProcess(create()),
        base_url="http://testserver",
        headers={"Authorization": f"Bearer {token}"},
    ) as found:
        yield found


def sdk(client: httpx.Client) -> Cloudflare:
    """The official SDK, strict, through the same transport."""
    return Cloudflare(
        base_url="http://testserver/client/v4", http_client=client, _strict_response_validation=True,
        api_token=client.headers["Authorization"].removeprefix("Bearer "), max_retries=0,
    )  # fmt: skip

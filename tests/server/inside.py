"""The application of an installation in this process, for tests that need no server of its own."""

from __future__ import annotations

from pathlib import Path

import anyio
import httpx
import pytest
from starlette.applications import Starlette

from halfopen.server import DATA, KEEP_CONNECTIONS, KEEP_ROLLUPS, STORE
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


def inside(data: Path, monkeypatch: pytest.MonkeyPatch) -> httpx.Client:
    """A client of the installation in a data directory, without credentials."""
    monkeypatch.setenv(DATA, str(data))
    monkeypatch.setenv(STORE, str(data / "store"))
    monkeypatch.setenv(KEEP_CONNECTIONS, str(30 * 86400))
    monkeypatch.setenv(KEEP_ROLLUPS, str(400 * 86400))
    return httpx.Client(transport=_InProcess(create()), base_url="http://testserver")

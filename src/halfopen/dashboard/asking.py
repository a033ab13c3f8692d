"""Questions to the API of this process, asked as whoever is signed in: the pages have no other way to the data."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias
from urllib.parse import quote, urlencode

import msgspec
from starlette.requests import Request
from starlette.types import ASGIApp, Message

from halfopen.accounts import Principal
from halfopen.api.application import PREFIX, SIGNED_IN

Query: TypeAlias = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Told:
    """What the API answered."""

    status: int
    body: bytes
    content_type: str = "application/json"

    @property
    def good(self) -> bool:
        """Whether it answered what was asked."""
        return 200 <= self.status < 300

    @cached_property
    def _content(self) -> Any:
        return msgspec.json.decode(self.body)

    @property
    def result(self) -> Any:
        """The `result` of a good answer."""
        return self._content["result"]

    @property
    def total(self) -> int:
        """How many there are of what a page of a list was asked for."""
        return int(self._content["result_info"]["total_count"])

    @property
    def faults(self) -> list[str]:
        """In words, what the API says is wrong."""
        return [] if self.good else [each["message"] for each in self._content["errors"]]


class Asking:
    """The API, asked on behalf of one visit."""

    def __init__(self, api: ASGIApp, request: Request, principal: Principal) -> None:
        self._api, self._request, self._principal = api, request, principal

    def url(self, path: str, query: Query = ()) -> str:
        """Where anybody else would ask the same."""
        asked = f"?{urlencode(query, quote_via=quote)}" if query else ""
        return f"{str(self._request.base_url).rstrip('/')}{PREFIX}{path}{asked}"

    async def get(self, path: str, query: Query = ()) -> Told:
        """The answer to a GET of a path below the API's prefix."""
        return await self.send("GET", path, query)

    async def send(self, method: str, path: str, query: Query = (), body: Any = None) -> Told:
        """The answer to a request, whose body is JSON."""
        content = b"" if body is None else msgspec.json.encode(body)
        headers = [
            (name, value)
            for name, value in self._request.scope["headers"]
            if name in (b"host", b"user-agent")
        ]
        scope = {
            **{
                name: self._request.scope.get(name) for name in ("client", "server", "scheme", "http_version")
            },
            "type": "http",
            "asgi": {"version": "3.0"},
            "method": method,
            "path": f"{PREFIX}{path}",
            "raw_path": f"{PREFIX}{path}".encode(),
            "root_path": "",
            "query_string": urlencode(query, quote_via=quote).encode(),
            "headers": [*headers, (b"content-length", str(len(content)).encode())],
            SIGNED_IN: self._principal,
        }
        sent = [{"type": "http.request", "body": content, "more_body": False}]
        status, kind, parts = 0, "", []

        async def receive() -> Message:
            if sent:
                return sent.pop()
            await asyncio.Event().wait()  # this client never leaves
            raise AssertionError

        async def send(message: Message) -> None:
            nonlocal status, kind
            if message["type"] == "http.response.start":
                status = message["status"]
                kind = next((v.decode() for n, v in message["headers"] if n.lower() == b"content-type"), "")
            else:
                parts.append(message.get("body", b""))

        await self._api(scope, receive, send)
        return Told(status, b"".join(parts), kind)

"""Scripts and styles, served under names that change with what is in them, so that browsers keep them."""

from __future__ import annotations

import gzip
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from functools import cache, partial
from hashlib import sha256
from importlib.resources import files
from typing import Final

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

_TYPES: Final = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
_HEADERS: Final = {
    "vary": "accept-encoding",
    "cache-control": "public, max-age=31536000, immutable",
    "x-content-type-options": "nosniff",
}


class Assets:
    """What lies in `static/`, and what is `made` the first time that it is asked for, under the name of a version of its own."""

    def __init__(self, made: Mapping[str, tuple[str, Callable[[], bytes]]]) -> None:
        self._paths: dict[str, str] = {}
        self._read: dict[str, Callable[[], bytes]] = {}
        for each in files("halfopen.dashboard").joinpath("static").iterdir():
            content = each.read_bytes()
            self._add(
                each.name, urlsafe_b64encode(sha256(content).digest())[:12].decode(), partial(bytes, content)
            )
        for name, (version, make) in made.items():
            self._add(name, version, make)

    def _add(self, name: str, version: str, read: Callable[[], bytes]) -> None:
        stem, _, kind = name.rpartition(".")
        file = f"{stem}-{version}.{kind}"
        self._paths[name] = f"/static/{file}"
        self._read[file] = cache(lambda: gzip.compress(read()))

    def path(self, name: str) -> str:
        """Where a browser finds an asset."""
        return self._paths[name]

    def route(self) -> Route:
        """Where they are served."""
        return Route("/static/{file}", self._serve, methods=["GET"])

    async def _serve(self, request: Request) -> Response:
        file = request.path_params["file"]
        if (read := self._read.get(file)) is None:
            return Response("there is no such file", 404, media_type="text/plain")
        content = await to_thread.run_sync(read)
        headers = {**_HEADERS, "content-encoding": "gzip"}
        if "gzip" not in request.headers.get("accept-encoding", ""):
            content, headers = gzip.decompress(content), dict(_HEADERS)
        return Response(content, headers=headers, media_type=_TYPES[file.rpartition(".")[2]])

"""The origin behind the connector: what it does by the path it is asked for, over HTTP/1.1 for cloudflared, and as an origin of our connector.

Its addresses are those of a loopback that nobody else uses; at one of them nobody listens.
"""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from enum import Enum, auto
from http import HTTPStatus
from typing import Final

from halfopen.testing.connectors.connection import Exchange
from halfopen.tunnelwire.exchange import Answered, Kind, Refused
from halfopen.tunnelwire.headers import Header
from tests.tunnelwire.recording.turns import Saw

HOST: Final = "127.83.0.1"
HTTP_PORT: Final = 8001
ECHO_PORT: Final = 8002
NOBODY_PORT: Final = 8003
ECHO: Final = f"{HOST}:{ECHO_PORT}".encode()
NOBODY: Final = f"{HOST}:{NOBODY_PORT}".encode()

LONG: Final = 9_000
"""Bytes of the longest answer."""


class Does(Enum):
    """What an origin does beside answering."""

    READ = auto()  # all of the request
    PAUSE = auto()  # for long enough that what was sent is seen by itself
    ECHO = auto()  # whatever comes, until it ends
    WAIT = auto()  # until nobody wants the answer any more
    BREAK = auto()  # off
    END = auto()


@dataclass(frozen=True)
class Trailers:
    """The end of an answer, with trailers."""

    headers: tuple[Header, ...]


Act = Does | Answered | Trailers | bytes

_TEXT: Final[Header] = (b"Content-Type", b"text/plain")
_COOKIES: Final[tuple[Header, ...]] = ((b"Set-Cookie", b"a=1"), (b"Set-Cookie", b"b=2; Path=/"))
_CHALLENGE: Final = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # RFC 6455, 1.3
_SWITCH: Final[tuple[Header, ...]] = (
    (b"Upgrade", b"websocket"),
    (b"Connection", b"Upgrade"),
    (b"Sec-Websocket-Accept", _CHALLENGE),
)

ACTS: Final[dict[bytes, tuple[Act, ...]]] = {
    b"/": (Does.READ, Answered(200, (_TEXT, (b"Content-Length", b"5"), (b"x-origin", b"here"), *_COOKIES)), b"hello", Does.END),
    b"/untyped": (Answered(200, ((b"Content-Length", b"14"),)), b"<html></html>\n", Does.END),
    b"/missing": (Answered(404, (_TEXT, (b"Content-Length", b"4"))), b"none", Does.END),
    b"/nothing": (Answered(204), Does.END),
    b"/moved": (Answered(302, ((b"Location", b"/"), (b"Content-Length", b"0"))), Does.END),
    b"/long": (Answered(200, (_TEXT,)), bytes(LONG), Does.END),
    b"/pieces": (Answered(200, (_TEXT,)), b"one,", Does.PAUSE, b"two", Does.END),
    b"/events": (Answered(200, ((b"Content-Type", b"text/event-stream"),)), b"data: 0\n\n", Does.PAUSE, b"data: 1\n\n", Does.END),
    b"/trailers": (Answered(200, (_TEXT, (b"Trailer", b"X-Checksum"))), b"body", Trailers(((b"X-Checksum", b"4"),))),
    b"/upgrade": (Answered(101, _SWITCH), Does.ECHO, Does.END),
    b"/no-upgrade": (Answered(403, (_TEXT, (b"Content-Length", b"2"))), b"no", Does.END),
    b"/early": (Answered(200, (_TEXT, (b"Content-Length", b"5"))), b"quick", Does.END),
    b"/waits": (Answered(200, (_TEXT,)), b"first", Does.WAIT),
    b"/breaks": (Answered(200, (_TEXT,)), b"some", Does.PAUSE, Does.BREAK),
    b"/breaks-soon": (Answered(200, (_TEXT, (b"Content-Length", b"100"))), b"some", Does.BREAK),
    b"/breaks-at-once": (Does.BREAK,),
}  # fmt: skip

_PAUSE: Final = 0.05  # s


# --- over HTTP/1.1


@asynccontextmanager
async def serving(saw: Callable[[Saw], None]) -> AsyncIterator[None]:
    """The origin, listening; it tells what it saw."""

    async def http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while await _exchange(reader, writer, saw):
                pass
        writer.close()

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            await _echo(reader, writer)
        writer.close()

    servers = [
        await asyncio.start_server(http, HOST, HTTP_PORT),
        await asyncio.start_server(echo, HOST, ECHO_PORT),
    ]
    try:
        yield
    finally:
        for server in servers:
            server.close()


async def _exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, saw: Callable[[Saw], None]
) -> bool:
    """One request and its answer; gives whether another may follow."""
    line, *fields = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[:-2]
    headers = [field.split(": ", 1) for field in fields]
    path = line.split()[1].partition("?")[0].encode()
    body: bytes | None = None
    chunked = False
    try:
        for act in ACTS[path]:
            match act:
                case Does.READ:
                    body = await _body(reader, Saw(line, headers))
                case Answered(status=status, headers=answered):
                    told = list(answered)
                    chunked = status == 200 and all(name != b"Content-Length" for name, _ in told)
                    if chunked:
                        told.append((b"Transfer-Encoding", b"chunked"))
                    writer.write(b"HTTP/1.1 %d %b\r\n" % (status, HTTPStatus(status).phrase.encode()))
                    writer.write(b"".join(b"%b: %b\r\n" % header for header in told) + b"\r\n")
                case bytes():
                    if not line.startswith("HEAD"):
                        writer.write(b"%x\r\n%b\r\n" % (len(act), act) if chunked else act)
                        await writer.drain()
                case Trailers(headers=trailers):
                    writer.write(b"0\r\n" + b"".join(b"%b: %b\r\n" % each for each in trailers) + b"\r\n")
                case Does.END if chunked and not line.startswith("HEAD"):
                    writer.write(b"0\r\n\r\n")
                case Does.PAUSE:
                    await asyncio.sleep(_PAUSE)
                case Does.ECHO:
                    await _echo(reader, writer)
                case Does.WAIT:
                    await reader.read(1)
                case Does.BREAK:
                    return False
        return b"upgrade" not in path and b"early" not in path
    finally:
        saw(Saw(line, headers, b64encode(body or b"").decode()))


async def _body(reader: asyncio.StreamReader, request: Saw) -> bytes:
    if request.header("transfer-encoding") != "chunked":
        return await reader.readexactly(int(request.header("content-length") or 0))
    body = b""
    while size := int(await reader.readline(), 16):
        body += await reader.readexactly(size)
        await reader.readline()
    await reader.readline()
    return body


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(1 << 16):
        writer.write(piece)
        await writer.drain()


# --- as an origin of our connector


async def ours(exchange: Exchange, saw: Callable[[Saw], None]) -> None:
    """The same, but that nobody stands between it and the connector."""
    request = exchange.request
    if request.kind is Kind.TCP:
        if request.host != ECHO:
            exchange.answer(Refused("nobody is there"))
            return
        exchange.answer(Answered(200))
        async for piece in exchange.body():
            await exchange.send(piece)
        exchange.end()
        return
    if request.host == b"gone.example":
        exchange.answer(Refused("nobody is there"))
        return
    body = b""
    begun = False
    for act in ACTS[request.path.partition(b"?")[0]]:
        match act:
            case Does.READ:
                body = b"".join([piece async for piece in exchange.body()])
            case Answered():
                begun = True
                kept = tuple(each for each in act.headers if each[0] != b"Trailer")
                exchange.answer(replace(act, headers=kept))
            case bytes() if request.method != b"HEAD":
                await exchange.send(act)
            case Trailers(headers=trailers):
                exchange.end(trailers)
            case Does.END:
                exchange.end()
            case Does.PAUSE:
                await asyncio.sleep(_PAUSE)
            case Does.ECHO:
                async for piece in exchange.body():
                    await exchange.send(piece)
            case Does.WAIT:
                await exchange.broken.wait()
            case Does.BREAK if begun:
                exchange.give_up()
            case Does.BREAK:
                exchange.answer(Refused("the origin broke off"))
    line = f"{request.method.decode()} {request.path.decode()} HTTP/1.1"
    host = ["Host", request.host.decode()]
    headers = [host, *([name.decode(), value.decode()] for name, value in request.headers)]
    saw(Saw(line, headers, b64encode(body).decode()))

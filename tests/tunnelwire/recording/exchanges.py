"""Scenarios of requests and their answers."""

from __future__ import annotations

from typing import Final

from halfopen.tunnelwire.exchange import Kind, Request
from halfopen.tunnelwire.quic.connect import ConnectRequest, Metadata, write_request
from halfopen.tunnelwire.quic.head import write_head
from tests.tunnelwire.recording.ends import EdgeEnd
from tests.tunnelwire.recording.origin import ECHO, HOST, HTTP_PORT, NOBODY, NOBODY_PORT
from tests.tunnelwire.recording.play import Play
from tests.tunnelwire.recording.scenario import scenario

APP: Final = b"app.example"
CONFIG: Final = (
    f'{{"ingress":[{{"hostname":"gone.example","service":"http://{HOST}:{NOBODY_PORT}"}},'
    f'{{"service":"http://{HOST}:{HTTP_PORT}"}}]}}'
).encode()

_CLIENT: Final = (b"user-agent", b"test")
_KEY: Final = (
    (b"sec-websocket-version", b"13"),
    (b"sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=="),
)


def get(path: bytes, method: bytes = b"GET", host: bytes = APP) -> Request:
    """A request without a body."""
    return Request(Kind.HTTP, host, method, b"https", path, (_CLIENT,))


def post(path: bytes, length: int | None = None) -> Request:
    """A request with a body, of a length that is told or not."""
    told = () if length is None else ((b"content-length", b"%d" % length),)
    return Request(Kind.HTTP, APP, b"POST", b"https", path, (_CLIENT, *told), body=True)


def websocket(path: bytes) -> Request:
    """A request to switch protocols."""
    return Request(Kind.WEBSOCKET, APP, b"GET", b"https", path, (_CLIENT, *_KEY), body=True)


def tcp(to: bytes) -> Request:
    """A wish for a connection."""
    return Request(Kind.TCP, to, body=True)


async def ready(play: Play) -> EdgeEnd:
    """A connection that is registered and configured."""
    edge = await play.connection()
    await edge.register()
    await edge.configure(1, CONFIG)
    return edge


@scenario()
async def answers(play: Play) -> None:
    """What origins answer, one after the other."""
    edge = await ready(play)
    for request in (
        get(b"/?a=b"),
        get(b"/", b"HEAD"),
        get(b"/untyped"),
        get(b"/missing"),
        get(b"/nothing"),
        get(b"/moved"),
        get(b"/long"),
    ):
        await edge.over(edge.ask(request))


@scenario()
async def bodies(play: Play) -> None:
    """Requests with bodies: of a length that is told, of one that is not, empty."""
    edge = await ready(play)
    told = edge.ask(post(b"/", 5))
    edge.send(told, b"he")
    edge.send(told, b"llo", end=True)
    await edge.over(told)
    untold = edge.ask(post(b"/"))
    edge.send(untold, b"hello", end=True)
    await edge.over(untold)
    ended = edge.ask(get(b"/", b"POST"))
    await edge.over(ended)


@scenario()
async def pieces(play: Play) -> None:
    """Answers that come in pieces."""
    edge = await ready(play)
    for path, first in ((b"/pieces", b"one,"), (b"/events", b"data: 0\n\n")):
        stream = edge.ask(get(path))
        await edge.came(stream, len(first))
        await edge.over(stream)


@scenario()
async def trailers(play: Play) -> None:
    """An answer with trailers."""
    edge = await ready(play)
    await edge.over(edge.ask(get(b"/trailers")))


@scenario()
async def websockets(play: Play) -> None:
    """An origin that switches protocols, and one that does not."""
    edge = await ready(play)
    stream = edge.ask(websocket(b"/upgrade"))
    await edge.answered(stream)
    edge.send(stream, b"\x81\x02hi")
    await edge.came(stream, 4)
    edge.send(stream, b"\x88\x00")
    await edge.came(stream, 6)
    edge.send(stream, b"", end=True)
    await edge.over(stream)
    refused = edge.ask(websocket(b"/no-upgrade"))
    await edge.over(refused)


@scenario()
async def connections(play: Play) -> None:
    """TCP: to somebody who is there, to nobody, and to a name."""
    edge = await ready(play)
    stream = edge.ask(tcp(ECHO))
    await edge.answered(stream)
    edge.send(stream, b"over and out")
    await edge.came(stream, 12)
    edge.send(stream, b"", end=True)
    await edge.over(stream)
    await edge.over(edge.ask(tcp(NOBODY)))
    await edge.over(edge.ask(tcp(b"app.example:22")))


@scenario()
async def nobody(play: Play) -> None:
    """An origin that is not there, and one that closes the connection before it answers."""
    edge = await ready(play)
    await edge.over(edge.ask(get(b"/", host=b"gone.example")))
    await edge.over(edge.ask(get(b"/breaks-at-once")))


@scenario()
async def breaks(play: Play) -> None:
    """Origins that break off their answers."""
    edge = await ready(play)
    await edge.over(edge.ask(get(b"/breaks")))
    await edge.over(edge.ask(get(b"/breaks-soon")))


@scenario()
async def early(play: Play) -> None:
    """An answer to a request that has not ended, and never does."""
    edge = await ready(play)
    stream = edge.ask(post(b"/early", 100_000))
    edge.send(stream, b"a beginning")
    await edge.over(stream)
    await edge.over(edge.ask(get(b"/")))


@scenario()
async def given_up(play: Play) -> None:
    """A request that the edge gives up."""
    edge = await ready(play)
    stream = edge.ask(get(b"/waits"))
    await edge.came(stream, 5)
    edge.give_up(stream)
    await play.until(lambda: len(play.saw) == 1)
    await edge.over(edge.ask(get(b"/")))
    await play.logged("canceled by remote with error code 0")


@scenario(alone="our connector has nothing to manage")
async def management(play: Play) -> None:
    """The host that connectors answer themselves."""
    edge = await ready(play)
    await edge.over(edge.ask(get(b"/ping", host=b"management.argotunnel.com")))


@scenario(transports=("http2",))
async def unknown_kind(play: Play) -> None:
    """A request with a mark of a kind that there is not."""
    await ready(play)
    edge = await play.http2()
    marks = [(b"cf-cloudflared-proxy-connection-upgrade", b"something-else")]
    own = [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", APP), (b":path", b"/")]
    await edge.over(edge.ask_plainly([*own, *marks]))


@scenario(transports=("quic",))
async def untold_length(play: Play) -> None:
    """A request with a body that says nothing of it."""
    await ready(play)
    edge = await play.quic()
    stream = edge.open(write_head(_without_chunked(post(b"/"))) + b"dropped", end=True)
    await edge.over(stream)


def _without_chunked(request: Request) -> ConnectRequest:
    written = write_request(request)
    kept = tuple(each for each in written.metadata if each.val != b"chunked")
    return ConnectRequest(written.dest, written.type, kept)


@scenario(transports=("quic",))
async def beginnings(play: Play) -> None:
    """Streams that begin in other ways: with another version, a header's name with a colon, and a signature that is none."""
    await ready(play)
    edge = await play.quic()
    plain = write_request(get(b"/"))
    await edge.over(edge.open(write_head(plain).replace(b"01", b"99", 1), end=True))
    colon = ConnectRequest(plain.dest, plain.type, (*plain.metadata, Metadata(b"HttpHeader:A:B", b"c")))
    await edge.over(edge.open(write_head(colon), end=True))
    await edge.over(edge.open(b"GET / HTTP/1.1\r\n\r\n"))
    await edge.over(edge.ask(get(b"/")))

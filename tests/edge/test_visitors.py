"""Visitors of an edge that runs, by each version of HTTP, over TLS and without, before connectors of ours over either transport."""

from __future__ import annotations

import asyncio
import json
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import h2.events
import httpx
import pytest

from halfopen.testing.connectors.connection import Exchange
from halfopen.tunnels.vault import RunToken
from halfopen.tunnelwire.exchange import Answered, Kind
from tests.edge.pairs import pair
from tests.edge.place import HOST, Place
from tests.edge.playing import Client2
from tests.edge.test_edge import MIB, connector, get_through, origin, play

BIG = 96 * MIB


class Edge(Place):
    """One with certificates for visitors, and the process."""

    process: subprocess.Popen[bytes]

    def rss(self) -> int:
        """Memory of the edge, in bytes."""
        told = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(told.split("VmRSS:")[1].split()[0]) << 10


@pytest.fixture(scope="module", params=["http2", "quic"])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    made = Edge(tmp_path_factory.mktemp("edge"), 1, request.param)
    certificates = made.folder / "certificates"
    certificates.mkdir()
    pair(certificates, "app", HOST)
    with (
        closing(made.here),
        made.edge("--visitors-tls", "127.0.0.1:0", "--certificates", certificates) as made.process,
    ):
        yield made


Visiting = Callable[[Edge], httpx.AsyncClient]


def _client(place: Edge, http2: bool, tls: bool) -> httpx.AsyncClient:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE

    async def named(request: httpx.Request) -> None:
        request.extensions["sni_hostname"] = HOST

    return httpx.AsyncClient(
        base_url=f"https://{place.over_tls}" if tls else f"http://{place.visitors}", headers={"Host": HOST}, timeout=30,
        http1=not http2, http2=http2, verify=context, event_hooks={"request": [named]},
    )  # fmt: skip


@pytest.fixture(params=["HTTP/1.1", "HTTP/2", "HTTP/1.1 over TLS", "HTTP/2 over TLS"])
def visiting(request: pytest.FixtureRequest) -> Visiting:
    """Makes a visitor of a kind."""
    return lambda place: _client(place, request.param.startswith("HTTP/2"), request.param.endswith("TLS"))


@asynccontextmanager
async def connected(
    place: Edge, token: RunToken, visiting: Visiting, to: Callable[[Exchange], Awaitable[None]] = origin
) -> AsyncIterator[httpx.AsyncClient]:
    """A visitor before a connector to which the host leads already."""
    async with connector(place, token, to).connected(2), visiting(place) as client, asyncio.timeout(60):
        while (await client.get("/")).status_code != 200:
            await asyncio.sleep(0.05)
        yield client


def test_visitors_get_through(place: Edge, visiting: Visiting) -> None:
    async def scene(tunnel: str, token: RunToken) -> None:
        async with connected(place, token, visiting) as client:
            await get_through(client, 5 * MIB)

    play(place, scene)


FORGED = (
    ("Cf-Cloudflared-Proxy-Connection-Upgrade", "update-configuration"), ("Cf-Cloudflared-Proxy-Connection-Upgrade", "control-stream"),
    ("Cf-Cloudflared-Proxy-Connection-Upgrade", "websocket"), ("Cf-Cloudflared-Proxy-Src", "127.0.0.1:22"),
    ("Cf-Cloudflared-Response-Meta", '{"src":"origin"}'), ("Cf-Int-Cloudflared-Tracing", "x"), ("Cf-Proxy-Anything", "x"),
    ("Cf-Connecting-Ip", "203.0.113.9"), ("Cf-Ray", "forged"), ("Cf-Warp-Tag-Id", "forged"), ("X-Forwarded-For", "203.0.113.9"),
    ("X-Forwarded-Proto", "gopher"), ("X-Forwarded-Host", "forged"), ("X-Real-Ip", "203.0.113.9"), ("Forwarded", "for=203.0.113.9"),
)  # fmt: skip


def test_what_a_visitor_may_not_say_reaches_nobody(place: Edge, visiting: Visiting) -> None:
    async def scene(tunnel: str, token: RunToken) -> None:
        asked: list[Exchange] = []

        async def noting(exchange: Exchange) -> None:
            asked.append(exchange)
            await origin(exchange)

        ours = connector(place, token, noting)
        async with ours.connected(1) as (link,), visiting(place) as client, asyncio.timeout(60):
            while (await client.get("/")).status_code != 200:
                await asyncio.sleep(0.05)
            while not link.configurations:
                await asyncio.sleep(0.05)
            before = list(link.configurations)
            config = json.dumps({"version": 99, "config": {"ingress": [{"service": "http_status:418"}]}})
            for name, value in FORGED:
                asked.clear()
                told = (await client.post("/", content=config, headers={name: value})).json()
                assert told["size"] == len(config)
                headers = dict(told["headers"])
                assert value not in headers.values(), name
                assert headers["cf-connecting-ip"] == headers["x-forwarded-for"] == "127.0.0.1"
                assert headers["cf-ray"].endswith("-ams01")
                assert [each.request.kind for each in asked] == [Kind.HTTP]  # nothing is dialled
            assert link.configurations == before
            asked.clear()
            for host in ("management.argotunnel.com", "Management.Argotunnel.com:443"):
                answer = await client.get("/ping", headers={"Host": host})
                assert answer.status_code in (404, 421)  # which of them depends on the certificate
            assert not asked

    play(place, scene)


@pytest.mark.parametrize("sent", [
    b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", b"Transfer-Encoding: xchunked\r\nContent-Length: 3\r\n\r\nabc",
    b"Content-Length: +3\r\n\r\nabc", b"Content-Length : 3\r\n\r\nabc", b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
])  # fmt: skip
def test_a_length_that_is_told_in_two_ways_is_refused(place: Edge, sent: bytes) -> None:
    async def scene() -> None:
        host, _, port = place.visitors.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"POST / HTTP/1.1\r\nHost: " + HOST.encode() + b"\r\n" + sent)
        async with asyncio.timeout(20):
            assert (await reader.read()).startswith(b"HTTP/1.1 400 ")
        writer.close()

    asyncio.run(scene())


def test_calls_both_ways_end_in_trailers(place: Edge) -> None:
    if place.transport == "quic":
        pytest.skip("there are no trailers over QUIC, by design of the protocol")

    async def echo(exchange: Exchange) -> None:
        if exchange.request.path != b"/call":
            return await origin(exchange)
        assert dict(exchange.request.headers)[b"te"] == b"trailers"
        exchange.answer(Answered(200, ((b"Content-Type", b"application/grpc"),)))
        async for piece in exchange.body():
            await exchange.send(piece)
        exchange.end([(b"Grpc-Status", b"0"), (b"Grpc-Message", b"done")])
        return None

    async def scene(tunnel: str, token: RunToken) -> None:
        async with connected(place, token, lambda _: _client(place, True, False), echo):
            host, _, port = place.visitors.rpartition(":")
            client = Client2(*await asyncio.open_connection(host, int(port)))
            number = client.ask(
                (b"te", b"trailers"),
                (b"content-type", b"application/grpc"),
                method=b"POST",
                path=b"/call",
                ends=False,
            )
            came = b""
            for n in range(5):
                client.send(number, b"message %d" % n, ends=n == 4)
                came += b"message %d" % n
                while bytes(client.bodies.get(number, b"")) != came:
                    assert await client.read()
            trailers = await client.next(h2.events.TrailersReceived, number)
            assert dict(trailers.headers) == {b"grpc-status": b"0", b"grpc-message": b"done"}
            client.writer.close()

    play(place, scene)


def test_what_goes_through_is_not_kept(place: Edge, visiting: Visiting) -> None:
    async def scene(tunnel: str, token: RunToken) -> None:
        async def pieces() -> AsyncIterator[bytes]:
            for _ in range(BIG // MIB):
                yield bytes(MIB)

        async with connected(place, token, visiting) as client:
            before = place.rss()
            most = before
            async with client.stream("GET", f"/big/{BIG}") as answer:
                size = 0
                async for piece in answer.aiter_raw():
                    size += len(piece)
                    most = max(most, place.rss()) if size % (16 * MIB) < len(piece) else most
            assert size == BIG
            assert (await client.put("/", content=pieces())).json()["size"] == BIG
            assert max(most, place.rss()) - before < 48 * MIB

    if place.transport == "http2":
        play(place, scene)


def test_a_visitor_that_stalls_holds_up_no_other_request_of_its_connection(place: Edge) -> None:
    async def slow(exchange: Exchange) -> None:
        if exchange.request.path != b"/stalls":
            return await origin(exchange)
        await exchange.broken.wait()
        return None

    async def scene(tunnel: str, token: RunToken) -> None:
        async with connected(place, token, lambda _: _client(place, True, False), slow):
            host, _, port = place.visitors.rpartition(":")
            client = Client2(*await asyncio.open_connection(host, int(port)))
            stalled = client.ask(method=b"POST", path=b"/stalls", ends=False)
            idle_since = time.monotonic()
            while time.monotonic() < idle_since + 0.5:  # whatever is taken of it
                room = min(client.h2.local_flow_control_window(stalled), 16_384)
                if room:
                    client.send(stalled, bytes(room))
                    idle_since = time.monotonic()
                else:
                    try:
                        async with asyncio.timeout(0.1):
                            await client.read()
                    except TimeoutError:
                        pass
            number = client.ask(method=b"POST", ends=False)
            await client.upload(number, 4 * MIB)
            client.send(number, b"", ends=True)
            assert json.loads((await client.answer(number))[1])["size"] == 4 * MIB
            client.writer.transport.abort()

    play(place, scene)

"""An edge that runs, a connector of ours that is connected to it, and visitors: end to end, each on real sockets."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, closing
from hashlib import sha256
from pathlib import Path

import httpx
import pytest

from halfopen.edge.trust import NAMES, Trust
from halfopen.testing.connectors.connection import Exchange
from halfopen.testing.connectors.connector import Connector
from halfopen.tunnels.vault import RunToken
from halfopen.tunnelwire.exchange import Answered, Refused
from halfopen.tunnelwire.rpc.connector_control import Accepted, Rejected
from tests.edge.place import HOST, Place

MIB = 1 << 20


@pytest.fixture(scope="module", params=["http2", "quic"])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    made = Place(tmp_path_factory.mktemp("edge"), 1, request.param)
    with closing(made.here), made.edge():
        yield made


async def origin(exchange: Exchange) -> None:
    """Tells what it was asked; sends and takes as much as is wanted; echoes websockets."""
    request = exchange.request
    if request.path.startswith(b"/big/"):
        size = int(request.path[5:])
        exchange.answer(Answered(200, ((b"Content-Length", b"%d" % size),)))
        await exchange.send(bytes(size), end=True)
    elif request.path == b"/trailers":
        exchange.answer(Answered(200, ((b"Content-Type", b"application/grpc"),)))
        await exchange.send(b"message")
        exchange.end([(b"Grpc-Status", b"0")])
    elif request.path == b"/refused":
        exchange.answer(Refused("no origin"))
    elif request.path == b"/breaks":
        exchange.answer(Answered(200))
        await exchange.send(b"half")
        await asyncio.sleep(0.1)  # over QUIC it would be broken off with the rest
        exchange.give_up()
    elif dict(request.headers).get(b"sec-websocket-key"):
        exchange.answer(
            Answered(
                101,
                ((b"Upgrade", b"websocket"), (b"Connection", b"Upgrade"), (b"Sec-WebSocket-Accept", b"x")),
            )
        )
        async for piece in exchange.body():
            await exchange.send(piece)
        await exchange.send(b"", end=True)
    else:
        digest, size = sha256(), 0
        async for piece in exchange.body():
            digest.update(piece)
            size += len(piece)
        told = {
            "path": request.path.decode(), "host": request.host.decode(), "size": size, "digest": digest.hexdigest(),
            "headers": [[name.decode(), value.decode()] for name, value in request.headers],
        }  # fmt: skip
        body = json.dumps(told).encode()
        exchange.answer(Answered(200, ((b"Content-Length", b"%d" % len(body)), (b"X-Origin", b"here"))))
        await exchange.send(b"" if request.method == b"HEAD" else body, end=True)


def connector(place: Place, token: RunToken, to: Callable[[Exchange], Awaitable[None]] = origin) -> Connector:
    host, _, port = place.connectors.rpartition(":")
    return Connector(token, to, host, int(port), Trust(place.data / "edge").authority(), place.transport)


@asynccontextmanager
async def visiting(place: Place) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(
        base_url=f"http://{place.visitors}", headers={"Host": HOST}, timeout=20
    ) as client:
        yield client


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not true():
            await asyncio.sleep(0.05)


async def routed(place: Place) -> None:
    async with visiting(place) as client, asyncio.timeout(20):
        while (await client.get("/")).status_code != 200:
            await asyncio.sleep(0.05)


Scene = Callable[[Place], Awaitable[None]]


def play(place: Place, scene: Callable[[str, RunToken], Awaitable[None]], remote: bool = True) -> None:
    """A scene with a tunnel of its own, to which HOST leads while it lasts."""
    tunnel, token = place.tunnel(f"t-{time.monotonic_ns()}", remote)

    async def whole() -> None:
        async with asyncio.timeout(50):
            await scene(tunnel.id, token)

    try:
        asyncio.run(whole())
    finally:
        place.here.tunnels.delete(place.account, tunnel.id, cascade=True)


async def get_through(client: httpx.AsyncClient, size: int) -> None:
    """What a visitor can do: ask, send bodies and take one of so many bytes, all at once, and hear of what goes wrong."""
    answer = await client.get("/a?b=c", headers={"X-Twice": "1"})
    told = answer.json()
    assert (answer.headers["X-Origin"], told["path"], told["host"]) == ("here", "/a?b=c", HOST)
    headers = dict(told["headers"])
    assert (headers["x-twice"], headers["x-forwarded-for"]) == ("1", "127.0.0.1")
    assert headers["x-forwarded-proto"] == answer.url.scheme
    assert (await client.head("/")).content == b""

    body = bytes(range(256)) * (size // 512)
    expected = (len(body), sha256(body).hexdigest())
    told = (await client.post("/", content=body)).json()
    assert (told["size"], told["digest"]) == expected

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 100_000):
            yield body[start : start + 100_000]

    told = (await client.put("/", content=pieces())).json()
    assert (told["size"], told["digest"]) == expected
    assert len((await client.get(f"/big/{size}")).content) == size
    many = await asyncio.gather(*(client.get(f"/{n}") for n in range(100)))
    assert [each.json()["path"] for each in many] == [f"/{n}" for n in range(100)]
    assert (await client.get("/refused")).status_code == 502
    with pytest.raises(httpx.RemoteProtocolError):
        await client.get("/breaks")


def test_visitors_get_through(place: Place) -> None:
    async def scene(tunnel: str, token: RunToken) -> None:
        async with connector(place, token).connected(), visiting(place) as client:
            await routed(place)
            await get_through(client, 20 * MIB)

    play(place, scene)


async def raw(place: Place, sent: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, _, port = place.visitors.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(sent)
    return reader, writer


def test_trailers_and_websockets(place: Place) -> None:
    async def scene(tunnel: str, token: RunToken) -> None:
        async with connector(place, token).connected(1):
            await routed(place)
            reader, writer = await raw(
                place, f"GET /trailers HTTP/1.1\r\nHost: {HOST}\r\nTE: trailers\r\n\r\n".encode()
            )
            assert b"chunked" in await reader.readuntil(b"\r\n\r\n")
            trailers = b"" if place.transport == "quic" else b"Grpc-Status: 0\r\n"  # QUIC has none
            assert await reader.readuntil(b"\r\n\r\n") == b"7\r\nmessage\r\n0\r\n" + trailers + b"\r\n"
            writer.close()
            upgrade = f"GET /ws HTTP/1.1\r\nHost: {HOST}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: k\r\n\r\n"
            reader, writer = await raw(place, upgrade.encode())
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
            for piece in (b"\x00\xff", b"GET / HTTP/1.1\r\n\r\n", bytes(MIB)):
                writer.write(piece)
                assert await reader.readexactly(len(piece)) == piece
            writer.write_eof()
            assert await reader.read() == b""
            writer.close()

    play(place, scene)


def test_what_is_connected_is_told(place: Place) -> None:
    async def scene(tunnel: str, token: RunToken) -> None:
        ours = connector(place, token)
        async with ours.connected() as links:
            (told,) = place.here.tunnels.connectors(place.account, tunnel)
            assert (told.id, told.version, told.arch) == (ours.id, "2026.8.2", "linux_amd64")
            assert {link.id for link in told.links} == {
                accepted(await each.outcome).connection for each in links
            }
            assert {(link.conn_index, link.colo, link.origin_ip) for link in told.links} == {
                (index, "ams01", "127.0.0.1") for index in range(4)
            }
            place.configure(place.here.tunnels.get(place.account, tunnel), 410)
            await until(
                lambda: all(each.configurations and each.configurations[-1].version == 2 for each in links)
            )
            await until(lambda: place.here.tunnels.connectors(place.account, tunnel)[0].config_version == 2)
            await links[0].leave()
            await until(lambda: len(place.here.tunnels.connectors(place.account, tunnel)[0].links) == 3)
            await links[0].lost.wait()
            links[1].close()
            await until(
                lambda: (
                    {
                        link.lost is None
                        for link in place.here.tunnels.connectors(place.account, tunnel)[0].links
                    }
                    == {True, False}
                )
            )

    play(place, scene)


def accepted(outcome: Accepted | Rejected) -> Accepted:
    assert isinstance(outcome, Accepted), outcome
    return outcome


def test_a_local_configuration_is_kept(place: Place) -> None:
    async def scene(tunnel: str, token: RunToken) -> None:
        async with connector(place, token).connected(1) as (link,):
            assert not accepted(await link.outcome).remotely_managed
            link.tell_configuration(b'{"ingress":[{"service":"http://localhost:1"}]}')
            kept = place.here.configurations
            await until(
                lambda: (
                    kept.get(place.account, tunnel).config == {"ingress": [{"service": "http://localhost:1"}]}
                )
            )

            for odd in (b"{", b'{"a":"\\ud800"}', b'{"a":1e999}', b"[]", b"[" * 100_000):
                link.tell_configuration(odd)
            link.tell_configuration(b'{"ingress":[]}')
            await until(lambda: kept.get(place.account, tunnel).config == {"ingress": []})
            for _ in range(100):
                link.tell_configuration(b"{}")
            await link.lost.wait()  # nobody has so much to say

    play(place, scene, remote=False)


def test_who_may_not_is_refused_in_words_and_let_go(place: Place) -> None:
    async def scene(tunnel: str, token: RunToken) -> None:
        deleted, of_deleted = place.tunnel("deleted", remote=False)
        place.here.tunnels.delete(place.account, deleted.id)
        for wrong, words in (
            (RunToken(token.account, token.tunnel, bytes(32)), "Unauthorized: Invalid tunnel secret"),
            (
                RunToken(token.account, deleted.id[::-1].replace("-", "")[:8] + deleted.id[8:], bytes(32)),
                "Unauthorized: Record for tunnel not found",
            ),
            (of_deleted, "Unauthorized: Failed to get tunnel"),
        ):
            link = await connector(place, wrong).connect()
            assert await link.outcome == Rejected(words, retry=False)
            await link.lost.wait()
        assert not place.here.tunnels.connectors(place.account, tunnel)

    play(place, scene)


def test_the_next_in_a_place_replaces_the_last(place: Place) -> None:
    async def scene(tunnel: str, token: RunToken) -> None:
        ours = connector(place, token)
        first = await ours.connect()
        before = accepted(await first.outcome).connection
        second = await ours.connect()
        after = accepted(await second.outcome).connection
        await first.lost.wait()
        (told,) = place.here.tunnels.connectors(place.account, tunnel)
        assert [link.id for link in told.links] == [after] != [before]
        second.close()

    play(place, scene)


def test_a_clean_up_closes_at_once_and_requests_break_off(place: Place) -> None:
    async def scene(tunnel: str, token: RunToken) -> None:
        asked = asyncio.Event()

        async def silent(exchange: Exchange) -> None:
            asked.set()
            await exchange.broken.wait()

        async with connector(place, token, silent).connected() as links, visiting(place) as client:
            pending = asyncio.create_task(client.get("/"))
            while not asked.is_set():
                await asyncio.sleep(0.05)
                if pending.done():  # no route yet
                    pending = asyncio.create_task(client.get("/"))
            await asyncio.to_thread(place.here.tunnels.clean_up, place.account, tunnel)
            assert not place.here.tunnels.connectors(place.account, tunnel)
            for link in links:
                await link.lost.wait()
            assert (await pending).status_code == 502

    play(place, scene)


def test_a_visitor_that_stalls_holds_up_nobody_and_one_that_leaves_is_told(place: Place) -> None:
    async def scene(tunnel: str, token: RunToken) -> None:
        gone = asyncio.Event()

        async def watched(exchange: Exchange) -> None:
            await origin(exchange)
            if exchange.broken.is_set():
                gone.set()

        async with connector(place, token, watched).connected(1), visiting(place) as client:
            await routed(place)
            stalled = [
                await raw(place, f"GET /big/{12 * MIB} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
                for _ in range(20)
            ]
            for reader, _ in stalled:
                await reader.readuntil(b"\r\n\r\n")
            for _ in range(10):
                assert (await client.get("/")).status_code == 200
            assert len((await client.get(f"/big/{MIB}")).content) == MIB
            assert not gone.is_set()
            for _, writer in stalled:
                writer.transport.abort()
            await gone.wait()

    play(place, scene)


def test_who_leaves_answers_first_what_it_was_asked(place: Place) -> None:
    async def scene(tunnel: str, token: RunToken) -> None:
        asked, go_on = asyncio.Event(), asyncio.Event()

        async def slow(exchange: Exchange) -> None:
            if exchange.request.path == b"/slow":
                asked.set()
                await go_on.wait()
            await origin(exchange)

        async with connector(place, token, slow).connected(1) as (link,), visiting(place) as client:
            await routed(place)
            pending = asyncio.create_task(client.get("/slow"))
            await asked.wait()
            await link.leave()
            await until(lambda: not place.here.tunnels.connectors(place.account, tunnel))
            assert not link.lost.is_set()
            go_on.set()
            assert (await pending).json()["path"] == "/slow"
            await link.lost.wait()
            assert (await client.get("/")).status_code == 503

    play(place, scene)


def test_strangers_disturb_nobody(place: Place) -> None:
    host, _, port = place.connectors.rpartition(":")
    context = ssl.create_default_context(cadata=Trust(place.data / "edge").authority())

    def stranger(name: str, said: bytes) -> None:
        with (
            socket.create_connection((host, int(port)), 10) as link,
            context.wrap_socket(link, server_hostname=name) as secure,
        ):
            secure.sendall(said)

    async def scene(tunnel: str, token: RunToken) -> None:
        async with connector(place, token).connected(1), visiting(place) as client:
            await routed(place)
            half_open = [socket.create_connection((host, int(port))) for _ in range(50)]
            half_open[0].sendall(b"GET / HTTP/1.1\r\n\r\n")
            for said in (
                b"",
                b"GET / HTTP/1.1\r\n\r\n",
                bytes(100_000),
                b"\x00\x00\x00\x04\x00\x00\x00\x00\x00" * 50,
            ):
                for name in (NAMES[0], NAMES[2]):
                    await asyncio.to_thread(stranger, name, said)
            assert (await client.get("/")).status_code == 200
            for each in half_open:
                each.close()

    play(place, scene)


def test_the_edge_ends_when_it_is_told_to(tmp_path: Path) -> None:
    made = Place(tmp_path, 1)
    with closing(made.here), made.edge() as process:
        tunnel, token = made.tunnel("blog")

        async def scene() -> None:
            async with connector(made, token).connected() as links:
                process.terminate()
                for link in links:
                    await link.lost.wait()

        asyncio.run(scene())
        assert process.wait(20) == 0
        assert not made.here.tunnels.connectors(made.account, tunnel.id)

"""Edges come and go, several of them on one registry: what the API tells of it, and what visitors and connectors notice."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from halfopen.accounts.permissions import EDGE_REPORT
from halfopen.edge.trust import Trust
from halfopen.testing.connectors.connection import Exchange
from halfopen.testing.connectors.connector import Connector
from halfopen.testing.forwarding import stay
from halfopen.tunnels.vault import RunToken
from halfopen.tunnelwire.exchange import Answered
from tests.cli.conftest import command
from tests.edge.place import HOST, Place, until
from tests.serving import running


class Process:
    """A process with an edge in it, and where that listens."""

    def __init__(self, process: subprocess.Popen[bytes], connectors: str, visitors: str, data: Path) -> None:
        self.process, self.connectors, self.visitors, self.data = process, connectors, visitors, data

    def connector(self, token: RunToken, to: Any) -> Connector:
        host, _, port = self.connectors.rpartition(":")
        return Connector(token, to, host, int(port), Trust(self.data / "edge").authority())


@contextmanager
def started(
    log: Path, data: Path, *argv: object, environment: Mapping[str, str] | None = None
) -> Iterator[Process]:
    with (
        log.open("wb") as stream,
        subprocess.Popen(
            command(*argv, "--data", data), env=os.environ | (environment or {}), stdout=stream, stderr=stream
        ) as process,
    ):
        try:
            words = "halfopen: serving" if argv[0] == "serve" else "--protocol http2"
            until(lambda: words in log.read_text(), log.read_text)
            told = re.search(r"connectors: (\S+), visitors: http://(\S+)", log.read_text())
            assert told
            yield Process(process, told[1], told[2], data)
        finally:
            process.kill()


class Asked:
    """The API of one server about one tunnel."""

    def __init__(self, url: str, token: str, account: str, tunnel: str) -> None:
        self._client = httpx.Client(headers={"Authorization": f"Bearer {token}"}, timeout=30)
        self._url = f"{url}/client/v4/accounts/{account}/cfd_tunnel/{tunnel}/connections"

    def connections(self) -> list[dict[str, Any]]:
        told = self._client.get(self._url).raise_for_status().json()["result"]
        return [link for each in told for link in each["conns"]]

    def places(self) -> list[tuple[str, bool]]:
        return sorted((each["colo_name"], each["is_pending_reconnect"]) for each in self.connections())

    def close(self) -> None:
        self._client.close()

    def clean_up(self) -> None:
        self._client.delete(self._url).raise_for_status()


async def hello(exchange: Exchange) -> None:
    exchange.answer(Answered(200))
    await exchange.send(b"hello", end=True)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path, 1)
    with closing(made.here):
        yield made


def test_edges_of_one_registry_and_what_each_server_tells_of_them(place: Place, tmp_path: Path) -> None:
    tunnel, token = place.tunnel("blog")
    access, _ = place.here.accounts.create_token(["Cloudflare Tunnel Write"], account=place.account)
    place.here.edges.enrol("bru-1", "bru01")
    key, _ = place.here.accounts.create_token([EDGE_REPORT], edge="bru-1")
    ports = "--listen", "127.0.0.1:0", "--visitors", "127.0.0.1:0"
    counted = f"127.0.0.1:{free_port()}"
    serve = "serve", "--grace", "3s", "--port", free_port(), "--edge", "--edge-listen", "127.0.0.1:0"
    with ExitStack() as open_:
        other = open_.enter_context(running(place.data, "--grace", "3s"))
        ams = open_.enter_context(
            started(tmp_path / "ams.log", place.data, *serve, "--visitors", "127.0.0.1:0", "--colo", "ams01")
        )
        far = started(
            tmp_path / "bru.log", tmp_path / "bru", "edge", "--colo", "bru-1", *ports, "--registry", other, "--metrics", counted,
            environment={"HALFOPEN_EDGE_KEY": key},
        )  # fmt: skip
        bru = open_.enter_context(far)
        by_one, by_other = (
            open_.enter_context(closing(Asked(url, access, place.account, tunnel.id)))
            for url in (f"http://127.0.0.1:{serve[4]}", other)
        )

        async def scene() -> None:
            connectors = [each.connector(token, hello) for each in (ams, bru)]
            connectors[1].id = connectors[0].id
            links = [await connectors[index % 2].connect(index) for index in range(4)]
            for link in links:
                await link.outcome
            expected = [("ams01", False)] * 2 + [("bru01", False)] * 2
            assert await asyncio.to_thread(by_one.places) == expected
            assert await asyncio.to_thread(by_other.places) == expected

            for address in (counted, f"127.0.0.1:{serve[4]}"):
                told = await asyncio.to_thread(httpx.get, f"http://{address}/metrics")
                assert 'halfopen_edge_connections{transport="http2"} 2.0' in told.text

            # Each edge hears of it from another process than the one that is asked.
            await asyncio.to_thread(by_one.clean_up)
            for link in links:
                await link.lost.wait()
                link.close()
            assert await asyncio.to_thread(by_other.places) == []

            again = [await connectors[index % 2].connect(index) for index in range(4)]
            for link in again:
                await link.outcome
            bru.process.kill()
            bru.process.wait()
            _let_the_lease_end(place.data, "bru-1")
            assert await asyncio.to_thread(by_one.places) == [("ams01", False)] * 2 + [("bru01", True)] * 2
            while await asyncio.to_thread(by_one.places) != [("ams01", False)] * 2:
                await asyncio.sleep(0.1)
            for link in again:
                link.close()

        asyncio.run(asyncio.wait_for(scene(), 40))


def test_what_passed_is_told_by_each_edge_to_its_end(place: Place, tmp_path: Path) -> None:
    tunnel, token = place.tunnel("blog")
    place.here.edges.enrol("bru-1", "bru01")
    key, _ = place.here.accounts.create_token([EDGE_REPORT], edge="bru-1")
    ports = "--visitors", "127.0.0.1:0"
    serve = "serve", "--port", free_port(), "--edge", "--edge-listen", "127.0.0.1:0", *ports
    with ExitStack() as open_:
        ams = open_.enter_context(started(tmp_path / "ams.log", place.data, *serve))
        far = started(
            tmp_path / "bru.log", tmp_path / "bru", "edge", "--colo", "bru-1", "--listen", "127.0.0.1:0", *ports,
            "--registry", f"http://127.0.0.1:{serve[2]}", environment={"HALFOPEN_EDGE_KEY": key},
        )  # fmt: skip
        bru = open_.enter_context(far)
        said: Counter[str] = Counter()

        async def visit(edge: Process, times: int) -> None:
            link = await edge.connector(token, hello).connect(0)
            await link.outcome
            async with httpx.AsyncClient(headers={"Host": HOST}, timeout=30) as client:
                answers: Counter[int] = Counter()
                while answers[200] < times:
                    answers[(await client.post(f"http://{edge.visitors}/", content=b"abc")).status_code] += 1
                    await asyncio.sleep(0.01)
            link.close()
            said.update({f"{status // 100}xx": count for status, count in answers.items() if status != 404})

        async def scene() -> None:
            await visit(ams, 3)
            await visit(bru, 2)

        asyncio.run(asyncio.wait_for(scene(), 60))
        for each in (bru, ams):
            each.process.terminate()
            assert each.process.wait(60) == 0
    (told,) = place.here.traffic.of(tunnel.id)
    assert (told.hostname, told.sums.statuses) == (HOST, said)
    assert said["2xx"] == 5
    assert (told.sums.bytes_in, told.sums.seconds > 0) == (3 * told.sums.requests, True)
    assert told.sums.bytes_out >= 5 * len(b"hello")


def _let_the_lease_end(data: Path, edge: str) -> None:
    with closing(sqlite3.connect(data / "accounts.sqlite")) as database:
        database.execute("UPDATE edges SET alive = ? WHERE name = ?", [time.time_ns() // 1000, edge])
        database.commit()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_server_with_an_edge_lets_requests_end_and_gets_its_connectors_back(
    place: Place, tmp_path: Path
) -> None:
    tunnel, token = place.tunnel("blog")
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def slow(exchange: Exchange) -> None:
        if exchange.request.path == b"/slow":
            asked.set()
            await go_on.wait()
        await hello(exchange)

    async def scene() -> None:
        at = ["127.0.0.1:0", "127.0.0.1:0"]
        port = free_port()
        with ExitStack() as open_:
            first = open_.enter_context(_server(tmp_path, place.data, port, *at))
            at = [first.connectors, first.visitors]
            stop = asyncio.Event()
            staying = asyncio.create_task(stay(first.connector(token, slow), stop))
            headers = {"Host": HOST}
            async with httpx.AsyncClient(base_url=f"http://{at[1]}", headers=headers, timeout=30) as client:

                async def answers() -> None:
                    while len(await asyncio.to_thread(place.live, tunnel)) < 4:
                        await asyncio.sleep(0.05)
                    while (await client.get("/")).status_code != 200:
                        await asyncio.sleep(0.05)

                await answers()
                pending = asyncio.create_task(client.get("/slow"))
                await asked.wait()
                first.process.terminate()
                await _refused(at[1])
                async with httpx.AsyncClient() as other:
                    assert (await other.get(f"http://127.0.0.1:{port}/readyz")).status_code == 200
                assert not pending.done()
                go_on.set()
                assert (await pending).text == "hello"
                assert await asyncio.to_thread(first.process.wait, 20) == 0
                assert not place.live(tunnel)

                open_.enter_context(_server(tmp_path, place.data, port, *at))
                await answers()
                stop.set()
                await staying
                while await asyncio.to_thread(place.live, tunnel):
                    await asyncio.sleep(0.05)

    asyncio.run(asyncio.wait_for(scene(), 60))


async def _refused(address: str) -> None:
    host, _, port = address.rpartition(":")
    with suppress(ConnectionRefusedError):
        while True:
            with suppress(ConnectionResetError):  # it had come in just before the end
                _, late = await asyncio.open_connection(host, int(port))
                late.close()
            await asyncio.sleep(0.05)


def _server(folder: Path, data: Path, port: int, connectors: str, visitors: str) -> Any:
    return started(
        folder / "server.log", data,
        "serve", "--port", port, "--edge", "--edge-listen", connectors, "--visitors", visitors, "--colo", "ams01",
    )  # fmt: skip

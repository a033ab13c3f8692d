"""How an edge begins: what it says of what it cannot use, and that it takes nothing from the one that runs before it listens itself."""

from __future__ import annotations

import asyncio
import re
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from halfopen.edge.trust import Trust
from halfopen.testing.connectors.connection import Exchange
from halfopen.testing.connectors.connector import Connector
from halfopen.tunnelwire.exchange import Answered
from tests.cli.conftest import spawned
from tests.edge.place import HOST, Place, until
from tests.edge.test_lifecycle import free_port, started
from tests.serving import running


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path, 1)
    with closing(made.here):
        yield made


def session(place: Place) -> str:
    with closing(sqlite3.connect(place.data / "accounts.sqlite")) as database:
        (found,) = database.execute("SELECT session FROM edges WHERE name = 'ams01'").fetchone()
        return str(found)


def test_an_edge_that_cannot_listen_leaves_the_one_that_runs(place: Place) -> None:
    with place.edge() as process:
        before = session(place)
        for more, whose, where in (
            (("--listen", place.connectors), "connectors", place.connectors),
            (("--visitors", place.visitors), "visitors", place.visitors),
            (("--visitors", "no-such-host.invalid:80"), "visitors", "no-such-host.invalid:80"),
        ):
            free = "--listen", "127.0.0.1:0", "--visitors", "127.0.0.1:0"
            ran = spawned("edge", "--data", place.data, "--colo", "ams01", *free, *more)
            assert ran.code == 2
            words = f"halfopen: address for {whose}: {where} cannot be used; accepted: where one can listen ("
            assert ran.err.startswith(words), ran.err
            assert (session(place), process.poll()) == (before, None)


def test_who_is_displaced_lets_requests_end(place: Place, tmp_path: Path) -> None:
    _, token = place.tunnel("blog")
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def slow(exchange: Exchange) -> None:
        if exchange.request.path == b"/slow":
            asked.set()
            await go_on.wait()
        exchange.answer(Answered(200))
        await exchange.send(b"hello", end=True)

    async def scene(log: Path, connectors: str, visitors: str, displace: Callable[[], None]) -> None:
        host, _, port = connectors.rpartition(":")
        authority = Trust(place.data / "edge").authority()
        url = f"http://{visitors}"
        async with (
            Connector(token, slow, host, int(port), authority).connected(1),
            httpx.AsyncClient(base_url=url, headers={"Host": HOST}, timeout=30) as client,
        ):
            while (await client.get("/")).status_code != 200:
                await asyncio.sleep(0.05)
            pending = asyncio.create_task(client.get("/slow"))
            await asked.wait()
            displace()
            await asyncio.to_thread(until, lambda: "an edge no more" in log.read_text(), log.read_text)
            assert not pending.done()
            go_on.set()
            assert (await pending).text == "hello"

    ports = "--visitors", "127.0.0.1:0", "--colo", "ams01"
    api = free_port()
    with ExitStack() as open_:
        log, again = tmp_path / "server.log", tmp_path / "edge.log"
        argv = "serve", "--port", api, "--edge", "--edge-listen", "127.0.0.1:0", *ports
        server = open_.enter_context(started(log, place.data, *argv))

        def displace() -> None:
            argv = "edge", "--listen", "127.0.0.1:0", *ports
            edges.append(open_.enter_context(started(again, place.data, *argv)))

        edges: list[Any] = []
        asyncio.run(asyncio.wait_for(scene(log, server.connectors, server.visitors, displace), 60))
        ready = f"http://127.0.0.1:{api}/readyz"
        until(lambda: httpx.get(ready).json() == {"status": "waiting", "missing": ["edge"]})
        assert "another process is the edge ams01 now" in log.read_text()
        line = r"^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ halfopen edge: connection 0 of connector \S+ of tunnel \S+ over http2 from 127.0.0.1 "
        assert (
            len(re.findall(line + "(?:is registered|has left|is lost)$", log.read_text(), re.MULTILINE)) == 2
        )
        edges[0].process.send_signal(signal.SIGHUP)
        edges[0].process.terminate()
        assert edges[0].process.wait(20) == 0


def test_a_server_that_does_not_know_the_edge_ends_it(
    place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HALFOPEN_EDGE_KEY", "x" * 40)
    with running(place.data) as url:
        free = "--listen", "127.0.0.1:0", "--visitors", "127.0.0.1:0"
        ran = spawned(
            "edge", "--data", tmp_path / "far", "--colo", "bru-1", "--registry", f"{url}/client/v4/", *free
        )
    assert (ran.code, ran.out) == (1, "")
    assert (
        ran.err
        == f"halfopen: the server at {url} does not know the key of edge bru-1 (HALFOPEN_EDGE_KEY): 403\n"
    )


def test_the_first_start_says_where_it_listens_and_nothing_else(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with started(log, tmp_path / "data", "edge", "--listen", "127.0.0.1:0", "--visitors", "127.0.0.1:0"):
        assert log.read_text().startswith("connectors: ")

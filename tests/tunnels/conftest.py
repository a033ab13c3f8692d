"""A world for each test, and servers that run: on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest

from tests.databases.database import KINDS, Database
from tests.serving import running
from tests.tunnels.played import PlayedEdge, Server
from tests.tunnels.world import World


@pytest.fixture
def world(database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    made = World(database.data, database.url, monkeypatch)
    yield made
    made.here.close()


@pytest.fixture(scope="package", params=KINDS)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with one account and a token that may do everything in it; each test makes an account of its own."""
    cluster = request.getfixturevalue("postgresql") if request.param == "postgresql" else None
    with ExitStack() as open_:
        data = tmp_path_factory.mktemp("tunnels") / "data"
        data.mkdir(mode=0o700)
        database = Database(data, open_.enter_context(cluster.database()) if cluster else None)
        with closing(database.open()) as accounts:
            token, _ = accounts.create_token(["admin"])
            account = accounts.every_account()[0].id
        url = open_.enter_context(running(data, environment=database.environment))
        yield Server(database, f"{url}/client/v4", account, token)


@pytest.fixture
def tenant(server: Server) -> Server:
    """The server as an account sees it that nobody else uses, by a token of its own."""
    return server.tenant()


@pytest.fixture
def edge(server: Server) -> PlayedEdge:
    """An edge that has begun its session."""
    return server.edge()

"""A database of accounts that goes away while the server runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.api.conftest import Server, running
from tests.api.test_wire import told
from tests.databases.cluster import PASSWORD, Cluster
from tests.databases.database import Database
from tests.databases.relay import Relay, relay


@dataclass(frozen=True)
class Far:
    """A server, and the way from it to its database."""

    server: Server
    way: Relay


@pytest.fixture
def far(postgresql: Cluster, tmp_path: Path) -> Iterator[Far]:
    with (
        postgresql.database() as url,
        relay(postgresql.socket) as way,
        running(Database(tmp_path, way.url(url, connect_timeout="2"))) as server,
    ):
        yield Far(server, way)


def until(true: Callable[[], bool]) -> bool:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        if true():
            return True
        time.sleep(0.1)
    return False


def ready(server: Server) -> httpx.Response:
    return httpx.get(f"{server.url}/readyz", timeout=30)


def refuses(answer: httpx.Response) -> None:
    (error,) = told(answer, 503, 2000)
    assert error["message"] == "the database of accounts is not available"


def test_requests_are_refused_while_it_is_away_and_answered_again_after(far: Far) -> None:
    assert far.server.get("/accounts").status_code == 200
    far.way.cut()
    refuses(far.server.get("/accounts"))
    refuses(far.server.get("/user/tokens/verify"))
    assert until(lambda: ready(far.server).status_code == 503)
    assert ready(far.server).json() == {"status": "waiting", "missing": ["accounts"]}
    assert httpx.get(f"{far.server.url}/healthz").status_code == 200
    far.way.restore()
    assert far.server.get("/accounts").status_code == 200
    assert until(lambda: ready(far.server).status_code == 200)
    log = far.server.log.read_text()
    assert "Connection refused" in log
    assert PASSWORD not in log
    assert "Traceback" not in log


def test_silence_holds_nobody_for_long(far: Far) -> None:
    assert far.server.get("/accounts").status_code == 200
    far.way.silence()
    with ThreadPoolExecutor(30) as threads:  # more than there are connections
        answers = list(threads.map(lambda _: far.server.get("/accounts"), range(30)))
    for answer in answers:
        refuses(answer)
    assert httpx.get(f"{far.server.url}/healthz").status_code == 200
    far.way.restore()
    assert until(lambda: far.server.get("/accounts").status_code == 200)
    assert "no answer within 2 s" in far.server.log.read_text()

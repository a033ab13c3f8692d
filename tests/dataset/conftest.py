"""An installation as an operator makes it: captures ingested, tokens made, a server that runs."""

from __future__ import annotations

import os
import random
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from cloudflare import AsyncCloudflare, Cloudflare

from halfopen.model import SECOND
from halfopen.testing.conversation import START, Conversation, framed
from halfopen.testing.payloads import client_hello
from halfopen.testing.pcap import pcap
from tests.cli.conftest import command, spawned
from tests.cli.conftest import halfopen as halfopen
from tests.dataset import reference

CAPTURES = Path(__file__).parents[2] / "captures"
PLACES = CAPTURES / "places"
DEMO = CAPTURES / "demo.pcap.gz"
MATRIX = CAPTURES / "matrix"

BEGIN = START // SECOND
"""When the connections of `spread` begin, s since the epoch."""

NETWORKS = ("192.0.2.", "198.51.100.", "203.0.113.", "2001:db8:1::", "2001:db8:2::", "2001:db8:77::")


def spread_bytes(connections: int = 300, apart: int = 2880, begin: int = BEGIN, seed: int = 7) -> bytes:
    """A capture of ten days from `begin` (s): a connection every 48 minutes, with ends of every kind."""
    chance = random.Random(seed)
    conversations = []
    for index in range(connections):
        network = chance.choice(NETWORKS)
        v6 = ":" in network
        client = (f"{network}{chance.randrange(1, 120):{'x' if v6 else 'd'}}", 20000 + index)
        server = ("2001:db8:ffff::1" if v6 else "203.0.113.200", chance.choice((80, 443, 8443)))
        one = Conversation(client, server, start=(begin + index * apart) * SECOND).syn()
        end = chance.randrange(6)
        if end > 1:
            one.syn_ack().ack()
        if end > 3:
            one.data(client_hello(f"www.shop{index % 3}.example"))
        if end % 2:
            one.rst()
        conversations.append(one)
    late = ("192.0.2.1", 19999), ("203.0.113.200", 443)
    conversations.append(Conversation(*late, start=(begin + connections * apart) * SECOND).syn().rst())
    return pcap(framed(*conversations))


@dataclass(frozen=True)
class Installation:
    """A running server, and what it must know."""

    data: Path
    api: str
    base: str
    tokens: dict[str, str]
    connections: list[reference.Connection]
    hour: int  # end of the last bucket of what was moved to the last hour (s)

    def client(self, token: str = "radar") -> Cloudflare:
        return Cloudflare(
            base_url=self.api, api_token=self.tokens[token], max_retries=0, _strict_response_validation=True
        )

    def async_client(self, transport: httpx.AsyncClient) -> AsyncCloudflare:
        return AsyncCloudflare(
            base_url=self.api, api_token=self.tokens["radar"], max_retries=0, http_client=transport,
            _strict_response_validation=True,
        )  # fmt: skip

    def get(self, path: str, *pairs: tuple[str, str]) -> Any:
        """The result of a path below /radar/tcp_resets_timeouts/."""
        answer = httpx.get(
            f"{self.api}/radar/tcp_resets_timeouts/{path}",
            params=list(pairs),
            headers={"authorization": f"Bearer {self.tokens['radar']}"},
        )
        assert answer.status_code == 200, answer.text
        return answer.json()["result"]

    def closed(self) -> int:
        """Up to when buckets are closed (D15), not about to change."""
        away_from_the_end_of(900)
        now = int(time.time())
        return max(now - 1800 - (now - 1800) % 900, self.hour)


def away_from_the_end_of(seconds: int, margin: int = 8) -> None:
    """Wait where a stretch of time is about to end: what follows is to lie in one."""
    while time.time() % seconds > seconds - margin:
        time.sleep(0.2)


def ran(*argv: object) -> str:
    """Standard output of a run that went well."""
    done = spawned(*argv)
    assert done.code == 0, done.err
    return done.out


@pytest.fixture(scope="session")
def spread(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("spread") / "spread.pcap"
    path.write_bytes(spread_bytes())
    return path


@pytest.fixture(scope="session")
def installation(spread: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    data = tmp_path_factory.mktemp("data")
    early = [MATRIX / f"{name}.pcap" for name in ("mixed_shares", "mirai", "quarter_hour", "ipv6_mirrored")]
    moved = [MATRIX / f"{name}.pcap" for name in ("data_rst", "zmap", "refused")]
    early.append(spread)
    sensors = {DEMO: "captures", **dict.fromkeys(early, "edge"), **dict.fromkeys(moved, "matrix")}
    permissions = {"radar": "radar:read", "other": "connections:read", "user": "User Details Read"}
    with ThreadPoolExecutor(2) as beside:
        lines = beside.submit(ran, "classify", *sensors, "--places", PLACES, "--format", "ndjson")
        made = {
            name: beside.submit(ran, "token", "create", "--data", data, "--permission", permission)
            for name, permission in permissions.items()
        }
        away_from_the_end_of(reference.HOUR, 60)
        hour = int(time.time()) // reference.HOUR * reference.HOUR
        ingest = ("ingest", "--data", data, "--places", PLACES)
        ran(*ingest, DEMO, "--shift-end", "now")
        ran(*ingest, *early, "--sensor", "edge")
        ran(*ingest, *moved, "--sensor", "matrix", "--shift-end", "now")
        tokens = {name: printed.result() for name, printed in made.items()}
        classified = lines.result()
    for token in tokens.values():
        assert token.count("\n") == 1, "the token alone"
    shifts = {str(path): hour - 1 - reference.last_packet(path) for path in (DEMO, *moved)}
    rows = reference.connections(classified, {str(path): name for path, name in sensors.items()}, shifts)
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("log") / "serve.log"
    with log.open("wb") as errors:
        server = subprocess.Popen(
            command("serve", "--data", data, "--places", PLACES, "--port", port),
            stdout=errors,
            stderr=errors,
            env=os.environ,
        )
    base = f"http://127.0.0.1:{port}"
    try:
        _wait_for(f"{base}/healthz", lambda: server.poll() is None, log)
        kept = {name: token.strip() for name, token in tokens.items()} | {"unknown": "x" * 40}
        yield Installation(data, f"{base}/client/v4", base, kept, rows, hour)
    finally:
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _wait_for(url: str, alive: Callable[[], bool], log: Path) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until and alive():
        try:
            if httpx.get(url, timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    pytest.fail(f"the server did not come up: {log.read_text()}")

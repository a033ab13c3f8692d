"""An installation with an edge that runs in a process of its own, as tests see it."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from halfopen.tunnels.installation import Installation
from halfopen.tunnels.records import Tunnel
from halfopen.tunnels.vault import RunToken
from tests.cli.conftest import command

HOST = "app.example.com"


def until(true: Callable[[], bool], words: Callable[[], str] = str) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end, words()
        time.sleep(0.1)


class Place:
    """An installation, an edge of it that runs in a process of its own, the port of an origin, and how connectors are to connect."""

    def __init__(self, folder: Path, origin: int, transport: str = "http2") -> None:
        self.folder, self.data = folder, folder / "data"
        self.data.mkdir(mode=0o700)
        self.here = Installation(self.data)
        self.account = self.here.accounts.every_account()[0].id
        self.here.hostnames.add_zone(self.account, "example.com")
        self.origin, self.transport = origin, transport
        self.connectors = self.visitors = ""
        self.over_tls = ""  # where visitors come in so, if anywhere

    @contextmanager
    def edge(self, *options: object) -> Iterator[subprocess.Popen[bytes]]:
        """The edge, which listens where it did before."""
        log = self.folder / "edge.log"
        argv = command(
            "edge", "--data", self.data, "--listen", self.connectors or "127.0.0.1:0",
            "--visitors", self.visitors or "127.0.0.1:0", "--colo", "ams01", *options,
        )  # fmt: skip
        with log.open("wb") as stream, subprocess.Popen(argv, stdout=stream, stderr=stream) as process:
            try:
                until(lambda: "--protocol http2" in log.read_text(), lambda: log.read_text())
                told = re.search(
                    r"connectors: (\S+), visitors: http://(\S+)(?: and https://(\S+))?", log.read_text()
                )
                assert told
                self.connectors, self.visitors, self.over_tls = told.groups("")
                yield process
            finally:
                process.kill()

    def tunnel(self, name: str, remote: bool = True) -> tuple[Tunnel, RunToken]:
        made = self.here.tunnels.create(self.account, name, "cloudflare" if remote else "local")
        if remote:
            self.configure(made[0])
        return made

    def configure(self, tunnel: Tunnel, otherwise: int = 404) -> int:
        rules = [
            {"hostname": HOST, "service": f"http://127.0.0.1:{self.origin}"},
            {"service": f"http_status:{otherwise}"},
        ]
        return self.here.configurations.put(self.account, tunnel.id, {"ingress": rules}).version

    def live(self, tunnel: Tunnel) -> set[str]:
        found = self.here.tunnels.connectors(self.account, tunnel.id)
        return {link.id for connector in found for link in connector.links if link.lost is None}

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=f"http://{self.visitors}", headers={"Host": HOST}, timeout=30)

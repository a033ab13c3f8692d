"""The demo of tunnels: server and edge, a connector, an origin and a visitor on this machine, from the beginning to the end.

`make demo-tunnel` runs it. The connector is the project's own, or the cloudflared that HALFOPEN_CLOUDFLARED names.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import httpx

from halfopen.cli.main import main as halfopen
from halfopen.testing.connectors.connector import Connector
from halfopen.testing.forwarding import forward, stay
from halfopen.tunnels.vault import RunToken

HOST: Final = "app.example.com"
PATIENCE: Final = 30.0
"""Seconds that one step may take."""


class Origin(BaseHTTPRequestHandler):
    """What is behind the tunnel."""

    def do_GET(self) -> None:
        """Answer with what was asked for."""
        body = f"Hello from the origin: {self.headers['Host']}{self.path}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


class Stage:
    """What runs, and how it is asked."""

    def __init__(self, data: Path, api: str, connectors: str, visitors: str) -> None:
        self.connectors, self.visitors, self.data = connectors, visitors, data
        self.authority = data / "edge" / "ca.pem"
        self.account = command(data, "account", "list").splitlines()[1].split()[0]
        token = command(
            data, "token", "create", "--permission", "Cloudflare Tunnel Write", "--account", self.account
        )
        self.tunnels = f"/accounts/{self.account}/cfd_tunnel"
        self.client = httpx.Client(
            base_url=api, headers={"Authorization": f"Bearer {token}"}, timeout=PATIENCE, trust_env=False
        )

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """The result of a request to the API, which is shown."""
        print(f"  {method} /client/v4{path.replace(self.account, '...')}")
        return self.client.request(method, path, json=body).raise_for_status().json()["result"]

    def connections(self, tunnel: str) -> list[dict[str, Any]]:
        """What is connected."""
        answer = self.client.get(f"{self.tunnels}/{tunnel}/connections").raise_for_status()
        return [link for each in answer.json()["result"] for link in each["conns"]]

    def visit(self, host: str = HOST) -> httpx.Response:
        """What a visitor gets."""
        return httpx.get(
            f"http://{self.visitors}/about", headers={"Host": host}, timeout=PATIENCE, trust_env=False
        )

    def visited(self, status: int, host: str = HOST) -> None:
        """Show what a visitor gets, once it has that status."""
        wait(lambda: self.visit(host).status_code == status)
        answer = self.visit(host)
        text = re.search(r"<h1>(.*?)</h1>", answer.text)
        print(
            f"  curl -H 'Host: {host}' http://{self.visitors}/about\n  {answer.status_code}  {text[1] if text else answer.text}"
        )


def main() -> None:
    """Run it; whatever does not come true in time ends it with an error."""
    began = time.monotonic()
    with TemporaryDirectory() as folder, ExitStack() as open_:
        step("A server and an edge in one process")
        stage = open_.enter_context(serving(Path(folder) / "data"))

        step("A tunnel, made by the API, to which a hostname leads")
        command(stage.data, "zone", "add", stage.account, "example.com")
        tunnel = stage.ask("POST", stage.tunnels, {"name": "blog", "config_src": "cloudflare"})["id"]
        origin = open_.enter_context(answering())
        rules = [{"hostname": HOST, "service": origin}, {"service": "http_status:404"}]
        stage.ask("PUT", f"{stage.tunnels}/{tunnel}/configurations", {"config": {"ingress": rules}})
        stage.visited(503)

        step("A connector beside the origin runs it")
        token = stage.ask("GET", f"{stage.tunnels}/{tunnel}/token")
        connector = open_.enter_context(ExitStack())
        connector.enter_context(connected(stage, token, origin))
        wait(lambda: len(stage.connections(tunnel)) == 4)
        for client in stage.ask("GET", f"{stage.tunnels}/{tunnel}/connections"):
            print(f"  connector {client['id']}, version {client['version']}, {client['arch']}")
            for link in client["conns"]:
                print(f"    connection {link['id']} to {link['colo_name']}, since {link['opened_at']}")

        step("A visitor gets through, and one who asks for another name does not")
        stage.visited(200)
        stage.visited(404, "other.example.com")

        step("A clean-up closes the connections, and the connector comes back")
        before = {link["id"] for link in stage.connections(tunnel)}
        stage.ask("DELETE", f"{stage.tunnels}/{tunnel}/connections")
        assert not before & {link["id"] for link in stage.connections(tunnel)}
        wait(lambda: bool(stage.connections(tunnel)))
        stage.visited(200)

        step("The connector leaves")
        connector.close()
        wait(lambda: not stage.connections(tunnel))
        stage.visited(503)

        step("The tunnel is deleted")
        stage.ask("DELETE", f"{stage.tunnels}/{tunnel}")
        stage.visited(404)
    print(f"\nAll of it came true, in {time.monotonic() - began:.0f} s. The same by hand: docs/edge.md")


@contextmanager
def serving(data: Path) -> Iterator[Stage]:
    """A server with an edge, on ports that are free; it has to end well."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    argv = [
        "serve",
        "--edge",
        "--port",
        str(port),
        "--edge-listen",
        "127.0.0.1:0",
        "--visitors",
        "127.0.0.1:0",
    ]
    print(f"  halfopen {' '.join(argv)}")
    log = data.parent / "log"
    program = [sys.executable, "-m", "halfopen", *argv, "--data", str(data)]
    with log.open("wb") as stream, subprocess.Popen(program, stdout=stream, stderr=stream) as server:
        try:
            wait(lambda: "halfopen: serving" in log.read_text())
            told = re.search(r"connectors: (\S+), visitors: http://(\S+)", log.read_text())
            assert told is not None
            print(f"  {told[0]}")
            yield Stage(data, f"http://127.0.0.1:{port}/client/v4", *told.groups())
        except BaseException:
            print(*log.read_text().splitlines()[-20:], sep="\n", file=sys.stderr)
            raise
        finally:
            server.terminate()
    assert server.returncode == 0, log.read_text()


@contextmanager
def answering() -> Iterator[str]:
    """An origin, by its URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Origin)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def connected(stage: Stage, token: str, origin: str) -> Iterator[None]:
    """A connector, which leaves in order."""
    if program := os.environ.get("HALFOPEN_CLOUDFLARED"):
        edges = [word for _ in range(4) for word in ("--edge", stage.connectors)]
        argv = [
            program,
            "tunnel",
            "--no-autoupdate",
            "--cacert",
            str(stage.authority),
            *edges,
            "run",
            "--token",
            token,
        ]
        print(f"  {' '.join(argv[:-1])} TOKEN")
        with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            yield
            process.terminate()
        return
    print("  our own, over QUIC (with cloudflared: HALFOPEN_CLOUDFLARED=... make demo-tunnel)")
    host, _, port = stage.connectors.rpartition(":")
    read = RunToken.parse(token)
    assert read is not None
    connector = Connector(read, forward(origin), host, int(port), stage.authority.read_text(), "quic")
    loop, stop = asyncio.new_event_loop(), asyncio.Event()
    thread = threading.Thread(target=loop.run_until_complete, args=(stay(connector, stop),))
    thread.start()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


def step(words: str) -> None:
    """Say what comes next."""
    print(f"\n{words}", flush=True)


def wait(true: Callable[[], bool]) -> None:
    """Wait until something is true."""
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, "that took too long"
        time.sleep(0.05)


def command(data: Path, *argv: str) -> str:
    """What a command prints, without its words beside that."""
    with redirect_stdout(StringIO()) as said, redirect_stderr(StringIO()) as beside:
        code = halfopen([*argv, "--data", str(data)])
    assert code == 0, beside.getvalue()
    return said.getvalue().strip()


if __name__ == "__main__":
    try:
        main()
    except (AssertionError, httpx.HTTPError) as error:
        sys.exit(f"the demo failed: {error}")

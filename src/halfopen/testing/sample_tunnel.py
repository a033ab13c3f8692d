"""A tunnel with all that belongs to it, on one machine: ``python -m halfopen.testing.sample_tunnel DATA HOST CONNECTORS VISITORS``.

It is made in the installation of DATA if it is not there; an origin, a connector and a few visitors a minute run until SIGTERM.
"""

from __future__ import annotations

import asyncio
import random
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Final

import httpx

from halfopen.config import accounts_url
from halfopen.testing.connectors.connector import Connector
from halfopen.testing.forwarding import forward, stay
from halfopen.tunnels.catalogue import Filter
from halfopen.tunnels.installation import Installation
from halfopen.tunnels.vault import RunToken

NAME: Final = "demo"

PAUSES: Final = 5.0, 15.0
"""Seconds between two visits, at least and at most."""

PATHS: Final = ("/", "/", "/", "/about", "/pictures/1", "/pictures/2")


class Origin(BaseHTTPRequestHandler):
    """A page that says what was asked for."""

    def do_GET(self) -> None:
        """Answer."""
        what = escape(f"{self.headers['Host']}{self.path}")
        body = f"<!doctype html><title>Hello</title><p>Hello from behind the tunnel: {what}\n".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def origin() -> Iterator[str]:
    """An HTTP server on a free port of loopback, by its URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Origin)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def token_of(data: Path, host: str, service: str) -> RunToken:
    """What a connector of the tunnel is started with; the tunnel and the zone of its hostname are made where they are not there."""
    here = Installation(data, accounts_url())
    try:
        account = here.accounts.every_account()[0].id
        if all(each.name != host for each in here.hostnames.zones()):
            here.hostnames.add_zone(account, host)
        found, _ = here.tunnels.find(account, Filter(name=NAME), 1, 1)
        tunnel = found[0].id if found else here.tunnels.create(account, NAME, "cloudflare")[0].id
        rules = [{"hostname": host, "service": service}, {"service": "http_status:404"}]
        here.configurations.put(account, tunnel, {"ingress": rules})
        return here.tunnels.token(account, tunnel)
    finally:
        here.close()


async def visit(url: str, host: str, registered: asyncio.Event) -> None:
    """Ask for pages, now and then, once there is a connection that can carry the question."""
    await registered.wait()
    async with httpx.AsyncClient(headers={"Host": host}, trust_env=False) as client:
        while True:
            with suppress(httpx.HTTPError):
                await client.get(url + random.choice(PATHS))
            await asyncio.sleep(random.uniform(*PAUSES))


async def run(data: Path, host: str, connectors: str, visitors: str) -> None:
    """Until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    with origin() as service:
        token = token_of(data, host, service)
        address, _, port = connectors.rpartition(":")
        authority = (data / "edge" / "ca.pem").read_text()
        connector = Connector(token, forward(service), address.strip("[]"), int(port), authority, "quic")
        registered = asyncio.Event()
        visits = asyncio.create_task(visit(visitors, host, registered))
        await stay(connector, stop, registered=registered)
        visits.cancel()


if __name__ == "__main__":
    asyncio.run(run(Path(sys.argv[1]), *sys.argv[2:]))

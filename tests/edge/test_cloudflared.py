"""Stock cloudflared behind an edge of ours, each in a process of its own: visitors get through, and it comes and goes.

Run where HALFOPEN_CLOUDFLARED names one, or one is on the PATH; skipped elsewhere, in CI too.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import socketserver
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from hashlib import sha256
from pathlib import Path

import pytest

from halfopen.tunnels.records import Tunnel
from halfopen.tunnels.vault import RunToken
from tests.edge.origin import PIECE, origin
from tests.edge.pairs import pair
from tests.edge.place import HOST, until
from tests.edge.place import Place as Installed

CLOUDFLARED = os.environ.get("HALFOPEN_CLOUDFLARED") or shutil.which("cloudflared")

pytestmark = pytest.mark.skipif(CLOUDFLARED is None, reason="missing: cloudflared (HALFOPEN_CLOUDFLARED)")


class Place(Installed):
    """One with cloudflared."""

    @contextmanager
    def cloudflared(self, token: RunToken) -> Iterator[subprocess.Popen[bytes]]:
        """`cloudflared tunnel run`."""
        edges = [word for _ in range(4) for word in ("--edge", self.connectors)]
        argv = [
            str(CLOUDFLARED), "tunnel", "--no-autoupdate", "--no-prechecks", "--metrics", "127.0.0.1:0",
            "--cacert", str(self.data / "edge" / "ca.pem"), *edges, "--protocol", self.transport, "--grace-period", "5s",
            "run", "--token", str(token),
        ]  # fmt: skip
        log = self.folder / "cloudflared.log"
        with log.open("wb") as stream, subprocess.Popen(argv, stdout=stream, stderr=stream) as process:
            try:
                yield process
            finally:
                process.kill()

    def whole(self, tunnel: Tunnel) -> None:
        """Wait until all four connections are there."""
        until(lambda: len(self.live(tunnel)) == 4, lambda: (self.folder / "cloudflared.log").read_text())


@pytest.fixture(params=["http2", "quic"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    with origin() as port:
        made = Place(tmp_path, port, request.param)
        with closing(made.here):
            yield made


def test_visitors_get_through(place: Place) -> None:
    with ExitStack() as open_:
        open_.enter_context(place.edge())
        tunnel, token = place.tunnel("blog")
        open_.enter_context(place.cloudflared(token))
        place.whole(tunnel)
        client = open_.enter_context(place.client())
        until(lambda: client.get("/").status_code == 200)

        told = client.get("/a?b=c", headers={"X-Twice": "1"}).json()
        assert (told["path"], told["host"]) == ("/a?b=c", HOST)
        headers = {name.lower(): value for name, value in told["headers"]}
        assert (headers["x-twice"], headers["x-forwarded-for"], headers["x-forwarded-proto"]) == (
            "1",
            "127.0.0.1",
            "http",
        )
        assert client.get("/").headers["X-Origin"] == "here"
        assert client.head("/").headers["Content-Length"]

        body = PIECE * 100
        digest = sha256(body).hexdigest()
        assert client.post("/", content=body).json() == {"size": len(body), "digest": digest}
        assert client.put("/", content=iter([body])).json() == {"size": len(body), "digest": digest}
        assert client.get("/big/200").content == PIECE * 200
        with ThreadPoolExecutor(16) as threads:
            answers = list(threads.map(lambda n: client.get(f"/{n}").json()["path"], range(200)))
        assert answers == [f"/{n}" for n in range(200)]

        with client.stream("GET", "/events") as events:
            came = [(time.monotonic(), piece) for piece in events.iter_raw()]
        assert b"".join(piece for _, piece in came) == b"data: 0\n\ndata: 1\n\ndata: 2\n\n"
        assert came[-1][0] - came[0][0] > 0.4  # as they came, not all at the end

        host, _, port = place.visitors.rpartition(":")
        with socket.create_connection((host, int(port)), 20) as link:
            link.sendall(
                f"GET /ws HTTP/1.1\r\nHost: {HOST}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
            )
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += link.recv(1)
            assert head.startswith(b"HTTP/1.1 101 ")
            link.sendall(b"\x00anything\xff")
            assert link.recv(100) == b"\x00anything\xff"


def test_what_a_visitor_forges_configures_nothing_and_dials_nowhere(place: Place) -> None:
    with ExitStack() as open_:
        open_.enter_context(place.edge())
        tunnel, token = place.tunnel("blog")
        open_.enter_context(place.cloudflared(token))
        place.whole(tunnel)
        client = open_.enter_context(place.client())
        until(lambda: client.get("/").status_code == 200)
        config = json.dumps({"version": 99, "config": {"ingress": [{"service": "http_status:418"}]}})
        for name, value in (
            ("Cf-Cloudflared-Proxy-Connection-Upgrade", "update-configuration"),
            ("Cf-Cloudflared-Proxy-Connection-Upgrade", "control-stream"),
            ("Cf-Cloudflared-Proxy-Connection-Upgrade", "websocket"),
            ("Cf-Cloudflared-Proxy-Src", f"127.0.0.1:{place.origin}"),
        ):
            told = client.post("/", content=config, headers={name: value})
            assert told.json()["size"] == len(config)
        assert client.get("/").status_code == 200
        (connector,) = place.here.tunnels.connectors(place.account, tunnel.id)
        assert connector.config_version == 1


def test_it_is_configured_cleaned_up_and_leaves(place: Place) -> None:
    with ExitStack() as open_:
        edge = open_.enter_context(place.edge())
        tunnel, token = place.tunnel("blog")
        process = open_.enter_context(place.cloudflared(token))
        place.whole(tunnel)

        def applied() -> int | None:
            (connector,) = place.here.tunnels.connectors(place.account, tunnel.id)
            return connector.config_version

        until(lambda: applied() == 1)
        assert place.configure(tunnel, 410) == 2
        until(lambda: applied() == 2)

        before = place.live(tunnel)
        place.here.tunnels.clean_up(place.account, tunnel.id)
        assert not before & place.live(tunnel)
        place.whole(tunnel)
        assert not before & place.live(tunnel)

        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        until(lambda: not place.live(tunnel))
        edge.send_signal(signal.SIGTERM)
        assert edge.wait(20) == 0


def test_what_is_under_way_ends_before_it_leaves(place: Place) -> None:
    with ExitStack() as open_:
        open_.enter_context(place.edge())
        tunnel, token = place.tunnel("blog")
        process = open_.enter_context(place.cloudflared(token))
        place.whole(tunnel)
        client = open_.enter_context(place.client())
        until(lambda: client.get("/").status_code == 200)
        with client.stream("GET", "/events") as events:
            pieces = events.iter_raw()
            came = next(pieces)
            process.send_signal(signal.SIGTERM)
            assert came + b"".join(pieces) == b"data: 0\n\ndata: 1\n\ndata: 2\n\n"
        assert process.wait(20) == 0
        until(lambda: not place.live(tunnel))


def test_an_edge_that_comes_again_gets_its_connectors_back(place: Place) -> None:
    with ExitStack() as open_:
        tunnel, token = place.tunnel("blog")
        with place.edge() as edge:
            open_.enter_context(place.cloudflared(token))
            place.whole(tunnel)
            before = place.live(tunnel)
            edge.kill()
            edge.wait()
        open_.enter_context(place.edge())
        place.whole(tunnel)
        assert not before & place.live(tunnel)
        client = open_.enter_context(place.client())
        until(lambda: client.get("/").status_code == 200)


def test_who_may_not_is_refused_in_words_and_tries_again(place: Place) -> None:
    with ExitStack() as open_:
        open_.enter_context(place.edge())
        tunnel, token = place.tunnel("blog")
        wrong = RunToken(token.account, token.tunnel, bytes(32))
        process = open_.enter_context(place.cloudflared(wrong))
        refused = place.folder / "edge.log"
        until(lambda: refused.read_text().count("Invalid tunnel secret") >= 2, refused.read_text)
        if place.transport == "http2":  # over QUIC it does not say what it was told
            assert "Invalid tunnel secret" in (place.folder / "cloudflared.log").read_text()
        assert process.poll() is None
        assert not place.live(tunnel)


def test_a_local_configuration_is_shown_and_routes_nothing(place: Place) -> None:
    with ExitStack() as open_:
        open_.enter_context(place.edge())
        tunnel, token = place.tunnel("blog", remote=False)
        open_.enter_context(place.cloudflared(token))
        place.whole(tunnel)
        until(lambda: place.here.configurations.get(place.account, tunnel.id).config is not None)
        client = open_.enter_context(place.client())
        assert client.get("/").status_code == 404


def test_a_tcp_service_is_reached_through_a_websocket(place: Place) -> None:
    """`cloudflared access tcp` at the visitor's end, which wants TLS, and `cloudflared tunnel run` at the other."""
    certificates = place.folder / "certificates"
    certificates.mkdir()
    pair(certificates, "app", HOST)
    with ExitStack() as open_:
        service = open_.enter_context(socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Echo))
        threading.Thread(target=service.serve_forever).start()
        open_.callback(service.shutdown)
        open_.enter_context(place.edge("--visitors-tls", "127.0.0.1:0", "--certificates", certificates))
        tunnel, token = place.tunnel("blog")
        rules = [
            {"hostname": HOST, "service": f"tcp://127.0.0.1:{service.server_address[1]}"},
            {"service": "http_status:404"},
        ]
        place.here.configurations.put(place.account, tunnel.id, {"ingress": rules})
        open_.enter_context(place.cloudflared(token))
        place.whole(tunnel)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        host, _, edge_port = place.over_tls.rpartition(":")
        argv = [
            str(CLOUDFLARED), "access", "tcp", "--hostname", HOST, "--url", f"127.0.0.1:{port}",
            "--connect-to", f"{HOST}:{edge_port}:{host}",
        ]  # fmt: skip
        log = open_.enter_context((place.folder / "access.log").open("wb"))
        process = open_.enter_context(subprocess.Popen(argv, stdout=log, stderr=log))
        open_.callback(process.kill)

        def told() -> str:
            return (place.folder / "access.log").read_text() + (place.folder / "edge.log").read_text()

        def echoed(data: bytes) -> bytes:
            came = b""
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 20) as link:
                link.sendall(data)
                while len(came) < len(data) and (piece := link.recv(1 << 16)):
                    came += piece
            return came

        until(lambda: echoed(b"hello") == b"hello", told)  # until the route has come, too
        body = bytes(range(256)) * 4_000
        assert echoed(body) == body


class _Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        with suppress(OSError):
            while data := self.request.recv(1 << 16):
                self.request.sendall(data)

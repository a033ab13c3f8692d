"""An origin behind a connector: it tells what it was asked, and sends and takes as much as is wanted."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PIECE = bytes(range(256)) * 256


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.headers.get("Upgrade", "").lower() == "websocket":
            self._echo()
        elif self.path.startswith("/big/"):
            self._big(int(self.path.split("/")[2]))
        elif self.path == "/events":
            self._events()
        else:
            told = {"path": self.path, "host": self.headers["Host"], "headers": self.headers.items()}
            self._whole(json.dumps(told).encode())

    do_HEAD = do_GET  # noqa: N815

    def do_POST(self) -> None:
        digest, size = sha256(), 0
        for piece in self._body():
            digest.update(piece)
            size += len(piece)
        self._whole(json.dumps({"size": size, "digest": digest.hexdigest()}).encode())

    do_PUT = do_POST  # noqa: N815

    def _body(self) -> Iterator[bytes]:
        if self.headers.get("Transfer-Encoding") == "chunked":
            while length := int(self.rfile.readline(), 16):
                yield self.rfile.read(length)
                self.rfile.readline()
            self.rfile.readline()
            return
        left = int(self.headers.get("Content-Length", 0))
        while left:
            piece = self.rfile.read(min(left, 1 << 16))
            left -= len(piece)
            yield piece

    def _whole(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Origin", "here")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _big(self, pieces: int) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(pieces * len(PIECE)))
        self.end_headers()
        for _ in range(pieces):
            self.wfile.write(PIECE)

    def _events(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        for number in range(3):
            self.wfile.write(b"data: %d\n\n" % number)
            self.wfile.flush()
            time.sleep(0.3)
        self.close_connection = True

    def _echo(self) -> None:
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")  # RFC 6455, 1.3
        self.end_headers()
        while data := self.connection.recv(1 << 16):
            self.connection.sendall(data)
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        return


@contextmanager
def origin() -> Iterator[int]:
    """The port of an origin on loopback."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

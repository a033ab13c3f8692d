"""``/metrics`` of a process that serves nothing else."""

from __future__ import annotations

import socket
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST


class _Page(BaseHTTPRequestHandler):
    """Answers ``/metrics``, and nothing else."""

    def __init__(self, registry: CollectorRegistry, *given: Any) -> None:
        self._registry = registry
        super().__init__(*given)

    def do_GET(self) -> None:
        if urlsplit(self.path).path != "/metrics":
            self.send_error(404)
            return
        text = generate_latest(self._registry)
        self.send_response(200)
        self.send_header("Content-Type", CONTENT_TYPE_LATEST)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        """Nothing: who asks is no news."""


class _Server(ThreadingHTTPServer):
    def __init__(self, family: socket.AddressFamily, address: Any, page: Any) -> None:
        self.address_family = family
        super().__init__(address, page)


def serve(registry: CollectorRegistry, host: str, port: int) -> None:
    """Answer ``/metrics`` there, in threads of its own, until the process ends. OSError where one cannot listen there."""
    (family, _, _, _, address), *_ = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    server = _Server(family, address, partial(_Page, registry))
    threading.Thread(target=server.serve_forever, daemon=True).start()

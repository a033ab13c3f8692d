"""The way to a server, which can be cut and can fall silent: a port on loopback, and a thread for each direction."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from sqlalchemy.engine import make_url


class Relay:
    """Hands bytes on to a Unix socket for as long as it is whole."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._flows = threading.Event()
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []
        self._listener: socket.socket | None = None
        self.port = 0
        self.restore()

    def url(self, url: str, **query: str) -> str:
        """The same database by this way."""
        there = make_url(url).set(host="127.0.0.1", port=self.port, query=query)
        return there.render_as_string(hide_password=False)

    def cut(self) -> None:
        """Break every connection and refuse new ones."""
        with self._lock:
            if self._listener is not None:
                self._listener.shutdown(socket.SHUT_RDWR)
                self._listener.close()
                self._listener = None
            while self._open:
                each = self._open.pop()
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
                each.close()

    def silence(self) -> None:
        """Take connections and bytes, and hand nothing on."""
        self._flows.clear()

    def restore(self) -> None:
        """Be whole again: what waited goes on."""
        with self._lock:
            if self._listener is None:
                self._listener = socket.create_server(("127.0.0.1", self.port))
                self.port = self._listener.getsockname()[1]
                threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()
        self._flows.set()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                near, _ = listener.accept()
                far = socket.socket(socket.AF_UNIX)
                far.connect(self._path)
                with self._lock:
                    self._open += [near, far]
                for one, other in ((near, far), (far, near)):
                    threading.Thread(target=self._carry, args=(one, other), daemon=True).start()

    def _carry(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while part := one.recv(65536):
                self._flows.wait()
                other.sendall(part)
        with suppress(OSError):
            other.shutdown(socket.SHUT_WR)


@contextmanager
def relay(path: str) -> Iterator[Relay]:
    """A relay to a Unix socket."""
    made = Relay(path)
    try:
        yield made
    finally:
        made.restore()  # what waits in silence is to end
        made.cut()

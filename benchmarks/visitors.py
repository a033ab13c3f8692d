"""Visitors: many who ask for the same again and again, and one who carries much."""

from __future__ import annotations

import re
import socket
import subprocess
from dataclasses import dataclass

from measure import CommandError
from tests.edge.place import HOST
from ways import Way, program


@dataclass(frozen=True, slots=True)
class Taken:
    """Requests of one kind over one way."""

    rate: float  # a second
    p99: float  # s
    cpu: float  # s of the middle for each request


def ask(way: Way, size: int, clients: int, seconds: int) -> Taken:
    """Ask for the file of this size by so many clients at once, each again and again; raises CommandError where an answer is none."""
    wrk = program("wrk")
    assert wrk is not None
    before = way.middle.cpu()
    argv = [
        wrk,
        "-t1",
        f"-c{clients}",
        f"-d{seconds}s",
        "--timeout",
        "30s",
        "--latency",
        "-H",
        f"Host: {HOST}",
    ]
    done = subprocess.run(
        [*argv, f"http://127.0.0.1:{way.port}/{size}"], capture_output=True, text=True, check=False
    )
    spent = way.middle.cpu() - before
    told = done.stdout
    for wrong in ("Socket errors", "Non-2xx"):
        if line := re.search(rf"{wrong}.*", told):
            raise CommandError(line[0])
    rate = re.search(r"Requests/sec:\s+([\d.]+)", told)
    count = re.search(r"(\d+) requests in", told)
    slow = re.search(r"99%\s+([\d.]+)(us|ms|s|m)", told)
    if not rate or not count or not slow or not int(count[1]):
        raise CommandError(f"wrk: {done.stderr.strip() or 'no answer'}")
    unit = {"us": 1e-6, "ms": 1e-3, "s": 1, "m": 60}[slow[2]]
    return Taken(float(rate[1]), float(slow[1]) * unit, spent / int(count[1]))


def download(way: Way, size: int) -> None:
    """Fetch the file of so many bytes."""
    with socket.create_connection(("127.0.0.1", way.port), 60) as link:
        link.sendall(f"GET /{size} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
        head, body = _head(link)
        if b" 200 " not in head[:20]:
            raise CommandError(head.partition(b"\r\n")[0].decode(errors="replace"))
        buffer = bytearray(1 << 18)
        left = size - len(body)
        while left > 0:
            if not (count := link.recv_into(buffer)):
                raise CommandError(f"{left:,} bytes are missing")
            left -= count


def upload(way: Way, size: int) -> None:
    """Send so many bytes, until the origin has them."""
    piece = bytes(1 << 18)
    with socket.create_connection(("127.0.0.1", way.port), 60) as link:
        link.sendall(f"PUT /put/{size} HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {size}\r\n\r\n".encode())
        for start in range(0, size, len(piece)):
            link.sendall(piece[: size - start])
        head, _ = _head(link)
        if b" 201 " not in head[:20]:
            raise CommandError(head.partition(b"\r\n")[0].decode(errors="replace"))


def _head(link: socket.socket) -> tuple[bytes, bytes]:
    came = b""
    while b"\r\n\r\n" not in came:
        if not (piece := link.recv(1 << 16)):
            raise CommandError("the connection ended before there was an answer")
        came += piece
    head, _, body = came.partition(b"\r\n\r\n")
    return head, body

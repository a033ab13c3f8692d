"""A server as a process of its own, and clients that ask it over HTTP."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from measure import CommandError, Tree
from peers import BIN

from halfopen.accounts import Accounts

IDENTITIES: Final = 60
"""Tokens, and addresses on loopback, that take turns: each has a rate of its own."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running `halfopen serve`."""

    processes: Tree
    port: int
    tokens: Sequence[str]

    @property
    def root(self) -> str:
        """Where it is found."""
        return f"http://127.0.0.1:{self.port}"

    def get(self, target: str) -> Any:
        """The result of one answer."""
        request = urllib.request.Request(self.root + target)
        request.add_header("Authorization", f"Bearer {self.tokens[0]}")
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)["result"]


@contextmanager
def serving(data: Path, *options: str, permissions: Sequence[str] = ("radar:read",)) -> Iterator[Server]:
    """A server of a data directory, ready to answer who has the permissions; it ends with the block."""
    accounts = Accounts.open(data)
    tokens = [accounts.create_token(permissions)[0] for _ in range(IDENTITIES)]
    accounts.close()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(BIN / "halfopen"), "serve", "--data", str(data), "--port", str(port), *options]
    with (data / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        _wait_for(f"http://127.0.0.1:{port}/readyz", process, data / "log")
        yield Server(Tree(process.pid), port, tokens)
    finally:
        process.terminate()
        process.wait()


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(600):
        try:
            urllib.request.urlopen(url, timeout=10).close()
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
        if process.poll() is not None:
            break
    raise CommandError(f"the server did not come up: {log.read_text()}")


def ask(server: Server, targets: Iterable[str], clients: int) -> tuple[list[float], float]:
    """Seconds that each answer took, and all of them together, asked by so many clients at once."""
    return asyncio.run(_ask(server, iter(targets), clients))


async def _ask(server: Server, targets: Iterator[str], clients: int) -> tuple[list[float], float]:
    links = [
        await asyncio.open_connection("127.0.0.1", server.port, local_addr=(f"127.0.0.{1 + number}", 0))
        for number in range(IDENTITIES)
    ]
    idle = deque(zip(links, server.tokens, strict=True))
    taken: list[float] = []

    async def client() -> None:
        for target in targets:
            (reader, writer), token = identity = idle.popleft()
            begin = time.perf_counter()
            writer.write(
                f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
            )
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = head.partition(b"content-length:")[2].split(b"\r\n", 1)[0]
            body = await reader.readexactly(int(length))
            taken.append(time.perf_counter() - begin)
            if b" 200 " not in head.split(b"\r\n", 1)[0]:
                raise CommandError(f"{target}: {body.decode(errors='replace')}")
            idle.append(identity)

    begin = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(clients)))
    whole = time.perf_counter() - begin
    for _, writer in links:
        writer.close()
    return taken, whole

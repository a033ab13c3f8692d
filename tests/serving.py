"""`halfopen serve` in a process of its own, on a free port of loopback."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.api.conftest import wait_for
from tests.cli.conftest import command


@contextmanager
def running(
    data: Path, *options: str, host: str = "127.0.0.1", environment: Mapping[str, str] | None = None
) -> Iterator[str]:
    """A server of a data directory, by its URL; it is ended afterwards, its log is `data`/log."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = data / "log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            command("serve", "--data", data, "--host", host, "--port", port, *options),
            env=os.environ | dict(environment or {}), stdout=stream, stderr=stream,
        )  # fmt: skip
    try:
        url = f"http://{host}:{port}"
        wait_for(url, process, log)
        yield url
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

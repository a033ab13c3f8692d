"""Stores for the tests: a local directory, and a stand-in for S3 in a process of its own on loopback."""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from halfopen.store.store import Store
from tests.conftest import Require
from tests.house.project import ROOT


class Clock:
    """A clock that the test sets."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    from tests.store.rows import BEGIN, SPAN

    return Clock(BEGIN + SPAN + 40 * 60)


@pytest.fixture(scope="session")
def s3() -> Iterator[str | None]:
    """URL of an empty bucket, or None where moto is missing; the environment names endpoint and keys."""
    if importlib.util.find_spec("moto") is None or importlib.util.find_spec("boto3") is None:
        yield None
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    # Not a thread: delta-rs holds the interpreter's lock while it waits for an answer.
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.store.stand_in", str(port)],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    endpoint = f"http://127.0.0.1:{port}"
    environment = {
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ALLOW_HTTP": "true",
    }
    before = {name: os.environ.get(name) for name in environment}
    os.environ.update(environment)
    try:
        for _ in range(200):
            try:
                for bucket in ("halfopen", "careless"):
                    request = urllib.request.Request(f"{endpoint}/{bucket}", method="PUT")
                    urllib.request.urlopen(request, timeout=5).close()
                break
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.1)
        yield "s3://halfopen"
    finally:
        server.terminate()
        server.wait()
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@pytest.fixture(params=["local", "s3"])
def where(request: pytest.FixtureRequest, tmp_path: Path, require: Require) -> str:
    """Where a new store may lie."""
    if request.param == "local":
        return str(tmp_path / "store")
    url = request.getfixturevalue("s3")
    require(url is not None, "moto")
    return f"{url}/{uuid.uuid4()}"


@pytest.fixture
def store(where: str, clock: Clock) -> Iterator[Store]:
    opened = Store(where, create=True, threads=1, freshness=0, clock=clock)
    yield opened
    opened.close()

"""A server with the demo's connections, for what the pages ask of one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import halfopen
from tests.cli.conftest import capture_bytes, spawned
from tests.house.project import ROOT
from tests.serving import running


@dataclass(frozen=True)
class Served:
    """A server: where it answers, its data directory, a token that reads shares."""

    url: str
    data: Path
    token: str


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Kernels are compiled before a page begins, for which there is only so much time."""
    capture = tmp_path_factory.mktemp("compiled") / "one.pcap"
    capture.write_bytes(capture_bytes(0))
    halfopen.classify([capture])


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    data = tmp_path_factory.mktemp("guide") / "data"
    data.mkdir(mode=0o700)
    taken = spawned("ingest", ROOT / "captures" / "demo.pcap.gz", "--data", data, "--shift-end", "now")
    assert taken.code == 0, taken.err
    token = spawned("token", "create", "--data", data, "--permission", "radar:read").out.strip()
    with running(data) as url:
        yield Served(url, data, token)

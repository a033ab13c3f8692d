"""A world for each test, on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.databases.database import Database
from tests.tunnels.world import World


@pytest.fixture
def world(database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    made = World(database.data, monkeypatch)
    yield made
    made.here.close()
